"""The steps of a compiled graph: each takes flows from slots, computes, and puts flows into slots.

The order, the slots and which inputs surely hold the same rows are fixed when a graph is built; running a
step searches nothing. Knows nothing of how graphs are written.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from fgdesign.errors import InputError
from fgdesign.model.blocks.routers import Choice
from fgdesign.model.flows import Batch, Flow, column_texts, positions_in, shared, united_rows
from fgdesign.model.lexical import Lexical
from fgdesign.model.rules import Decision


@dataclass
class Record:
    """What happened in one run, for losses, metrics and traces. Rows are batch rows, None for all of them.

    choices: per learned router its rows and choice. decisions: per rule router its rows and their decisions.
    exits: per closed exit the logits it saw and how sure they are. branches: per answer node the rows that each
    of its inputs brought. calls: per node that ran its rows, how many, and the seconds it took; filled only when
    `timed`. layers: (B,) int64 encoder layers run per row, where they are counted.
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
    """Slots of one run, and what is recorded on the way. training: the network learns, frozen parts included."""

    slots: list[Flow | None]
    batch: Batch
    record: Record
    open_exits: bool
    training: bool = False


@dataclass
class Step:
    """One node of a compiled graph. inputs: slots in port order. outputs: slots by port, in catalogue order."""

    node: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def run(self, state: State) -> None:
        raise AssertionError("every kind of step runs in its own way")

    def _flows(self, state: State, aligned: bool) -> list[Flow] | None:
        """All inputs on the rows they share; None where they share none."""
        present = [flow for i in self.inputs if (flow := state.slots[i]) is not None]
        if len(present) < len(self.inputs):
            return None
        return present if aligned else shared(present, state.batch.size)


@dataclass
class Source(Step):
    """A text node: its tokens come with the batch. silent: only word functions read it, so it needs none."""

    silent: bool = False

    def run(self, state: State) -> None:
        flow = state.batch.tokens.get(self.node)
        if flow is None and self.silent:
            flow = Flow(torch.empty((state.batch.size, 2, 0), dtype=torch.int64, device=state.batch.device))
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
        if self.drop and state.training and torch.rand(()) < self.drop:
            state.slots[self.outputs[0]] = flow
            return
        if state.record.layers is not None:
            state.record.layers[... if flow.rows is None else flow.rows] += 1
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
    """A word function: reads the raw texts of its rows. column: which ones, as the text node above says."""

    block: Lexical
    column: str

    def run(self, state: State) -> None:
        flow = state.slots[self.inputs[0]]
        if flow is None:
            return
        texts = row_texts(state.batch, flow.rows, self.column)
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


def row_texts(batch: Batch, rows: Tensor | None, column: str) -> list[str]:
    """The raw texts of these rows, as a text node of that column reads them. Raises InputError without any."""
    texts = column_texts(column, batch.texts, batch.texts_b)
    if not texts:
        raise InputError("This graph reads raw texts (a word function or rules), but only token ids were given. "
                         "Pass texts=[...] too.")
    return list(texts) if rows is None else [texts[i] for i in rows.tolist()]


def run_through(steps: Sequence[Step], dropped: Sequence[Sequence[int]], jumps: Mapping[int, tuple[int, int]],
                state: State) -> None:
    """Run the steps in order, neither timed nor steered, and empty the slots that no later one reads.

    jumps: by the place of an exit, the slot of the rows that go on and the next step that has work without them.
    """
    slots, place = state.slots, 0
    while place < len(steps):
        steps[place].run(state)
        for slot in dropped[place]:
            slots[slot] = None
        jump = jumps.get(place)
        place = place + 1 if jump is None or slots[jump[0]] is not None else jump[1]


def run_steps(steps: Sequence[Step], state: State) -> None:
    """Run the steps in order; when the record is timed, note rows and seconds of each that ran."""
    if not state.record.timed:
        for step in steps:
            run_step(step, state)
        return
    for step in steps:
        start = _clock(state.batch.device)
        run_step(step, state)
        seconds = _clock(state.batch.device) - start
        made = [flow for i in step.outputs if i >= 0 and (flow := state.slots[i]) is not None]
        if made:
            rows = united_rows(made, state.batch.size)
            state.record.calls[step.node] = (rows, state.batch.size if rows is None else len(rows), seconds)


def run_step(step: Step, state: State) -> None:
    """Run a step, or hand its first input on where the batch is steered past it."""
    if state.batch.steer is not None and step.node in state.batch.steer.passed:
        state.slots[step.outputs[0]] = state.slots[step.inputs[0]]
    else:
        step.run(state)


def _clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _joined_gates(flows: Sequence[Flow]) -> Mapping[str, Tensor]:
    if len(flows) == 1:
        return flows[0].gates
    return {router: gate for flow in flows for router, gate in flow.gates.items()}


def _merged(block: nn.Module, flows: Sequence[Flow], rows: Tensor | None, closing: frozenset[str],
            size: int) -> Flow:
    count = size if rows is None else len(rows)
    if all(flow.rows is rows and flow.mask is None and not flow.gates for flow in flows):
        none = [None] * len(flows)
        return Flow(block([flow.value for flow in flows], none, none, count), None, rows)
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
