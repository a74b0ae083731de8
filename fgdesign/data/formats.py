"""Records from JSON, Parquet and Excel files; every cell becomes the text a person would write for it."""

from __future__ import annotations

import io
import json
import math
import warnings
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

from fgdesign.data.delimited import Record
from fgdesign.data.rows import COLUMN_LIMIT
from fgdesign.data.task import SEPARATOR
from fgdesign.errors import DataError, MissingExtraError

UNPACKED_LIMIT = 500_000_000  # bytes that a compressed file may have when it is unpacked


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
        DataError: it is not JSON of that shape; the message says where.
    """
    text = text.strip("\ufeff \t\r\n")
    try:
        items = _json_items(text, name)
    except (RecursionError, ValueError) as error:
        raise DataError(
            f"{name} is JSON that cannot be read: {error}. Correct it, or write it as CSV."
        ) from None
    for row, item in items:
        if not isinstance(item, dict):
            raise DataError(
                f"Record {row} of {name} is no object with named values. Give a list of objects, or one "
                'object per line, such as {"text": "...", "label": "..."}.'
            )
    names = list(dict.fromkeys(key for _, item in items for key in item))
    return names, [(row, [as_cell(item.get(key)) for key in names]) for row, item in items]


def _json_items(text: str, name: str) -> list[tuple[int, Any]]:
    """(record or line number, value) of each record."""
    try:
        whole = _parse(text)
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise
    else:
        return list(enumerate(whole if isinstance(whole, list) else [whole], 1))
    items = []
    for row, line in enumerate(text.split("\n"), 1):
        try:
            items += [(row, _parse(line))] if line.strip() else []
        except json.JSONDecodeError as error:
            raise DataError(
                f"Line {row} of {name} is broken JSON: {error.msg}, column {error.colno}. Correct the line, "
                "or write the file as CSV."
            ) from None
    return items


def _parse(text: str) -> Any:
    """JSON with numbers as they are written; NaN and Infinity are no value."""
    return json.loads(text, parse_int=str, parse_float=str, parse_constant=lambda _: None)


def parquet_records(data: bytes, name: str) -> tuple[list[str], Iterator[Record]]:
    """(column names, records) of a Parquet file.

    Raises:
        DataError: it is damaged, or too large when unpacked.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(io.BytesIO(data))
        groups = (file.metadata.row_group(group) for group in range(file.metadata.num_row_groups))
        _check_unpacked(sum(group.total_byte_size for group in groups), name)
        table = file.read()
        columns = [column.to_pylist() for column in table.columns]
    except (pa.ArrowException, OSError, ValueError, OverflowError, UnicodeError) as error:
        raise DataError(
            f"{name} is a Parquet file that cannot be read: {error}. Write it again, or as CSV."
        ) from None
    rows = zip(*columns, strict=True)
    return list(table.column_names), ((row, [*map(as_cell, cells)]) for row, cells in enumerate(rows, 1))


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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions, which do not matter here
            workbook = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
            for sheet in workbook.worksheets:
                sheet.reset_dimensions()
                rows = [
                    [*map(as_cell, cells)]
                    for cells in sheet.iter_rows(max_col=COLUMN_LIMIT + 1, values_only=True)
                ]
                if any(map(any, rows)):
                    break
            else:
                return []
    except Exception as error:  # whatever a damaged workbook makes the package raise
        raise DataError(
            f"{name} is an Excel file that cannot be read: {error!r}. Save it as CSV (UTF-8)."
        ) from None
    if len(workbook.worksheets) > 1:
        notes.append(f"The workbook has {len(workbook.worksheets)} sheets; '{sheet.title}' is read.")
    width = max(place for cells in rows for place, cell in enumerate(cells, 1) if cell)
    return [(row, (cells + [""] * width)[:width]) for row, cells in enumerate(rows, 1)]


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
