"""A table as it was read, before anyone decides what its columns mean. Knows nothing of file formats."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

HIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\xad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
MOST_ROWS = 1000  # row numbers that a note or finding lists


@dataclass(frozen=True)
class Table:
    """Rows of text cells and where they came from.

    Attributes:
        frame: every cell a string, an absent one empty; index 0..N-1.
        row_numbers: (N,) int64, each record's row as a person counts them in the file: the header is
            row 1 and the first record row 2; without a header the first record is row 1. A blank line
            counts as a row, a cell with line breaks does not make more rows: a spreadsheet counts alike.
        encoding: what the bytes were read as, "" for a binary format.
        delimiter: between cells, "" where the format has none.
        notes: plain sentences about what was decided or repaired, those about rows as a Note.
        sha256: of the file's bytes.
        marks: what the reader had to do -> all row numbers where it did; names as in `repair.RULES["drop_misread"]`.
        sheet: the name of the sheet of a workbook that this is, "" for other files.
        sheets: the tables of the workbook's other sheets by their names, in its order.
    """

    frame: pd.DataFrame
    row_numbers: NDArray[np.int64]
    encoding: str
    delimiter: str
    notes: tuple[str, ...]
    sha256: str
    marks: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    sheet: str = ""
    sheets: Mapping[str, Table] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frame)


def count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: "1 row", "12 rows"; thousands are set apart by thin spaces."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}".replace(",", "\u2009")


class Note(str):
    """A plain sentence about rows.

    Attributes:
        rows: numbers of the first 1,000.
        total: how many there are.
        mark: what was done to them, as `Table.marks` names it, "" where they need not be found again.
        marked: the numbers of all of them, where there is a mark; empty in a note that was kept.
    """

    rows: tuple[int, ...] = ()
    total: int = 0
    mark: str = ""
    marked: Sequence[int] = ()

    def about(self, rows: Sequence[int], total: int = 0, mark: str = "") -> Note:
        """The same sentence about these rows."""
        found = Note(self)
        found.rows, found.total, found.mark = tuple(rows[:MOST_ROWS]), total or len(rows), mark
        found.marked = rows if mark else ()
        return found


def noted(words: str, rows: Sequence[int], mark: str = "") -> Note:
    """A note about rows; "{}" in it becomes their number and the first."""
    return Note(words.replace("{}", first_row(rows))).about(rows, mark=mark)


def first_row(rows: Sequence[int]) -> str:
    """How a note points at rows."""
    return f"row {rows[0]}" if len(rows) == 1 else f"{count(len(rows), 'row')}, first: row {rows[0]}"


def short(cell: str, length: int = 40) -> str:
    """The beginning of a cell, on one line, for a message; signs that nobody sees are named by their numbers."""
    line = HIDDEN.sub(lambda found: f"<U+{ord(found[0]):04X}>", " ".join(cell.split()))
    return line if len(line) <= length else f"{line[: length - 3]}..."
