"""Which rows each step of training learns from: a function of seed, stage and epoch alone.

So a resumed run sees the rows that it would have seen. Knows nothing of networks or devices.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fgdesign.data.encode import buckets
from fgdesign.training.settings import Settings

WARM_ROWS = 64
WARM_STEPS = 400
WARM_EPOCHS = 8
MOST_WARM_EPOCHS = 40
FEW_ROWS = 5000
TRIAL_STEPS = 48
STEP_WORK = 5e8  # multiply-adds that take as long as what every step costs whatever it computes


@dataclass(frozen=True)
class Order:
    """The steps of a stage. lengths: (N,) tokens per row. seed: of the stage."""

    lengths: np.ndarray
    epochs: int
    batch_size: int
    batch_tokens: int
    accumulate: int
    seed: int

    @cached_property
    def starts(self) -> list[int]:
        """The first step of each epoch, and the number of all steps."""
        if not self.batch_tokens:
            per_epoch = steps_per_epoch(len(self.lengths), self.batch_size, self.accumulate)
            return [epoch * per_epoch for epoch in range(self.epochs + 1)]
        sizes = [math.ceil(len(self._batches(epoch)) / self.accumulate) for epoch in range(self.epochs)]
        return [0, *np.cumsum(sizes).tolist()]

    @property
    def total(self) -> int:
        """Steps of all epochs."""
        return self.starts[-1]

    def steps(self, first: int) -> Iterator[tuple[int, int, list[np.ndarray]]]:
        """(step, epoch, batches whose gradients are summed) from step `first` on."""
        for epoch, (start, end) in enumerate(zip(self.starts[:-1], self.starts[1:], strict=True)):
            if first >= end:
                continue
            batches = self._batches(epoch)
            for step in range(max(first, start), end):
                place = (step - start) * self.accumulate
                yield step, epoch, batches[place:place + self.accumulate]

    def _batches(self, epoch: int) -> list[np.ndarray]:
        return buckets(self.lengths, self.batch_size, seed=self.seed, epoch=epoch, shuffle=True,
                       tokens=self.batch_tokens)


def order_of(lengths: np.ndarray, epochs: int, batch_size: int, settings: Settings, number: int) -> Order:
    """The order of a stage, by its number."""
    return Order(lengths, epochs, batch_size, settings.batch_tokens, settings.accumulate,
                 settings.seed * 1009 + number)


def steps_per_epoch(rows: int, batch_size: int, accumulate: int = 1) -> int:
    """Updates in one pass over the rows."""
    return math.ceil(math.ceil(rows / batch_size) / accumulate)


def rows_per_batch(settings: Settings, tokens: float, least: int = 1) -> int:
    """Rows of a batch: as set, or as many of a mean length as fit into its tokens."""
    if settings.batch_tokens:
        return max(1, int(settings.batch_tokens / max(1.0, tokens)))
    return max(least, settings.batch_size)


def tune_epochs(settings: Settings, rows: int) -> int:
    """Passes with the pretrained layers that are trained."""
    return settings.epochs if settings.epochs >= 0 else (3 if rows < FEW_ROWS else 2)


def warm_epochs(settings: Settings, rows: int, *, last: bool) -> int:
    """Passes with the pretrained layers frozen. last: no pretrained layer is trained after them."""
    if last and settings.epochs >= 0:
        return settings.epochs
    if settings.warm_epochs >= 0:
        return settings.warm_epochs
    enough = math.ceil(WARM_STEPS / steps_per_epoch(rows, WARM_ROWS))
    return min(MOST_WARM_EPOCHS, max(WARM_EPOCHS, enough))
