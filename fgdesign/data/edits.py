"""Changes that a person makes to single rows: cells rewritten, rows excluded. Knows nothing of files and screens.

An edit says what stood there before, so that it never falls on another row than the one that was looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fgdesign.data.kept import FRAME_TYPES, STRING
from fgdesign.data.table import Table, count, short
from fgdesign.errors import DataError, choices

FORMAT = "fgdesign.edits/1"


@dataclass(frozen=True)
class Edits:
    """cells: (row number, column, what stood there, what stands there now). dropped: row numbers that are left out."""

    cells: tuple[tuple[int, str, str, str], ...] = ()
    dropped: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.cells or self.dropped)

    def __str__(self) -> str:
        said = [f"{count(len(self.cells), 'cell')} changed"] if self.cells else []
        said += [f"{count(len(self.dropped), 'row')} excluded"] if self.dropped else []
        return ", ".join(said) or "nothing changed"

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"format": FORMAT, "cells": [list(cell) for cell in self.cells], "dropped": list(self.dropped)}


def edits_from(found: Mapping[str, Any]) -> Edits:
    """The edits of a JSON object. Raises DataError where it is none."""
    try:
        if found["format"] != FORMAT:
            raise ValueError(found["format"])
        cells = tuple((int(row), str(column), str(old), str(new)) for row, column, old, new in found["cells"])
        return Edits(cells, tuple(int(row) for row in found["dropped"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f'These are no edits: {error}. They have "format": "{FORMAT}", "cells" and "dropped".'
        ) from None


def apply_edits(edits: Edits, table: Table) -> Table:
    """The table with the changes made. Row numbers stay those of the file that was edited.

    Raises:
        DataError: a row or column is not there, a cell holds something else by now, or no row is left.
    """
    place = {int(row): at for at, row in enumerate(table.row_numbers)}
    frame = table.frame.copy()
    for row in (*(cell[0] for cell in edits.cells), *edits.dropped):
        if row not in place:
            raise DataError(f"There is no row {row} in this table of {count(len(table), 'row')}. Look at it again.")
    for name in dict.fromkeys(cell[1] for cell in edits.cells):
        if name not in frame:
            raise DataError(f"There is no column '{short(name)}'. {choices(map(str, frame.columns), name)}")
        changes = {place[row]: (old, new) for row, column, old, new in edits.cells if column == name}
        at = np.array(sorted(changes))
        there = frame[name].iloc[at].tolist()
        for position, cell in zip(at.tolist(), there, strict=True):
            if cell != changes[position][0]:
                raise DataError(
                    f"Row {table.row_numbers[position]} has '{short(cell)}' in '{short(name)}', not "
                    f"'{short(changes[position][0])}' as when it was edited. Look at the row again."
                )
        mask = np.zeros(len(frame), bool)
        mask[at] = True
        cells = pa.chunked_array(pa.array(frame[name].array, STRING))
        new = pc.replace_with_mask(cells, pa.array(mask), pa.array([changes[row][1] for row in at.tolist()], STRING))
        frame[name] = pa.table({name: new}).to_pandas(types_mapper=FRAME_TYPES)[name]
    keep = ~np.isin(table.row_numbers, edits.dropped)
    if not keep.any():
        raise DataError("Every row would be excluded. Keep at least one.")
    return replace(table, frame=frame[keep].reset_index(drop=True), row_numbers=table.row_numbers[keep])
