"""What kind of answer labels ask for. Knows label cells only."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from fgdesign.data.table import count

Kind = Literal["single", "multi", "regression"]
KINDS: tuple[Kind, ...] = ("single", "multi", "regression")
SEPARATOR = "|"  # between the labels of one row
FEW = 20  # up to so many distinct whole numbers are classes
SHARE_JOINED = 0.02  # of labels with a separator, from which on they are taken for several labels
MISSING = frozenset({"", "nan", "NaN", "null", "NULL", "<NA>", "#N/A", "N/A", "\\N"})
MAYBE_MISSING = frozenset({"None", "NA"})  # a label like any other in a column without gaps
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
POINT_ZERO = re.compile(r"([+-]?\d+)\.0+")
COMMA_NUMBER = re.compile(r"[+-]?\d+,\d+")


@dataclass(frozen=True)
class Task:
    """The kind of task, its label names in the order of the targets, and why it was taken for that."""

    kind: Kind
    labels: tuple[str, ...]
    reason: str


def detect_task(labels: Sequence[str]) -> Task:
    """Decide from the label cells of all rows, missing ones left out.

    Numbers are a regression when there are more than 20 of them, or when they have decimals and hardly
    repeat. Cells joined by "|" whose parts come back are several labels per row. All else is one label of
    a fixed set. The reason is one sentence that also says how to choose otherwise.
    """
    cells = [cell for cell in map(str.strip, labels) if cell not in MISSING]
    distinct = sorted(set(cells))
    values = numbers(distinct)
    if values is not None and len(values):
        different = len(np.unique(values))
        decimals = bool((values % 1 != 0).any())
        if different > FEW or (decimals and (different > FEW // 2 or different > len(cells) / 2)):
            reason = (
                f"The label is a number with {count(different, 'value')}, so a number is predicted; "
                "choose task 'single' if the numbers only stand for classes."
            )
            return Task("regression", (), reason)
    if _joined(cells):
        names = label_names(cells, "multi")
        reason = (
            f"Labels are joined by '{SEPARATOR}', so a row may have several of {count(len(names), 'label')}; "
            "choose task 'single' if each joined text is one label."
        )
        return Task("multi", names, reason)
    names = label_names(cells, "single")
    other = (
        "'regression' to predict a number" if values is not None else f"'multi' if '{SEPARATOR}' joins labels"
    )
    reason = f"Each row has one of {count(len(names), 'label')}; choose task {other}."
    return Task("single", names, reason)


def label_names(cells: Iterable[str], kind: Kind) -> tuple[str, ...]:
    """The distinct labels: numbers by size, all else by alphabet."""
    names = {part for cell in set(cells) for part in parts(cell)} if kind == "multi" else set(cells)
    values = numbers(sorted(names))
    if values is None:
        return tuple(sorted(names))
    return tuple(name for _, name in sorted(zip(values.tolist(), sorted(names), strict=True)))


def parts(cell: str) -> list[str]:
    """The labels of one row of a multi-label task."""
    return list(dict.fromkeys(part for part in map(str.strip, cell.split(SEPARATOR)) if part not in MISSING))


def numbers(cells: Sequence[str]) -> NDArray[np.float64] | None:
    """(N,) float64, or None when a cell is not a number; "3,5" counts where no cell uses a point."""
    if all(map(NUMBER.fullmatch, cells)):
        return np.array(cells, np.float64) if len(cells) else None
    if _decimal_commas(cells):
        return np.array([cell.replace(",", ".") for cell in cells], np.float64)
    return None


def without_point_zero(cell: str) -> str:
    """A whole number without the ".0" that programs add when a column has gaps; all else as it is."""
    found = POINT_ZERO.fullmatch(cell)
    return found[1] if found else cell


def first_not_number(cells: Sequence[str]) -> int:
    """The position of the first cell that keeps `numbers` from being numbers."""
    return next(place for place, cell in enumerate(cells) if not NUMBER.fullmatch(cell))


def as_kind(name: str) -> Kind:
    """The kind of this name; the caller has checked that it is one of KINDS."""
    return cast(Kind, name)


def _decimal_commas(cells: Sequence[str]) -> bool:
    """Whether commas mark decimals; where each is followed by three digits they may mark thousands."""
    commas = [cell for cell in cells if COMMA_NUMBER.fullmatch(cell)]
    whole = sum(1 for cell in cells if cell.lstrip("+-").isdecimal())
    thousands = all(len(cell.partition(",")[2]) == 3 for cell in commas)
    return bool(commas) and len(commas) + whole == len(cells) and not thousands


def _joined(cells: Sequence[str]) -> bool:
    """Whether a noticeable share of cells is joined by the separator and their parts come back."""
    joined = [cell for cell in cells if SEPARATOR in cell and len(parts(cell)) > 1]
    if not joined:
        return False
    if len(joined) < max(1.0, SHARE_JOINED * len(cells)):
        return False
    seen = Counter(part for cell in cells for part in parts(cell))
    in_joined = {part for cell in joined for part in parts(cell)}
    return sum(seen[part] > 1 for part in in_joined) >= len(in_joined) / 2
