"""A trained function graph as a transformers model: saved as safetensors and JSON, usable in pipelines.

Knows nothing of data files or training.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from fgdesign.errors import InputError
from fgdesign.graph.infer import params_of
from fgdesign.model.configuration import FunctionGraphConfig
from fgdesign.model.flows import Batch, Flow
from fgdesign.model.network import FunctionGraph
from fgdesign.model.stored import empty_network, facts_of


class FunctionGraphModel(PreTrainedModel):
    """A function graph that answers with logits (B, C)."""

    config_class = FunctionGraphConfig
    base_model_prefix = "network"
    main_input_name = "input_ids"

    def __init__(self, config: FunctionGraphConfig, network: FunctionGraph | None = None) -> None:
        super().__init__(config)
        self.network = network or empty_network(vars(config) | {"id2label": config.id2label})
        self.tokenizer: Any = None
        self.post_init()

    @classmethod
    def around(cls, network: FunctionGraph, labels: Sequence[str]) -> FunctionGraphModel:
        """The model of a network. labels: names of the C classes; empty for a regression."""
        return cls(FunctionGraphConfig(**facts_of(network, labels)), network)

    @property
    def dtype(self) -> torch.dtype:
        """float32, also where a graph of word functions has no parameter to tell it by."""
        return torch.float32

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """As in transformers; every tensor gets memory of its own, for the reason `stored.load_network` tells."""
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


def _loss(task: str, logits: Tensor, labels: Tensor) -> Tensor:
    if task == "single":
        return torch.nn.functional.cross_entropy(logits, labels)
    if task == "multi":
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, labels.float())
    return torch.nn.functional.mse_loss(logits[:, 0], labels.float().view(-1))


AutoModelForSequenceClassification.register(FunctionGraphConfig, FunctionGraphModel, exist_ok=True)
