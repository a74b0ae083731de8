"""A trained function graph as a transformers model: saved as safetensors and JSON, usable in pipelines.

Knows nothing of data files or training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from fgdesign.errors import InputError
from fgdesign.graph.backbones import BackboneInfo
from fgdesign.graph.infer import params_of
from fgdesign.graph.spec import from_dict, to_dict
from fgdesign.model.build import plan
from fgdesign.model.flows import Batch, Flow
from fgdesign.model.network import FunctionGraph

PROBLEMS = {"single": "single_label_classification", "multi": "multi_label_classification", "regression": "regression"}


class FunctionGraphConfig(PreTrainedConfig):
    """graph: its JSON form. backbone: the facts of the encoder. task: single, multi or regression.

    lexical: per word function, the sizes of its fitted tensors.
    """

    model_type = "fgdesign"

    def __init__(self, graph: dict[str, Any] | None = None, backbone: dict[str, Any] | None = None,
                 task: str = "single", lexical: dict[str, dict[str, int]] | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("problem_type", PROBLEMS[task])
        super().__init__(**kwargs)
        self.graph, self.backbone, self.task = graph or {}, backbone or {}, task
        self.lexical = lexical or {}


class FunctionGraphModel(PreTrainedModel):
    """A function graph that answers with logits (B, C)."""

    config_class = FunctionGraphConfig
    base_model_prefix = "network"
    main_input_name = "input_ids"

    def __init__(self, config: FunctionGraphConfig, network: FunctionGraph | None = None) -> None:
        super().__init__(config)
        self.network = network or _empty_network(config)
        self.tokenizer: Any = None
        self.post_init()

    @classmethod
    def around(cls, network: FunctionGraph, labels: Sequence[str]) -> FunctionGraphModel:
        """The model of a network. labels: names of the C classes; empty for a regression."""
        what = network.plan
        names = list(labels) or ["value"]
        backbone = {key: value for key, value in asdict(what.backbone).items() if key != "folder"}
        config = FunctionGraphConfig(
            graph=to_dict(what.graph), backbone=backbone, task=what.task,
            lexical={node: module.sizes for node, module in network.lexicals().items()},
            id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)},
        )
        return cls(config, network)

    @property
    def dtype(self) -> torch.dtype:
        """float32, also where a graph of word functions has no parameter to tell it by."""
        return torch.float32

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """As in transformers; every tensor gets memory of its own.

        A tensor that is a view of the file may start at any byte, and kernels then sum in another order: the
        same weights would not answer with the same bits.
        """
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        for tensor in chain(model.parameters(), model.buffers()):
            tensor.data = tensor.data.clone()
        return loaded

    def _init_weights(self, module: torch.nn.Module) -> None:
        """Nothing: every tensor is read from the file."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None,
                labels: Tensor | None = None, texts: Sequence[str] | None = None,
                **ignored: Any) -> SequenceClassifierOutput:
        """Answer a padded batch.

        Args: input_ids, attention_mask, token_type_ids: (B, T) int64. labels: (B,) or (B, C), adds a loss.
            texts: the B raw texts, for word functions and rules; decoded from the ids where absent.
        Returns: logits (B, C) float32: log-probability-like, softmax or sigmoid gives probabilities.
        """
        tokens = {node: self._view(node, input_ids, attention_mask, token_type_ids)
                  for node in self.network.nodes_of_role("source")}
        batch = Batch(len(input_ids), tokens, texts=texts if texts is not None else self._decoded(input_ids),
                      device=input_ids.device)
        logits = self.network.logits(self.network(batch), len(input_ids))
        loss = None if labels is None else _loss(self.config.task, logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    def _view(self, node: str, ids: Tensor, mask: Tensor | None, segments: Tensor | None) -> Flow:
        """(B, T) ids as a text node reads them: cut to its length, the closing token kept."""
        params = params_of(self.network.plan.graph.node(node))
        if params["column"] == "second":
            raise InputError(f"Text node '{node}' reads the second text on its own; call predict with both texts.")
        mask = torch.ones_like(ids) if mask is None else mask
        segments = torch.zeros_like(ids) if segments is None else segments
        longest = int(str(params["max_length"]))
        if ids.shape[1] > longest:
            last = ids.gather(1, mask.sum(1, keepdim=True) - 1)
            cut = mask.sum(1) > longest
            ids, mask, segments = (tensor[:, :longest].clone() for tensor in (ids, mask, segments))
            ids[cut, -1] = last[cut, 0]
        real = mask.bool()
        return Flow(torch.stack([ids, segments], 1), None if bool(real.all()) else real)

    def _decoded(self, ids: Tensor) -> Sequence[str]:
        """Texts from ids, for graphs that read raw texts; nothing for the others."""
        if not {node.type for node in self.network.plan.graph.nodes} & {"lexical/1", "rule_router/1"}:
            return ()
        if self.tokenizer is None and (Path(self.config._name_or_path) / "tokenizer.json").is_file():
            self.tokenizer = AutoTokenizer.from_pretrained(self.config._name_or_path, local_files_only=True)
        if self.tokenizer is None:
            return ()
        decoded: list[str] = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return decoded


def _empty_network(config: FunctionGraphConfig) -> FunctionGraph:
    """The modules of a saved graph, without its weights."""
    backbone = replace(BackboneInfo(**config.backbone), dropout=0.0, attention_dropout=0.0)
    classes = 1 if config.task == "regression" else len(config.id2label or ())
    what = plan(from_dict(config.graph), task=config.task, classes=classes, backbone=backbone, sizes=config.lexical)
    return FunctionGraph(what)


def _loss(task: str, logits: Tensor, labels: Tensor) -> Tensor:
    if task == "single":
        return torch.nn.functional.cross_entropy(logits, labels)
    if task == "multi":
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, labels.float())
    return torch.nn.functional.mse_loss(logits[:, 0], labels.float().view(-1))


def register() -> None:
    """Make the transformers Auto classes know saved function graphs."""
    AutoConfig.register("fgdesign", FunctionGraphConfig, exist_ok=True)
    AutoModelForSequenceClassification.register(FunctionGraphConfig, FunctionGraphModel, exist_ok=True)


register()
