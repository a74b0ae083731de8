"""What each encoder family calls its tensors, and what this package calls them.

Knows nothing of torch, files or sizes. A new family is one entry here and one in `graph.backbones`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TensorNames:
    """Checkpoint names of one family, by the names of our modules.

    `prefix` stands before every name where the encoder was saved inside a model with a head. A part of
    `layer` stacks the rows of the checkpoint's modules named there; `{i}` is the layer's number, from 0.
    """

    prefix: str
    embeddings: Mapping[str, str]
    layer: Mapping[str, tuple[str, ...]]


_EMBEDDINGS = {
    "words": "embeddings.word_embeddings",
    "positions": "embeddings.position_embeddings",
    "segments": "embeddings.token_type_embeddings",
    "norm": "embeddings.LayerNorm",
    "project": "embeddings_project",
}
_BERT_LAYER = {
    "qkv": (
        "encoder.layer.{i}.attention.self.query",
        "encoder.layer.{i}.attention.self.key",
        "encoder.layer.{i}.attention.self.value",
    ),
    "attention_out": ("encoder.layer.{i}.attention.output.dense",),
    "attention_norm": ("encoder.layer.{i}.attention.output.LayerNorm",),
    "ffn_in": ("encoder.layer.{i}.intermediate.dense",),
    "ffn_out": ("encoder.layer.{i}.output.dense",),
    "ffn_norm": ("encoder.layer.{i}.output.LayerNorm",),
}
_DISTILBERT_LAYER = {
    "qkv": (
        "transformer.layer.{i}.attention.q_lin",
        "transformer.layer.{i}.attention.k_lin",
        "transformer.layer.{i}.attention.v_lin",
    ),
    "attention_out": ("transformer.layer.{i}.attention.out_lin",),
    "attention_norm": ("transformer.layer.{i}.sa_layer_norm",),
    "ffn_in": ("transformer.layer.{i}.ffn.lin1",),
    "ffn_out": ("transformer.layer.{i}.ffn.lin2",),
    "ffn_norm": ("transformer.layer.{i}.output_layer_norm",),
}

FAMILY_NAMES: Mapping[str, TensorNames] = {
    "bert": TensorNames("bert.", _EMBEDDINGS, _BERT_LAYER),
    "roberta": TensorNames("roberta.", _EMBEDDINGS, _BERT_LAYER),
    "distilbert": TensorNames("distilbert.", _EMBEDDINGS, _DISTILBERT_LAYER),
    "electra": TensorNames("electra.", _EMBEDDINGS, _BERT_LAYER),
}


def checkpoint_names(family: str, ours: str) -> tuple[str, ...]:
    """The checkpoint tensors, to be stacked by rows, that make one of our tensors.

    >>> checkpoint_names("bert", "layers.0.ffn_in.bias")
    ('encoder.layer.0.intermediate.dense.bias',)
    """
    names = FAMILY_NAMES[family]
    path, _, kind = ours.rpartition(".")
    group, *rest = path.split(".")
    if group == "embeddings":
        return (f"{names.embeddings[rest[0]]}.{kind}",)
    index, part = rest
    return tuple(f"{name.format(i=index)}.{kind}" for name in names.layer[part])


def plain_name(family: str, stored: str) -> str:
    """A stored tensor's name without the model's prefix; norms named as in the first BERT release renamed.

    >>> plain_name("bert", "bert.embeddings.LayerNorm.gamma")
    'embeddings.LayerNorm.weight'
    """
    name = stored.removeprefix(FAMILY_NAMES[family].prefix)
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
