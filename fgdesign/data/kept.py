"""A table kept on disk in columns beside the file it was read from, and looked at without loading it.

Only files of a store have one: they are named by their content and never change. Knows nothing of who stored them.
"""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from fgdesign.data.table import Note, Table

READER = 8  # goes up whenever the same bytes are read differently, so that older copies are made anew
ABOUT = b"fgdesign"  # the metadata key of what a Table has beside its cells
ROWS_APART = 1 << 16  # rows of a chunk
STRING = pa.large_string()
FRAME_TYPES = {STRING: pd.StringDtype(na_value=np.nan)}.get


def kept_path(path: Path, sheet: int = 0) -> Path:
    """Where the copy of a file is; that of a workbook's other sheets, counted from 1, stands beside it."""
    return path.with_name(f"{path.stem}.r{READER}{f's{sheet}' if sheet else ''}.arrow")


def forget_kept(path: Path) -> None:
    """Take the copy of a file away."""
    for copy in path.parent.glob(f"{path.stem}.r{READER}*.arrow"):
        copy.unlink(missing_ok=True)


def keep(table: Table, path: Path) -> None:
    """Write the copy of a file's table; whoever looks meanwhile sees none or all of it."""
    for place, sheet in enumerate(table.sheets.values(), 1):
        _keep(sheet, path, place)
    _keep(table, path)


def _keep(table: Table, path: Path, sheet: int = 0) -> None:
    names = list(map(str, table.frame.columns))
    columns = [pa.array(table.frame[name].array, STRING, from_pandas=False) for name in names]
    rows = [[note.total, note.rows, note.mark] if isinstance(note, Note) else None for note in table.notes]
    about = {"encoding": table.encoding, "delimiter": table.delimiter, "notes": table.notes, "sha256": table.sha256,
             "rows": rows, "marks": list(table.marks), "sheet": table.sheet, "sheets": len(table.sheets)}  # fmt: skip
    marks = [pa.array(np.isin(table.row_numbers, marked)) for marked in table.marks.values()]
    whole = pa.table([*columns, pa.array(table.row_numbers), *marks], [*names, "row number", *table.marks])
    whole = whole.replace_schema_metadata({ABOUT: json.dumps(about).encode()})
    aside = path.with_name(f".{uuid.uuid4().hex}")
    try:
        with pa.OSFile(str(aside), "wb") as file, pa.ipc.new_file(file, whole.schema) as writer:
            writer.write_table(whole, max_chunksize=ROWS_APART)
        os.replace(aside, kept_path(path, sheet))
    finally:
        aside.unlink(missing_ok=True)


def load_kept(path: Path, sheet: int = 0) -> Table | None:
    """The table of a stored file where its copy is there; its cells stay on disk until they are looked at."""
    copy = kept_path(path, sheet)
    if not copy.is_file():
        return None
    try:
        whole = pa.ipc.open_file(pa.memory_map(str(copy))).read_all()
        about: dict[str, Any] = json.loads(whole.schema.metadata[ABOUT])
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError):
        return None
    if not str(about["sha256"]).startswith(path.stem):  # a file of somebody else that only has such a name
        return None
    width = whole.num_columns - 1 - len(about["marks"])
    frame = whole.select(list(range(width))).replace_schema_metadata(None).to_pandas(types_mapper=FRAME_TYPES)
    rows = whole.column(width).to_numpy()
    marks = {mark: rows[whole.column(place).to_numpy()] for place, mark in enumerate(about["marks"], width + 1)}
    notes = tuple(Note(note).about(rows_of[1], rows_of[0], rows_of[2]) if rows_of else note
                  for note, rows_of in zip(about["notes"], about["rows"], strict=True))  # fmt: skip
    others = [load_kept(path, place) for place in range(1, about["sheets"] + 1)]
    sheets = {other.sheet: other for other in others if other is not None}
    return Table(
        frame, rows, about["encoding"], about["delimiter"], notes, about["sha256"], marks, about["sheet"], sheets
    )
