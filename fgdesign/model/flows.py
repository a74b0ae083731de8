"""Values on their way through a graph, each with the rows of the batch it holds and its gates.

Knows nothing of node types; `steps` moves flows, `blocks` compute on their tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fgdesign.model.steer import Steer


class Flow:
    """A value for some rows of a batch.

    value: (n, 2, T) int64 ids and segments for tokens, (n, T, H) for a sequence, (n, D) for a vector,
        (n, C) for logits.
    mask: (n, T) bool, True on real positions; None for vectors and where nothing is padded.
    rows: (n,) int64 ascending rows of the batch, or None for all of them.
    gates: per learned router still open, the weight (n,) this row's branch was given.
    """

    __slots__ = ("gates", "mask", "rows", "value")

    def __init__(self, value: Tensor, mask: Tensor | None = None, rows: Tensor | None = None,
                 gates: Mapping[str, Tensor] | None = None) -> None:
        self.value, self.mask, self.rows, self.gates = value, mask, rows, gates or {}

    def __len__(self) -> int:
        return self.value.shape[0]

    def at(self, positions: Tensor, rows: Tensor) -> Flow:
        """The flow for a part of its rows. `positions`: (m,) places in this flow; `rows`: (m,) batch rows."""
        return Flow(
            self.value.index_select(0, positions),
            None if self.mask is None else self.mask.index_select(0, positions),
            rows,
            {router: gate.index_select(0, positions) for router, gate in self.gates.items()},
        )


@dataclass
class Batch:
    """One batch of inputs.

    tokens: per text node its flow of ids. given: ports whose value is already known (the static part).
    texts, texts_b, columns: the raw rows, for rules and word functions; empty where they are not known.
    steer: what is done otherwise than the graph would; None for nothing.
    """

    size: int
    tokens: dict[str, Flow] = field(default_factory=dict)
    given: dict[str, Flow] = field(default_factory=dict)
    texts: Sequence[str] = ()
    texts_b: Sequence[str] | None = None
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    steer: Steer | None = None


def column_texts(column: str, texts: Sequence[str], texts_b: Sequence[str] | None) -> Sequence[str]:
    """What a text node of that column reads of N rows: the text, the second one, or ("all") both in one."""
    if texts_b is None or column == "text":
        return texts
    return texts_b if column == "second" else [f"{a} {b}" for a, b in zip(texts, texts_b, strict=True)]


def places(rows: Tensor, size: int) -> Tensor:
    """(size,) int64: where each batch row stands in `rows`; -1 where it does not."""
    table = torch.full((size,), -1, dtype=torch.int64, device=rows.device)
    table[rows] = torch.arange(len(rows), device=rows.device)
    return table


def shared(flows: Sequence[Flow], size: int) -> list[Flow] | None:
    """The same flows on the rows they all hold, or None where they share none."""
    first = flows[0].rows
    if not all(flow.rows is first for flow in flows):
        held = torch.ones(size, dtype=torch.bool, device=flows[0].value.device)
        for flow in flows:
            if flow.rows is not None:
                mine = torch.zeros_like(held)
                mine[flow.rows] = True
                held &= mine
        rows = held.nonzero().squeeze(1)
        flows = [_cut_to(flow, rows, size) for flow in flows]
    return list(flows) if len(flows[0]) else None


def _cut_to(flow: Flow, rows: Tensor, size: int) -> Flow:
    if flow.rows is None:
        return flow.at(rows, rows)
    if len(flow.rows) == len(rows):  # `rows` is a part of flow.rows, so they are equal
        return Flow(flow.value, flow.mask, rows, flow.gates)
    return flow.at(places(flow.rows, size).index_select(0, rows), rows)


def united_rows(flows: Sequence[Flow], size: int) -> Tensor | None:
    """(n,) rows that at least one flow holds; None for all."""
    if any(flow.rows is None for flow in flows):
        return None
    held = torch.zeros(size, dtype=torch.bool, device=flows[0].value.device)
    for flow in flows:
        held[flow.rows] = True
    rows = held.nonzero().squeeze(1)
    return None if len(rows) == size else rows


def positions_in(flow: Flow, rows: Tensor | None, size: int) -> Tensor | None:
    """(n,) where the flow's rows stand among `rows`; None where they are the same."""
    if flow.rows is None or flow.rows is rows:
        return None
    if rows is None:
        return flow.rows
    if len(rows) == len(flow.rows):
        return None
    return places(rows, size).index_select(0, flow.rows)
