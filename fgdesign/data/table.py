"""A table as it was read, before anyone decides what its columns mean. Knows nothing of file formats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray


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
        notes: plain sentences about what was decided or repaired.
        sha256: of the file's bytes.
    """

    frame: pd.DataFrame
    row_numbers: NDArray[np.int64]
    encoding: str
    delimiter: str
    notes: tuple[str, ...]
    sha256: str

    def __len__(self) -> int:
        return len(self.frame)


def count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: "1 row", "12 rows"; thousands are set apart by thin spaces."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}".replace(",", "\u2009")


def short(cell: str, length: int = 40) -> str:
    """The beginning of a cell, on one line, for a message."""
    line = " ".join(cell.split())
    return line if len(line) <= length else f"{line[: length - 3]}..."
