"""Prepared rows: inputs and targets of one part of the data, and running a network over them.

Knows nothing of files or optimisers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from fgdesign.data.encode import buckets
from fgdesign.model.choosing import Leave
from fgdesign.model.device import fast_dtype, precision
from fgdesign.model.flows import Batch
from fgdesign.model.inputs import Inputs
from fgdesign.model.lanes import alone, lanes_of, side_by_side
from fgdesign.model.network import FunctionGraph, Outcome
from fgdesign.model.regroup import Regrouping

EVALUATION_ROWS = 32
TOGETHER = 32  # batches among which rows that go on are regrouped; progress is told after each so many


@dataclass
class Rows:
    """N rows of one part. targets: int64 (N,), float32 (N, C) or float32 (N,). taught: per router (N,) branches."""

    inputs: Inputs
    targets: Tensor
    taught: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.targets)


def outcomes(network: FunctionGraph, inputs: Inputs, device: torch.device, *, wanted: Sequence[str] = (),
             known: Sequence[str] = (), open_exits: bool = False, count_layers: bool = False,
             batch_rows: int = EVALUATION_ROWS, only: np.ndarray | None = None) -> Iterator[tuple[np.ndarray, Outcome]]:
    """Run all rows in evaluation mode, batches of like length; yields the rows (n,) and what came of them.

    Args: known: static ports that `inputs` holds; those that are needed are read, not computed. only: the rows
        to run, all where None.
    """
    lengths = inputs.lengths if only is None else inputs.lengths[only]
    needed = network.needed(wanted, known, open_exits)

    def run(places: np.ndarray) -> tuple[np.ndarray, Outcome]:
        rows = places if only is None else only[places]
        batch = inputs.batch(rows, device, given=needed.given, tokens=needed.reads_tokens)
        with alone(len(lengths), device), _quietly(device):
            return rows, network(batch, wanted=wanted, open_exits=open_exits, count_layers=count_layers)

    with _evaluating(network):  # the longest first, so that no lane is left with one at the end
        yield from side_by_side(run, buckets(lengths, batch_rows, seed=0, epoch=0, shuffle=False)[::-1], device)


def answered(network: FunctionGraph, inputs: Inputs, device: torch.device, *, known: Sequence[str] = (),
             batch_rows: int = EVALUATION_ROWS) -> Iterator[tuple[np.ndarray, Outcome]]:
    """Answer all rows as in use, exits closed, layers counted; yields rows (n,) and what came of them.

    Where a graph has exits, the few rows of a batch that go on are joined with others: a row may then be in several
    outcomes, and is answered in the last.
    """
    needed = network.needed((), known, False)
    if len(inputs) <= batch_rows or not any(isinstance(step, Leave) for step in needed.steps):
        yield from outcomes(network, inputs, device, known=known, count_layers=True, batch_rows=batch_rows)
        return

    def make(rows: np.ndarray) -> Batch:
        return inputs.batch(rows, device, given=needed.given, tokens=needed.reads_tokens)

    batches = buckets(inputs.lengths, batch_rows, seed=0, epoch=0, shuffle=False)
    count = max(min(lanes_of(device), len(batches)), len(batches) // TOGETHER)

    def run(start: int) -> list[tuple[np.ndarray, Outcome]]:
        together = Regrouping(network, needed, make, lambda: _quietly(device))
        return list(together.run(batches[start::count]))

    with _evaluating(network):
        for found in side_by_side(run, range(count), device):
            yield from found


@contextmanager
def _evaluating(network: FunctionGraph) -> Iterator[None]:
    """Evaluation mode for a while; nothing is touched where it is so already."""
    was_training = network.training
    if was_training:
        network.eval()
    try:
        yield
    finally:
        if was_training:
            network.train()


@contextmanager
def _quietly(device: torch.device) -> Iterator[None]:
    with torch.inference_mode(), precision(device, fast_dtype(device)):
        yield


def collect(network: FunctionGraph, inputs: Inputs, device: torch.device, ports: Sequence[str], *,
            known: Sequence[str] = (), only: np.ndarray | None = None,
            see: Callable[[Outcome, np.ndarray], None] | None = None) -> dict[str, Tensor]:
    """Values of some vector or logits ports, exits open: (N, D) float32, NaN where a row has none or was not run.

    Args: only: as in `outcomes`. see: is shown every outcome and its rows.
    """
    widths = {port: network.plan.found.values[port].width for port in ports}
    found = {port: torch.full((len(inputs), int(width or 1)), float("nan")) for port, width in widths.items()}
    for rows, outcome in outcomes(network, inputs, device, wanted=ports, known=known, open_exits=True, only=only):
        if see:
            see(outcome, rows)
        for port, flow in outcome.flows.items():
            value = flow.value.float().cpu()
            places = torch.from_numpy(rows)
            found[port][places if flow.rows is None else places[flow.rows.cpu()]] = value
    return found
