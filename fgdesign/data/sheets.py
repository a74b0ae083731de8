"""The other sheets of a workbook: one read in place of the first, or the rows of all that are like it in one table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from fgdesign.data.columns import plain_name
from fgdesign.data.findings import Finding, with_ways
from fgdesign.data.repair import Repair
from fgdesign.data.table import Note, Table, short
from fgdesign.errors import DataError, choices

SHEET = "sheet"  # the column that tells of which sheet a row is
OFFERED = 4  # sheets that have a button of their own


def like(table: Table) -> list[str]:
    """The other sheets that have the same columns, in any order and spelling."""
    names = sorted(map(plain_name, table.frame.columns))
    return [title for title, other in table.sheets.items() if sorted(map(plain_name, other.frame.columns)) == names]


def about_sheets(table: Table, note: Note) -> Iterator[Finding]:
    """The sheets that are not read, with a way to read each; nothing once they are."""
    if not table.sheets:
        if not table.sheet:
            yield Finding("sheets", "warning", str(note))
        return
    joined = like(table)
    ways = [Repair("join_sheets", sheets=tuple(joined))] if joined else []
    ways += [Repair("read_sheet", sheets=(title,)) for title in list(table.sheets)[:OFFERED]]
    yield with_ways(Finding("sheets", "warning", str(note)), ways)


def read_sheet(table: Table, repair: Repair) -> tuple[Table, int, str]:
    """Another sheet is the table; nothing where it is already, or where there are no sheets."""
    title = repair.sheets[0]
    if title == table.sheet or not table.sheet:
        return table, 0, "row read"
    if title not in table.sheets:
        raise _absent(repair, title, table)
    found = table.sheets[title]
    return found, len(found), "row read"


def join_sheets(table: Table, repair: Repair) -> tuple[Table, int, str]:
    """The rows of other sheets below those of this one, their numbers counted on, with the name of each row's sheet."""
    if not table.sheet or (SHEET in table.frame and not table.sheets):
        return table, 0, "row added"
    column = SHEET if SHEET not in table.frame else f"{SHEET} of the workbook"
    tables = [table]
    for title in repair.sheets:
        if title not in like(table):
            raise _absent(repair, title, table)
        tables.append(table.sheets[title])
    names = {plain_name(name): name for name in map(str, table.frame.columns)}
    frames, rows, start = [], [], 0
    marks = dict(table.marks)
    for part in tables:
        frame = part.frame.rename(columns=lambda name: names[plain_name(name)])
        frames.append(frame[list(names.values())].assign(**{column: part.sheet}))
        rows.append(part.row_numbers + start)
        for mark, marked in part.marks.items() if part is not table else ():
            marks[mark] = np.concatenate([marks.get(mark, np.zeros(0, np.int64)), marked + start])
        start = int(rows[-1][-1])
    joined = pd.concat(frames, ignore_index=True).astype("str")
    done = replace(table, frame=joined, row_numbers=np.concatenate(rows), marks=marks, sheets={})
    return done, len(joined) - len(table), "row added"


def _absent(repair: Repair, title: str, table: Table) -> DataError:
    alike = " with the same columns" if repair.kind == "join_sheets" else ""
    return DataError(
        f"'{repair}' needs the sheet '{short(title)}'{alike}, which the table does not have. "
        f"{choices([name for name in (table.sheet, *table.sheets) if name], title)}"
    )
