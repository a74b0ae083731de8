"""The steps of a compiled graph: each takes flows from slots, computes, and puts flows into slots.

The order, the slots and which inputs surely hold the same rows are fixed when a graph is built; running a
step searches nothing. Knows nothing of how graphs are written.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from fgdesign.errors import InputError
from fgdesign.model.blocks.routers import Choice
from fgdesign.model.flows import Batch, Flow, positions_in, shared, united_rows
from fgdesign.model.lexical import Lexical
from fgdesign.model.rules import Decision, decide


@dataclass
class Record:
    """What happened in one run, for losses, metrics and traces.

    choices: per learned router its rows and choice. exits: per exit the rows and logits it saw, and the
    certainty. answers: per answer port's input, the rows that came from it. calls: per node the rows it ran
    on (None for all) and the seconds it took; filled only when `timed`. layers: (B,) encoder layers run per row.
    """

    timed: bool = False
    choices: dict[str, tuple[Tensor | None, Choice]] = field(default_factory=dict)
    exits: dict[str, tuple[Flow, Tensor]] = field(default_factory=dict)
    decisions: dict[str, tuple[Tensor | None, list[Decision]]] = field(default_factory=dict)
    branches: dict[str, dict[str, Tensor | None]] = field(default_factory=dict)
    calls: dict[str, tuple[Tensor | None, int, float]] = field(default_factory=dict)
    layers: Tensor | None = None


@dataclass
class State:
    """Slots of one run, and what is recorded on the way."""

    slots: list[Flow | None]
    batch: Batch
    record: Record
    open_exits: bool


@dataclass
class Step:
    """One node of a compiled graph. inputs: slots in port order. outputs: slots by port, in catalogue order."""

    node: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def run(self, state: State) -> None:
        raise AssertionError("every kind of step runs in its own way")

    def _flows(self, state: State, aligned: bool) -> list[Flow] | None:
        """All inputs on the rows they share; None where one has no rows."""
        flows = [state.slots[i] for i in self.inputs]
        if any(flow is None for flow in flows):
            return None
        present = [flow for flow in flows if flow is not None]
        return present if aligned else shared(present, state.batch.size)


@dataclass
class Source(Step):
    """A text node: its tokens come with the batch."""

    def run(self, state: State) -> None:
        flow = state.batch.tokens.get(self.node)
        if flow is None:
            raise InputError(f"Text node '{self.node}' was given no tokens. Pass texts, or both texts of a pair.")
        state.slots[self.outputs[0]] = flow


@dataclass
class Call(Step):
    """An ordinary function on the rows all inputs share."""

    block: nn.Module
    aligned: bool = True

    def run(self, state: State) -> None:
        flows = self._flows(state, self.aligned)
        if flows is None:
            return
        first = flows[0]
        out = self.block([flow.value for flow in flows], first.mask)
        mask = first.mask
        if isinstance(out, tuple):
            out, mask = out
        state.slots[self.outputs[0]] = Flow(out, mask if out.dim() == 3 else None, first.rows, _joined_gates(flows))


@dataclass
class Embed(Call):
    """The backbone's embeddings: tokens to a sequence."""

    def run(self, state: State) -> None:
        flow = state.slots[self.inputs[0]]
        if flow is None:
            return
        ids, segments = flow.value.unbind(1)
        mask = torch.ones_like(ids, dtype=torch.bool) if flow.mask is None else flow.mask
        state.slots[self.outputs[0]] = Flow(self.block(ids, segments, mask), flow.mask, flow.rows, flow.gates)


@dataclass
class Layer(Call):
    """An encoder layer; counts itself per row, and may be dropped for a training batch."""

    drop: float = 0.0

    def run(self, state: State) -> None:
        flow = state.slots[self.inputs[0]]
        if flow is None:
            return
        counts = state.record.layers
        if counts is not None:
            counts[... if flow.rows is None else flow.rows] += 1
        if self.drop and self.block.training and torch.rand(()) < self.drop:
            state.slots[self.outputs[0]] = flow
            return
        mask = None if flow.mask is None else flow.mask[:, None, None, :]
        state.slots[self.outputs[0]] = Flow(self.block(flow.value, mask), flow.mask, flow.rows, flow.gates)


@dataclass
class HeadCall(Call):
    """A head: gates still open scale its logits, so that routers above it learn."""

    def run(self, state: State) -> None:
        flow = state.slots[self.inputs[0]]
        if flow is None:
            return
        logits = self.block([flow.value], None)
        for gate in flow.gates.values():
            logits = logits * gate.unsqueeze(1)
        state.slots[self.outputs[0]] = Flow(logits, None, flow.rows)


@dataclass
class Words(Step):
    """A word function: reads the raw texts of its rows."""

    block: Lexical
    second: bool

    def run(self, state: State) -> None:
        flow = state.slots[self.inputs[0]]
        if flow is None:
            return
        texts = row_texts(state.batch, flow.rows, self.second)
        state.slots[self.outputs[0]] = Flow(self.block(texts), None, flow.rows)


@dataclass
class Unite(Step):
    """A merge: every row that any input holds, the gates that end here applied."""

    block: nn.Module
    closing: frozenset[str]

    def run(self, state: State) -> None:
        present = [flow for i in self.inputs if (flow := state.slots[i]) is not None]
        if not present:
            return
        flows = [state.slots[i] or _empty(present[0]) for i in self.inputs]
        rows = united_rows(present, state.batch.size)
        state.slots[self.outputs[0]] = _merged(self.block, flows, rows, self.closing, state.batch.size)


@dataclass
class Join(Step):
    """A merge of opinions on the rows that all inputs share."""

    block: nn.Module
    closing: frozenset[str]
    aligned: bool

    def run(self, state: State) -> None:
        flows = self._flows(state, self.aligned)
        if flows is not None:
            state.slots[self.outputs[0]] = _merged(self.block, flows, flows[0].rows, self.closing, state.batch.size)


@dataclass
class Route(Step):
    """A learned router. `by` is the place among the inputs of what it scores."""

    block: nn.Module
    by: int
    aligned: bool
    names: Sequence[str]

    def run(self, state: State) -> None:
        flows = self._flows(state, self.aligned)
        if flows is None:
            return
        flow, control = flows[0], flows[self.by]
        choice: Choice = self.block(control.value, control.mask)
        state.record.choices[self.node] = (flow.rows, choice)
        for branch, slot in enumerate(self.outputs):
            if slot < 0:
                continue
            part = _branch(flow, choice.called[:, branch])
            if part is not None:
                held, places = part
                gate = choice.gates[:, branch] if places is None else choice.gates[places, branch]
                state.slots[slot] = Flow(held.value, held.mask, held.rows, {**held.gates, self.node: gate})


@dataclass
class RuleRoute(Step):
    """A rule router: decides by the raw row, and by the confidence of logits where a rule asks for it."""

    rules: Sequence[Mapping[str, Any]]
    default: int
    aligned: bool
    second: bool

    def run(self, state: State) -> None:
        flows = self._flows(state, self.aligned)
        if flows is None:
            return
        flow = flows[0]
        texts = row_texts(state.batch, flow.rows, self.second)
        sure = certainty(flows[1].value, "confidence").tolist() if len(flows) > 1 else [None] * len(texts)
        places = range(state.batch.size) if flow.rows is None else flow.rows.tolist()
        columns = state.batch.columns
        decided = [
            decide(self.rules, self.default, text, {name: column[place] for name, column in columns.items()}, share)
            for text, place, share in zip(texts, places, sure, strict=True)
        ]
        state.record.decisions[self.node] = (flow.rows, decided)
        taken = torch.tensor([decision.branch - 1 for decision in decided], device=flow.value.device)
        for branch, slot in enumerate(self.outputs):
            part = _branch(flow, taken == branch) if slot >= 0 else None
            if part is not None:
                state.slots[slot] = part[0]


@dataclass
class Leave(Step):
    """An exit: sure rows answer, the others go on. Open, as in training: all go on and none answers."""

    block: Exit
    aligned: bool

    def run(self, state: State) -> None:
        if state.open_exits:
            state.slots[self.outputs[1]] = state.slots[self.inputs[0]]
            return
        flows = self._flows(state, self.aligned)
        if flows is None:
            return
        flow, logits = flows
        sure = certainty(logits.value, self.block.measure, several=self.block.several)
        state.record.exits[self.node] = (logits, sure)
        leaving = sure >= self.block.threshold
        for slot, held, chosen in ((self.outputs[0], logits, leaving), (self.outputs[1], flow, ~leaving)):
            part = _branch(held, chosen) if slot >= 0 else None
            if part is not None:
                state.slots[slot] = part[0]


class Exit(nn.Module):
    """The settings of an exit: how sureness is measured, and the threshold, fitted on validation."""

    threshold: Tensor

    def __init__(self, *, measure: str, threshold: float, several: bool) -> None:
        super().__init__()
        self.measure, self.several = measure, several
        self.register_buffer("threshold", torch.tensor(float(threshold)))


@dataclass
class Collect(Step):
    """The answer node: logits of exits and branches, one for each row. Sources are named for the record."""

    sources: Sequence[str]

    def run(self, state: State) -> None:
        flows = [(name, flow) for name, i in zip(self.sources, self.inputs, strict=True)
                 if (flow := state.slots[i]) is not None]
        state.record.branches[self.node] = {name: flow.rows for name, flow in flows}
        if len(flows) == 1:
            state.slots[self.outputs[0]] = flows[0][1]
        elif flows:
            rows = united_rows([flow for _, flow in flows], state.batch.size)
            count = state.batch.size if rows is None else len(rows)
            out = flows[0][1].value.new_zeros((count, flows[0][1].value.shape[1]), dtype=torch.float32)
            for _, flow in flows:
                places = positions_in(flow, rows, state.batch.size)
                out = flow.value if places is None else out.index_copy(0, places, flow.value.float())
            state.slots[self.outputs[0]] = Flow(out, None, rows)


def certainty(logits: Tensor, measure: str, *, several: bool = False) -> Tensor:
    """(n, C) logits -> (n,) sureness in 0..1: largest probability, 1 - normalised entropy, or lead.

    Where a row may have several labels, each label is a yes or no of its own, and the mean over labels counts.
    """
    probabilities = logits.float().softmax(-1)
    if several:
        yes = logits.float().sigmoid()
        probabilities = torch.stack([yes, 1 - yes], -1)
    if measure == "entropy":
        sure = 1 - torch.special.entr(probabilities).sum(-1) / math.log(max(2, probabilities.shape[-1]))
    elif measure == "margin" and probabilities.shape[-1] > 1:
        best = probabilities.topk(2, dim=-1).values
        sure = best[..., 0] - best[..., 1]
    else:
        sure = probabilities.amax(-1)
    return sure.mean(-1) if several else sure


def row_texts(batch: Batch, rows: Tensor | None, second: bool) -> list[str]:
    """The raw texts of these rows. Raises InputError where the batch has none."""
    texts = batch.texts_b if second and batch.texts_b is not None else batch.texts
    if not texts:
        raise InputError("This graph reads raw texts (a word function or rules), but only token ids were given. "
                         "Pass texts=[...] too.")
    return list(texts) if rows is None else [texts[i] for i in rows.tolist()]


def run_steps(steps: Sequence[Step], state: State) -> None:
    """Run the steps in order; when the record is timed, note rows and seconds of each."""
    if not state.record.timed:
        for step in steps:
            step.run(state)
        return
    for step in steps:
        start = _clock(state.batch.device)
        step.run(state)
        seconds = _clock(state.batch.device) - start
        inputs = [state.slots[i] for i in step.inputs]
        called = [flow for flow in inputs if flow is not None]
        if called or not step.inputs:
            out = next((state.slots[i] for i in step.outputs if i >= 0 and state.slots[i] is not None), None)
            flow = out if out is not None and not isinstance(step, Route | RuleRoute | Leave) else \
                min(called, key=len, default=out)
            if flow is not None:
                state.record.calls[step.node] = (flow.rows, len(flow), seconds)


def _clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _branch(flow: Flow, chosen: Tensor) -> tuple[Flow, Tensor | None] | None:
    """The chosen rows (n,) bool of a flow and their places; places None where that is all, None for no rows."""
    places = chosen.nonzero().squeeze(1)
    if not len(places):
        return None
    if len(places) == len(flow):
        return flow, None
    rows = places if flow.rows is None else flow.rows.index_select(0, places)
    return flow.at(places, rows), places


def _joined_gates(flows: Sequence[Flow]) -> Mapping[str, Tensor]:
    if len(flows) == 1:
        return flows[0].gates
    return {router: gate for flow in flows for router, gate in flow.gates.items()}


def _merged(block: nn.Module, flows: Sequence[Flow], rows: Tensor | None, closing: frozenset[str],
            size: int) -> Flow:
    count = size if rows is None else len(rows)
    positions = [positions_in(flow, rows, size) for flow in flows]
    weights = [_closed_gate(flow, closing) for flow in flows]
    value = block([flow.value for flow in flows], positions, weights, count)
    return Flow(value, _united_mask(flows, positions, count), rows, _open_gates(flows, positions, count, closing))


def _empty(like: Flow) -> Flow:
    """A flow of the same kind that holds no rows: the input of a merge whose branch nobody called."""
    none = torch.empty(0, dtype=torch.int64, device=like.value.device)
    return Flow(like.value[:0], None if like.mask is None else like.mask[:0], none)


def _closed_gate(flow: Flow, closing: frozenset[str]) -> Tensor | None:
    weight = None
    for router, gate in flow.gates.items():
        if router in closing:
            weight = gate if weight is None else weight * gate
    return weight


def _open_gates(flows: Sequence[Flow], positions: Sequence[Tensor | None], count: int,
                closing: frozenset[str]) -> dict[str, Tensor]:
    """Gates that stay open; all inputs came through the same branch, so each row's gate is the same in all."""
    found: dict[str, Tensor] = {}
    for flow, places in zip(flows, positions, strict=True):
        for router, gate in flow.gates.items():
            if router not in closing:
                base = found.get(router, gate.new_ones(count))
                found[router] = gate if places is None else base.index_copy(0, places, gate)
    return found


def _united_mask(flows: Sequence[Flow], positions: Sequence[Tensor | None], count: int) -> Tensor | None:
    if all(flow.mask is None for flow in flows):
        return None
    first = next(flow.mask for flow in flows if flow.mask is not None)
    out = torch.ones((count, first.shape[1]), dtype=torch.bool, device=first.device)
    for flow, places in zip(flows, positions, strict=True):
        mask = torch.ones_like(out[: len(flow)]) if flow.mask is None else flow.mask
        out = mask if places is None else out.index_copy(0, places, mask)
    return out
