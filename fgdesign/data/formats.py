"""Records from JSON, Parquet and Excel files; every cell becomes the text a person would write for it."""

from __future__ import annotations

import io
import json
import math
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from typing import Any

from fgdesign.data.delimited import Record
from fgdesign.data.rows import COLUMN_LIMIT, ROW_LIMIT, check_width, too_many
from fgdesign.data.table import count
from fgdesign.data.task import SEPARATOR
from fgdesign.errors import DataError, MissingExtraError

UNPACKED_LIMIT = 500_000_000  # bytes that a compressed file may have when it is unpacked
SHEET_CELLS = 3_000_000  # of an Excel file, which takes long to read
ROWS_AT_ONCE = 512  # of a Parquet file
MOST_NESTED = 50_000_000  # bytes that lists may take in so many rows
JSON = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=lambda _: None)  # numbers as they are written


def is_json(text: str) -> bool:
    """Whether a text begins like JSON records: a list of objects, or an object."""
    start = text.lstrip("\ufeff \t\r\n")
    inside = start[1:].lstrip()[:1]
    return (start.startswith("[") and inside in ("{", "]")) or (
        start.startswith("{") and inside in ('"', "}")
    )


def json_records(text: str, name: str) -> tuple[list[str], list[Record]]:
    """(column names, records) of a list of objects, or of one object per line.

    Raises:
        DataError: it is not JSON of that shape, or has too many columns or rows; the message says where.
    """
    text = text.strip("\ufeff \t\r\n")
    places: dict[str, int] = {}
    records: list[Record] = []
    try:
        for row, item in _json_items(text, name):
            if not isinstance(item, dict):
                raise DataError(
                    f"Record {row} of {name} is no object with named values. Give a list of objects, or one "
                    'object per line, such as {"text": "...", "label": "..."}.'
                )
            records.append((row, _in_columns(item, places)))
            if len(places) > COLUMN_LIMIT:
                check_width(len(places), name)
    except (RecursionError, ValueError) as error:
        raise DataError(
            f"{name} is JSON that cannot be read: {error}. Correct it, or write it as CSV."
        ) from None
    for _, cells in records:
        cells.extend([""] * (len(places) - len(cells)))
    return list(places), records


def _in_columns(item: Mapping[str, Any], places: dict[str, int]) -> list[str]:
    """The values of an object where their names have their places; new names get the next ones."""
    cells = [""] * len(places)
    for key, value in item.items():
        place = places.setdefault(key, len(places))
        if place == len(cells):
            cells.append("")
        cells[place] = as_cell(value)
    return cells


def _json_items(text: str, name: str) -> Iterator[tuple[int, Any]]:
    """(record or line number, value) of each record."""
    try:
        whole = JSON.decode(text)
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise
    else:
        yield from enumerate(whole if isinstance(whole, list) else [whole], 1)
        return
    for row, line in enumerate(io.StringIO(text, newline="\n"), 1):
        try:
            if line := line.strip():
                yield row, JSON.decode(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"Line {row} of {name} is broken JSON: {error.msg}, column {error.colno}. Correct the line, "
                "or write the file as CSV."
            ) from None


def parquet_records(data: bytes, name: str) -> tuple[list[str], Iterator[Record]]:
    """(column names, records) of a Parquet file, unpacked a few rows at a time.

    Raises:
        DataError: it is damaged, has too many rows or columns, or is too large when unpacked.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(io.BytesIO(data))
        about = file.metadata
        check_width(len(file.schema_arrow.names), name)
        if about.num_rows > ROW_LIMIT:
            raise too_many(name)
        _check_unpacked(sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups)), name)
        return list(file.schema_arrow.names), _unpacked(file.iter_batches(ROWS_AT_ONCE), name)
    except (pa.ArrowException, OSError, ValueError, OverflowError, UnicodeError) as error:
        raise _damaged(name, error) from None


def _unpacked(batches: Iterator[Any], name: str) -> Iterator[Record]:
    """Records of batches of rows, as long as they are not too large altogether."""
    import pyarrow as pa

    row, size = 0, 0
    try:
        for batch in batches:
            size += batch.nbytes
            _check_unpacked(size, name)
            for cells in zip(*map(_as_cells, batch.columns), strict=True):
                row += 1
                yield row, list(cells)
    except (pa.ArrowException, OSError, ValueError, OverflowError, UnicodeError) as error:
        raise _damaged(name, error) from None


def _as_cells(column: Any) -> list[str]:
    """A column of a batch as text. Raises DataError for a list that is too long for a cell."""
    import pyarrow as pa

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return [cell or "" for cell in column.to_pylist()]
    if pa.types.is_nested(column.type) and column.nbytes > MOST_NESTED:
        raise DataError("A column of lists has more values in a few rows than a cell can hold. Leave the column out.")
    return [as_cell(cell) for cell in column.to_pylist()]


def _damaged(name: str, error: Exception) -> DataError:
    reason = " ".join(str(error).split()).rstrip(".")
    return DataError(f"{name} is a Parquet file that cannot be read: {reason}. Write it again, or as CSV.")


def excel_records(data: bytes, name: str, notes: list[str]) -> list[Record]:
    """Records of the first sheet that is not empty, the header among them.

    Raises:
        DataError: the workbook is damaged, or too large when unpacked.
        MissingExtraError: the package that reads workbooks is not installed.
    """
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise MissingExtraError("openpyxl, which reads Excel files,", "excel") from None
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        _check_unpacked(sum(member.file_size for member in archive.infolist()), name)
    try:
        _check_cells(data, name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions, which do not matter here
            workbook = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
            for sheet in workbook.worksheets:
                sheet.reset_dimensions()
                rows = _sheet_rows(sheet, name)
                if any(map(any, rows)):
                    break
            else:
                return []
    except DataError:
        raise
    except Exception as error:  # whatever a damaged workbook makes the package raise
        raise DataError(
            f"{name} is an Excel file that cannot be read: {error!r}. Save it as CSV (UTF-8)."
        ) from None
    if len(workbook.worksheets) > 1:
        notes.append(f"The workbook has {len(workbook.worksheets)} sheets; '{sheet.title}' is read.")
    width = max(map(len, rows))
    return [(row, cells + [""] * (width - len(cells))) for row, cells in enumerate(rows, 1)]


def _check_cells(data: bytes, name: str) -> None:
    """Raise DataError where sheets have more cells than are read, counted without reading them."""
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


def as_cell(value: Any) -> str:
    """What a person would write in a cell; "" for no value. Lists of plain values are joined by "|"."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return (
            value if _is_whole(value) else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        )
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    if isinstance(value, (list, tuple)) and not any(isinstance(item, (list, tuple, dict)) for item in value):
        return SEPARATOR.join(map(as_cell, value))
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _is_whole(text: str) -> bool:
    """Whether a text has no half of a surrogate pair, which no encoding can write."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_unpacked(size: int, name: str) -> None:
    if size > UNPACKED_LIMIT:
        raise DataError(
            f"{name} would take {size / 1e9:.1f} GB unpacked; at most {UNPACKED_LIMIT / 1e9:g} GB are "
            "read. Take a part of it."
        )
