"""A table with what the doctor's checks share: its columns' roles, labels and text keys, each worked out once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fgdesign.data import alike
from fgdesign.data.alike import Mask, Numbers
from fgdesign.data.columns import Columns
from fgdesign.data.lengths import TokenCounter
from fgdesign.data.table import Table
from fgdesign.data.task import Task, detect_task, parts

SOME = 20_000  # rows, spread evenly, that the dear checks look at


@dataclass(frozen=True)
class Case:
    """What is examined.

    Attributes:
        table: N rows.
        columns: the roles.
        kind: "auto", or the kind of task.
        counter: of tokens, or None where no tokeniser is at hand.
        limit: tokens that the graph reads.
    """

    table: Table
    columns: Columns
    kind: str = "auto"
    counter: TokenCounter | None = None
    limit: int = 256

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The columns of texts, one or two."""
        return tuple(name for name in (self.columns.text, self.columns.text_b) if name is not None)

    @cached_property
    def texts(self) -> list[str]:
        """The N first texts."""
        return list(map(str, self.table.frame[self.columns.text].tolist()))

    @cached_property
    def lengths(self) -> NDArray[np.int64] | None:
        """(N,) tokens of each text, exact near the limit; None where they are not counted."""
        return None if self.counter is None else self.counter.against(self.texts, self.limit)

    @cached_property
    def has_text(self) -> Mask:
        """(N,) rows with something to read."""
        return alike.has_text(self.texts)

    @cached_property
    def keys(self) -> list[str]:
        """(N,) the same for texts that differ in case and white space only."""
        return alike.text_keys(self.table.frame, self.text_columns)

    @cached_property
    def text_numbers(self) -> Numbers:
        """(N,) a number for each key."""
        return alike.numbered(self.keys)

    @cached_property
    def _cells(self) -> tuple[Numbers, list[str]]:
        """((N,) a number for each label cell, the cells of the numbers)."""
        label = self.columns.label
        if label is None:
            return np.zeros(len(self.table), np.int64), [""]
        found, names = pd.factorize(self.table.frame[label].str.strip())
        return np.asarray(found, np.int64), list(map(str, names))

    @property
    def cell_numbers(self) -> Numbers:
        """(N,) a number for each label cell, also where it is empty."""
        return self._cells[0]

    @cached_property
    def cells(self) -> list[str]:
        """(N,) labels without white space at their ends; empty ones where there is no label column."""
        found, names = self._cells
        cells: list[str] = np.array(names, object)[found].tolist()
        return cells

    @cached_property
    def has_label(self) -> Mask:
        """(N,) rows with a label."""
        found, names = self._cells
        return alike.has_label(names)[found]

    @cached_property
    def labels(self) -> Numbers:
        """(N,) a number for each label cell, -1 where there is none."""
        return np.where(self.has_label, self.cell_numbers, -1)

    @cached_property
    def task(self) -> Task | None:
        """What the labels ask for; None where there are none."""
        found = [cell for cell, kept in zip(self.cells, self.has_label, strict=True) if kept]
        return detect_task(found) if found else None

    @property
    def task_kind(self) -> str:
        """The kind that was asked for, else the one found, "" for no labels."""
        if self.kind != "auto" or self.task is None:
            return "" if self.task is None else self.kind
        return self.task.kind

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Label -> its rows; a row with several labels counts for each. Empty for numbers."""
        if self.task_kind not in ("single", "multi"):
            return {}
        numbers, names = np.unique(self.labels[self.has_label], return_counts=True), self._cells[1]
        cells = {names[number]: size for number, size in zip(*map(np.ndarray.tolist, numbers), strict=True)}
        if self.task_kind == "single":
            return cells
        several: Counter[str] = Counter()
        for cell, number in cells.items():
            several.update(dict.fromkeys(parts(cell), number))
        return dict(several)

    def rows_with(self, labels: Collection[str]) -> Mask:
        """(N,) rows with one of the labels."""
        wanted = set(labels)
        if self.task_kind == "multi":
            wanted = {cell for cell in self._cells[1] if not wanted.isdisjoint(parts(cell))}
        found, names = self._cells
        return np.fromiter((cell in wanted for cell in names), bool, len(names))[found] & self.has_label

    @property
    def some(self) -> Numbers:
        """At most SOME positions of rows, spread evenly."""
        return np.arange(0, len(self.table), max(1, -(-len(self.table) // SOME)))
