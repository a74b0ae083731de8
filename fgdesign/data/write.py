"""A table back to a CSV file that is safe to open in a spreadsheet. Knows nothing of what columns mean."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO

import pandas as pd
import pyarrow as pa
from pyarrow import csv

from fgdesign.data.table import Table, count
from fgdesign.data.task import NUMBER

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs cells that begin so


def write_cells(table: Table, file: IO[bytes]) -> None:
    """Write the table as CSV in UTF-8, every cell as it is, without holding the text of it."""
    columns = [pa.array(table.frame[name].array, pa.large_string()) for name in table.frame.columns]
    whole = pa.table(columns, list(map(str, table.frame.columns)))
    csv.write_csv(whole, file, csv.WriteOptions(quoting_style="needed"))


def write_table(table: Table, target: str | Path | IO[bytes]) -> tuple[str, ...]:
    """Write CSV (UTF-8) in which no cell is a formula; returns notes.

    A cell or column name that begins like a formula and is no number gets a leading apostrophe, which a
    spreadsheet shows as plain text. What is safe already stays, so a second pass changes nothing.
    """
    frame, changed = table.frame.copy(), 0
    for name in map(str, frame.columns):
        cells = frame[name].tolist()
        safe = list(map(_safe, cells))
        differ = sum(1 for old, new in zip(cells, safe, strict=True) if old != new)
        if differ:
            frame[name] = safe
            changed += differ
    names = [_safe(str(name)) for name in frame.columns]
    changed += sum(1 for old, new in zip(frame.columns, names, strict=True) if old != new)
    frame.columns = names
    frame.to_csv(target, index=False, lineterminator="\n")
    if not changed:
        return ()
    verb = "begins" if changed == 1 else "begin"
    return (f"{count(changed, 'cell')} {verb} like a formula; written with a leading apostrophe.",)


def safe_csv(frame: pd.DataFrame) -> bytes:
    """Any table as CSV (UTF-8) in which no text cell and no column name is a formula; numbers stay."""
    safe = frame.rename(columns=lambda name: _safe(str(name)))
    for place, name in enumerate(frame.columns):
        if not pd.api.types.is_numeric_dtype(frame[name]):
            cells = [_safe(cell) if isinstance(cell, str) else cell for cell in frame[name].tolist()]
            safe.isetitem(place, pd.Series(cells, index=frame.index, dtype=object))
    text = io.StringIO(newline="")
    safe.to_csv(text, index=False, lineterminator="\n")
    return text.getvalue().encode()


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) and not NUMBER.fullmatch(cell) else cell
