"""Records from Excel workbooks; every cell becomes the text a person would write for it."""

from __future__ import annotations

import functools
import io
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from fgdesign.data.delimited import Record
from fgdesign.data.formats import as_cell, check_unpacked
from fgdesign.data.rows import check_width
from fgdesign.data.table import count, noted
from fgdesign.errors import DataError

SHEET_CELLS = 3_000_000  # of an Excel file, which takes long to read
OTHER_CELLS = 300_000  # of its further sheets that are read too
NO_RESULT = re.compile(rb'<c r="[A-Z]+(\d+)"[^>]*>(?:<f[^>]*/>|<f[^>]*>[^<]*</f>)(?:<v ?/>|<v></v>|</c>)')  # a formula
MERGED = re.compile(rb'<mergeCell ref="([A-Z]+)(\d+):\1(\d+)"')  # cells of one column


def excel_sheets(data: bytes, name: str, notes: list[str]) -> dict[str, list[Record]]:
    """Name -> records, the header among them, of the first sheet that is not empty, then of the others with rows.

    Raises:
        DataError: the workbook is damaged, or too large when unpacked.
    """
    from openpyxl import reader as readers  # slow to import; only workbooks need it

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        check_unpacked(sum(member.file_size for member in archive.infolist()), name)
    try:
        _look_over(data, name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions, which do not matter here
            reader = readers.excel.ExcelReader(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
            reader.read_chartsheet = lambda *_: None  # they have no cells, and an empty one cannot be read
            reader.read()
            workbook = reader.wb
            sheets = sorted(workbook.worksheets, key=lambda sheet: sheet.sheet_state != "visible")
            found = _first_table(sheets, name)
            if found is None:
                return {}
            sheet, rows = found
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                xml = archive.read(sheet._worksheet_path)
                parts = {other.title: archive.read(other._worksheet_path) for other in workbook.worksheets}
            sizes = {title: part.count(b"<row ") for title, part in parts.items()}
            others = _others([other for other in workbook.worksheets if other is not sheet], parts, name)
            merged, unknown = _fill_merged(rows, xml), _without_result(xml)
    except DataError:
        raise
    except Exception as error:  # whatever a damaged workbook makes the package raise
        raise DataError(
            f"{name} is an Excel file that cannot be read: {error!r}. Save it as CSV (UTF-8)."
        ) from None
    if unknown:
        words = (
            f"{count(len(unknown), 'formula')} without a result in the file, so the "
            f"{'cell stays' if len(unknown) == 1 else 'cells stay'} empty ({{}}). Open the workbook in a spreadsheet "
            "and save it there, so that results are kept."
        )
        notes.append(noted(words, sorted(set(unknown)), "no_result"))
    if merged:
        notes.append(f"{count(merged, 'merged cell')} without a value of their own got that of the topmost one.")
    notes += _about_sheets(sheet.title, sizes)
    tables = {sheet.title: rows, **{title: cells for title, cells in others.items() if sum(map(bool, cells)) > 1}}
    return {title: _even(cells) for title, cells in tables.items()}


def _others(sheets: Sequence[Any], parts: Mapping[str, bytes], name: str) -> dict[str, list[list[str]]]:
    """Name -> rows of further sheets, as long as they are soon read; what cannot be read of them is left out."""
    found, cells = {}, 0
    for sheet in sheets:
        cells += parts[sheet.title].count(b"<c ")
        with suppress(Exception):  # too wide, or damaged: the first sheet is read all the same
            if cells <= OTHER_CELLS:
                sheet.reset_dimensions()
                found[sheet.title] = _sheet_rows(sheet, name)
    return found


def _even(rows: list[list[str]]) -> list[Record]:
    """Rows with their numbers, all as wide as the widest."""
    width = max(map(len, rows))
    return [(row, cells + [""] * (width - len(cells))) for row, cells in enumerate(rows, 1)]


def _about_sheets(read: str, sizes: Mapping[str, int]) -> Iterator[str]:
    """What is said of a workbook with several sheets, of which one is read; rows of each."""
    others = [f"'{name}' ({count(size, 'row')})" for name, size in sizes.items() if name != read and size > 1]
    if len(sizes) > 1:
        yield f"The workbook has {len(sizes)} sheets; '{read}' is read."
    if others:
        shown = f"{', '.join(others[:3])}{', ...' if len(others) > 3 else ''}"
        verb = "is" if len(others) == 1 else "are"
        yield (
            f"{shown} of the workbook {verb} not read: save such a sheet as a file of its own to use it, or read it "
            "in place of this one."
        )


def _first_table(sheets: Sequence[Any], name: str) -> tuple[Any, list[list[str]]] | None:
    """The first sheet of several columns with its rows; the first with anything in it where there is none."""
    first = None
    for sheet in sheets:
        sheet.reset_dimensions()
        rows = _sheet_rows(sheet, name)
        if sum(len(cells) > 1 for cells in rows) > 1:
            return sheet, rows
        if first is None and any(map(any, rows)):
            first = sheet, rows
    return first


def _look_over(data: bytes, name: str) -> None:
    """Raise DataError where sheets have more cells than are read."""
    cells = 0
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in archive.namelist():
            if not member.startswith("xl/worksheets/"):
                continue
            with archive.open(member) as sheet:
                while piece := sheet.read(1 << 20):
                    cells += piece.count(b"<c ") + piece.count(b"<c/") + piece.count(b"<c>")
    if cells > SHEET_CELLS:
        raise DataError(
            f"{name} has about {count(cells, 'cell')}, empty ones with a format among them; at most "
            f"{count(SHEET_CELLS, 'cell')} are read of an Excel file. Save it as CSV (UTF-8)."
        )


def _without_result(xml: bytes) -> list[int]:
    """The row of each formula that has no value in the file."""
    return [int(row) for row in NO_RESULT.findall(xml)]


def _sheet_rows(sheet: Any, name: str) -> list[list[str]]:
    """The rows of a sheet without the empty cells at their ends. Raises DataError: there are too many columns."""
    rows: list[list[str]] = []
    for cells in sheet.iter_rows(values_only=True):
        row = [*map(as_cell, cells)]
        while row and not row[-1]:
            row.pop()
        check_width(len(row), name)
        rows.append(row)
    return rows


def _fill_merged(rows: list[list[str]], xml: bytes) -> int:
    """Write the value of cells that are merged downwards into all their rows; how many were filled."""
    filled = 0
    for column, first, last in MERGED.findall(xml):
        at = functools.reduce(lambda place, letter: 26 * place + letter - 64, column, 0) - 1
        top = rows[int(first) - 1] if int(first) <= len(rows) else []
        for row in rows[int(first) : int(last)] if len(top) > at and top[at] else ():
            row.extend([""] * (at + 1 - len(row)))
            filled += not row[at]
            row[at] = row[at] or top[at]
    return filled
