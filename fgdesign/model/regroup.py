"""The few rows that go on at an exit wait for others, so that the deeper steps run on full batches again.

Where few of a batch go on, they are cut out of every value still needed, padding included, and joined with
the rows that other batches left behind. A row's answer does not depend on who shares its batch. Evaluation only.
Knows nothing of data sets or metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fgdesign.model.build import Needed
from fgdesign.model.choosing import Leave
from fgdesign.model.flows import Batch, Flow, places
from fgdesign.model.network import FunctionGraph, Outcome
from fgdesign.model.steps import Record, State, run_step

FEW = 256  # tokens; a product over more of them is about as fast for each as any larger one


@dataclass
class Part:
    """Rows on their way.

    ids: (n,) which rows they are. step: the next to run. slots: the values they carry. tokens: padding included.
    """

    ids: np.ndarray
    step: int
    batch: Batch
    slots: dict[int, Flow]
    tokens: int = 0


@dataclass
class Regrouping:
    """One pass over many rows with exits closed.

    make: a batch from (n,) row ids. mode: what everything runs in, such as inference mode; never held over a yield.
    """

    network: FunctionGraph
    needed: Needed
    make: Callable[[np.ndarray], Batch]
    mode: Callable[[], AbstractContextManager[object]]

    def __post_init__(self) -> None:
        steps = self.needed.steps
        self.reads: dict[int, set[int]] = {}
        for at, step in enumerate(steps[:-1], start=1):
            if isinstance(step, Leave) and min(step.outputs) >= 0:
                made = {slot for later in steps[at:] for slot in later.outputs}
                self.reads[at] = {slot for later in steps[at:] for slot in later.inputs} - made
        self.waiting: dict[int, list[Part]] = {at: [] for at in self.reads}

    def run(self, batches: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, Outcome]]:
        """Run all rows. Yields ids (n,) and what came of them; each row is answered in one outcome, and its record is
        spread over all outcomes that hold it."""
        for ids in batches:
            batch = self.make(ids)
            slots = {self.network.program.slots[port]: batch.given[port] for port in self.needed.given}
            yield self._advance(Part(ids, 0, batch, slots))
            yield from self._waiting(FEW)
        yield from self._waiting(1)

    def _waiting(self, least: int) -> Iterator[tuple[np.ndarray, Outcome]]:
        """Run those that wait, exit by exit, where they hold `least` tokens or more."""
        for at in self.waiting:
            while sum(part.tokens for part in self.waiting[at]) >= least:
                yield self._advance(self._gathered(at))

    def _advance(self, part: Part) -> tuple[np.ndarray, Outcome]:
        """Run a part to the end; rows that should wait are put aside on the way."""
        slots: list[Flow | None] = [None] * len(self.network.program.slots)
        for slot, flow in part.slots.items():
            slots[slot] = flow
        size, device = part.batch.size, part.batch.device
        spared = 0 if part.step else self.network.needed((), (), False).layers - self.needed.layers
        record = Record(layers=torch.full((size,), spared, dtype=torch.int64, device=device))
        state = State(slots, part.batch, record, open_exits=False)
        with self.mode():
            for at, step in enumerate(self.needed.steps[part.step:], start=part.step + 1):
                run_step(step, state)
                staying = slots[step.outputs[1]] if at in self.reads else None
                if staying is not None and len(staying) < size and _tokens(staying) < FEW:
                    self._put_aside(part, at, staying, state)
        answer = slots[self.network.program.slots[self.network.answer]]
        flows = {} if answer is None else {self.network.answer: answer}
        return part.ids, Outcome(flows, record)

    def _put_aside(self, part: Part, at: int, staying: Flow, state: State) -> None:
        """Move the staying rows of every value that is still read from this run to those that wait."""
        size = part.batch.size
        rows = torch.arange(size, device=part.batch.device) if staying.rows is None else staying.rows
        table = places(rows, size)
        kept = {}
        for slot in self.reads[at]:
            flow = state.slots[slot]
            if flow is not None:
                stay, leave = _split(flow, table, len(rows))
                state.slots[slot] = leave
                if stay is not None:
                    kept[slot] = stay
        chosen, old = rows.tolist(), part.batch
        batch = replace(
            old, size=len(rows), tokens={}, given={}, texts=[old.texts[i] for i in chosen] if old.texts else (),
            texts_b=None if old.texts_b is None else [old.texts_b[i] for i in chosen],
            columns={name: [column[i] for i in chosen] for name, column in old.columns.items()})
        self.waiting[at].append(Part(part.ids[rows.cpu().numpy()], at, batch, kept, _tokens(staying)))

    def _gathered(self, at: int) -> Part:
        """All parts that wait there, joined."""
        parts, self.waiting[at] = self.waiting[at], []
        count = sum(len(part.ids) for part in parts)
        if len(parts) == 1:
            return parts[0]
        starts = np.cumsum([0, *(len(part.ids) for part in parts)]).tolist()
        first = parts[0].batch
        batch = replace(
            first, size=count, texts=[text for part in parts for text in part.batch.texts],
            texts_b=None if first.texts_b is None else [text for part in parts for text in part.batch.texts_b or ()],
            columns={name: [cell for part in parts for cell in part.batch.columns[name]] for name in first.columns})
        slots = {}
        for slot in sorted({slot for part in parts for slot in part.slots}):
            held = [(start, part.batch.size, part.slots[slot])
                    for start, part in zip(starts, parts, strict=False) if slot in part.slots]
            slots[slot] = _joined(held, count)
        return Part(np.concatenate([part.ids for part in parts]), at, batch, slots)


def _split(flow: Flow, table: Tensor, count: int) -> tuple[Flow | None, Flow | None]:
    """The staying rows of a flow, numbered anew, and the others under their old numbers.

    Args: table: (B,) int64, the new number of each batch row, -1 for those that do not stay. count: how many stay.
    """
    numbers = table if flow.rows is None else table.index_select(0, flow.rows)
    stay, leave = (numbers >= 0).nonzero().squeeze(1), (numbers < 0).nonzero().squeeze(1)
    rows = torch.arange(len(table), device=table.device) if flow.rows is None else flow.rows
    left = flow.at(leave, rows.index_select(0, leave)) if len(leave) else None
    if not len(stay):
        return None, left
    kept = _trimmed(flow.at(stay, numbers.index_select(0, stay)))
    kept.rows = None if len(kept) == count else kept.rows
    return kept, left


def _trimmed(flow: Flow) -> Flow:
    """The same rows without columns that are padding in all of them."""
    if flow.mask is None:
        return flow
    lengths = flow.mask.sum(1)
    longest = int(lengths.max())
    value = flow.value[..., :longest] if _is_tokens(flow) else flow.value[:, :longest]
    mask = None if bool((lengths == longest).all()) else flow.mask[:, :longest]
    return Flow(value, mask, flow.rows, flow.gates)


def _joined(held: Sequence[tuple[int, int, Flow]], count: int) -> Flow:
    """Flows of several parts as one of `count` rows. held: per part its first row, its size and its flow."""
    flows = [flow for _, _, flow in held]
    rows = torch.cat([start + (torch.arange(size, device=flow.value.device) if flow.rows is None else flow.rows)
                      for start, size, flow in held])
    gates = {router: torch.cat([flow.gates[router] for flow in flows]) for router in flows[0].gates}
    whole = None if len(rows) == count else rows
    if flows[0].value.dim() == 2:
        return Flow(torch.cat([flow.value for flow in flows]), None, whole, gates)
    lengths = [flow.value.shape[2 if _is_tokens(flow) else 1] for flow in flows]
    longest = max(lengths)
    value = torch.cat([_padded(flow, longest - length) for flow, length in zip(flows, lengths, strict=True)])
    if all(flow.mask is None for flow in flows) and len(set(lengths)) == 1:
        return Flow(value, None, whole, gates)
    masks = [torch.ones(len(flow), length, dtype=torch.bool, device=value.device) if flow.mask is None else flow.mask
             for flow, length in zip(flows, lengths, strict=True)]
    return Flow(value, torch.cat([F.pad(mask, (0, longest - mask.shape[1])) for mask in masks]), whole, gates)


def _tokens(flow: Flow) -> int:
    return len(flow) * (1 if flow.value.dim() == 2 else flow.value.shape[2 if _is_tokens(flow) else 1])


def _padded(flow: Flow, missing: int) -> Tensor:
    if not missing:
        return flow.value
    return F.pad(flow.value, (0, missing) if _is_tokens(flow) else (0, 0, 0, missing))


def _is_tokens(flow: Flow) -> bool:
    """True for (n, 2, T) ids and segments, False for (n, T, H) hidden states."""
    return flow.value.dim() == 3 and not flow.value.is_floating_point()
