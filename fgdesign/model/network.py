"""A function graph as one `nn.Module`: modules, compiled steps, and what one run gives back.

Knows nothing of files, data sets or training loops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from fgdesign.graph.catalogue import CATALOGUE
from fgdesign.graph.infer import params_of, tuning_of
from fgdesign.graph.rows import ALL
from fgdesign.model import quantised
from fgdesign.model.backbone import Backbone, EncoderLayer
from fgdesign.model.build import Needed, Plan, build_modules, compile_program
from fgdesign.model.flows import Batch, Flow
from fgdesign.model.lexical import Lexical
from fgdesign.model.steps import Record, State, run_steps, run_through

PRETRAINED = ("embeddings/1", "encoder_layer/1")


@dataclass
class Outcome:
    """flows: what was asked for, by port; a port that no row reached is absent. record: what happened."""

    flows: dict[str, Flow]
    record: Record


class FunctionGraph(nn.Module):
    """Computes a graph. Frozen modules stay in evaluation mode whatever `train` says.

    Args: what: the plan. seed: of the random start. pretrained: weights to take; random ones without.
    decision: buffer; of several labels, each is given from this probability on. Fitted on validation.
    """

    decision: Tensor

    def __init__(self, what: Plan, *, seed: int = 0, pretrained: Backbone | None = None) -> None:
        super().__init__()
        self.plan = what
        self.modules_by_key, self.keys = build_modules(what, seed, pretrained)
        self.register_buffer("decision", torch.tensor(0.5))
        self.program = compile_program(what, self.modules_by_key, self.keys)
        self._of_role: dict[tuple[str, ...], list[str]] = {}
        self._needed: dict[tuple[tuple[str, ...], tuple[str, ...], bool], Needed] = {}

    @property
    def answer(self) -> str:
        """The port that is the graph's result."""
        return self.program.answer

    def quantise(self) -> None:
        """Multiply int8 numbers in the encoder layers from now on, in evaluation on a CPU; layers with LoRA stay.

        Answers change a little, and with the rows that are computed together. Raises DeviceError where the processor
        cannot.
        """
        for layer in (module for module in self.modules() if isinstance(module, EncoderLayer)):
            quantised.require(layer.ffn_norm.weight.device)
            layer.int8 = True

    def module_of(self, node_id: str) -> nn.Module:
        """The module a node runs; nodes that share weights have the same one."""
        return self.modules_by_key[self.keys[node_id]]

    def nodes_of_role(self, *roles: str) -> list[str]:
        """Node ids in running order, by the role of their type."""
        if roles not in self._of_role:
            graph = self.plan.graph
            self._of_role[roles] = [n for n in self.plan.found.order if CATALOGUE[graph.node(n).type].role in roles]
        return list(self._of_role[roles])

    @cached_property
    def views(self) -> list[tuple[str, str, int]]:
        """What the text nodes read whose tokens are needed: (node, column, longest sequence)."""
        found = [(n, params_of(self.plan.graph.node(n))) for n in self.nodes_of_role("source")
                 if self.plan.needs_tokens(n)]
        return [(n, str(params["column"]), int(str(params["max_length"]))) for n, params in found]

    def lexicals(self) -> dict[str, Lexical]:
        """The word functions, by node."""
        return {n: m for n in self.nodes_of_role("lexical") if isinstance(m := self.module_of(n), Lexical)}

    def pretrained_nodes(self) -> list[str]:
        """Nodes whose weights come from the backbone and are trained in some way."""
        graph = self.plan.graph
        return [n for n in self.keys if graph.node(n).type in PRETRAINED and tuning_of(graph.node(n)) != "frozen"]

    def train(self, mode: bool = True) -> FunctionGraph:
        super().train(mode)
        for module in self.modules_by_key.values():
            learns = [parameter.requires_grad for parameter in module.parameters()]
            if learns and not any(learns):
                module.eval()
        return self

    def needed(self, wanted: Sequence[str] = (), known: Sequence[str] = (), open_exits: bool = False) -> Needed:
        """What must run for some ports (the answer by default) when others are known; remembered.

        A value is known for all rows, so with exits closed it is of no use behind an exit.
        """
        key = (tuple(wanted) or (self.answer,), tuple(known), open_exits)
        if key not in self._needed:
            useful = [port for port in known if open_exits or self.plan.found.rows[port] == ALL]
            self._needed[key] = self.program.needed(key[0], tuple(sorted(useful)), open_exits)
        return self._needed[key]

    def forward(self, batch: Batch, *, wanted: Sequence[str] = (), open_exits: bool = False, timed: bool = False,
                count_layers: bool = False) -> Outcome:
        """Run a batch.

        Args:
            wanted: ports to compute; the graph's answer by default.
            open_exits: all rows go on at exits, as in training; the answer is then that of the last way.
            timed: note rows and seconds of every node.
            count_layers: note how many encoder layers each row ran, those behind given values included.
        """
        ports = tuple(wanted) or (self.answer,)
        needed = self.needed(ports, tuple(batch.given), open_exits)
        slots: list[Flow | None] = [None] * len(self.program.slots)
        for port in needed.given:
            slots[self.program.slots[port]] = batch.given[port]
        record = Record(timed=timed)
        if count_layers:
            spared = self.needed(ports, (), open_exits).layers - needed.layers
            record.layers = torch.full((batch.size,), spared, dtype=torch.int64, device=batch.device)
        state = State(slots, batch, record, open_exits, self.training)
        if timed or batch.steer is not None:
            run_steps(needed.steps, state)
        else:
            run_through(needed.fused, needed.dropped, needed.jumps, state)
        found = {port: slots[self.program.slots[port]] for port in ports}
        return Outcome({port: flow for port, flow in found.items() if flow is not None}, record)

    def logits(self, outcome: Outcome, size: int) -> Tensor:
        """(size, C) float32: the answer's logits in the batch's order. Every row must have been answered."""
        flow = outcome.flows[self.answer]
        if flow.rows is None:
            return flow.value
        out = flow.value.new_full((size, flow.value.shape[1]), float("nan"))
        return out.index_copy(0, flow.rows, flow.value)
