"""Records from JSON and Parquet files; every cell becomes the text a person would write for it."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fgdesign.data.columns import LABEL_NAMES, TEXT_NAMES, plain_name
from fgdesign.data.delimited import Record
from fgdesign.data.json_text import json_values
from fgdesign.data.kept import STRING
from fgdesign.data.rows import COLUMN_LIMIT, ROW_LIMIT, check_width, too_many
from fgdesign.data.table import short
from fgdesign.data.task import SEPARATOR
from fgdesign.errors import DataError

UNPACKED_LIMIT = 500_000_000  # bytes that a compressed file may have when it is unpacked
ROWS_AT_ONCE = 512  # of a Parquet file
HELD_ONCE = (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())  # values a dictionary has
MOST_NESTED = 50_000_000  # bytes that lists may take in so many rows
LISTS = ("data", "rows", "records", "items", "examples", "results", "common_examples")  # names of the list of records
KNOWN = frozenset((*TEXT_NAMES, *LABEL_NAMES))
DEEP = 4  # objects inside of each other that are spread over columns
ROLES = (("role", "content"), ("from", "value"))  # how conversations name who speaks and what is said


def json_records(text: str, name: str, notes: list[str]) -> tuple[list[str], list[Record]]:
    """(column names, records) of a list of objects, or of one object per line; `notes` gets what was decided.

    Raises:
        DataError: it is not JSON of that shape, or has too many columns or rows; the message says where.
    """
    text = text.strip("\ufeff \t\r\n")
    places: dict[str, int] = {}
    records: list[Record] = []
    said: list[str] = []
    try:
        for spread in (spread_out, dict):  # objects inside give a column for each of their names, where these are few
            places, records, said = {}, [], []
            for row, item in enumerated(text, name, said):
                if not isinstance(item, dict):
                    raise DataError(
                        f"Record {row} of {name} is no object with named values. Give a list of objects, or one "
                        'object per line, such as {"text": "...", "label": "..."}.'
                    )
                records.append((row, _in_columns(spread(item), places)))
                if len(places) > COLUMN_LIMIT:
                    break
            if len(places) <= COLUMN_LIMIT:
                break
        check_width(len(places), name)
    except (RecursionError, ValueError) as error:
        raise DataError(
            f"{name} is JSON that cannot be read: {error}. Correct it, or write it as CSV."
        ) from None
    notes += said
    for _, cells in records:
        cells.extend([""] * (len(places) - len(cells)))
    return list(places), records


def spread_out(item: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """An object without objects inside: {"a": {"b": 1}} is {"a.b": 1}; so are messages of different roles."""
    found: dict[str, Any] = {}
    for key, value in item.items():
        inside = _as_object(value) if isinstance(value, list) else value
        if isinstance(inside, dict) and inside and before.count(".") < DEEP:
            found |= spread_out(inside, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = value
    return found


def _as_object(values: list[Any]) -> dict[str, Any] | None:
    """The only object of a list; role -> what it says, of messages of a conversation in which each role speaks once."""
    if len(values) == 1 and isinstance(values[0], dict):
        return values[0]
    for role, says in ROLES:
        if len(values) > 1 and all(isinstance(item, dict) and {role, says} <= item.keys() for item in values):
            found = {item[role]: item[says] for item in values if isinstance(item[role], str)}
            return found if len(found) == len(values) else None
    return None


def _in_columns(item: Mapping[str, Any], places: dict[str, int]) -> list[str]:
    """The values of an object where their names have their places; new names get the next ones."""
    cells = [""] * len(places)
    for key, value in item.items():
        place = places.setdefault(key, len(places))
        if place == len(cells):
            cells.append("")
        cells[place] = as_cell(value)
    return cells


def enumerated(text: str, name: str, notes: list[str]) -> Iterator[tuple[int, Any]]:
    """(record or line number, value) of each record."""
    found, whole = json_values(text, name, notes)
    if found is None:
        return enumerate(_in_records(whole, notes), 1)
    first = next(found, None)
    if first is None or not isinstance(first[1], list):
        return found if first is None else chain([first], found)
    return enumerate(_in_records([first[1], *(value for _, value in found)], notes), 1)


def _in_records(whole: Any, notes: list[str]) -> list[Any]:
    """The records of one value: a list, the only list of objects in an object, or an object of columns or of records.

    Lists of several names, such as those of "train" and "test", are one, with the name of each in "part".
    """
    if not isinstance(whole, dict):
        return _with_names(whole) if isinstance(whole, list) else [whole]
    if (names := whole.get("columns")) and (rows := whole.get("data", whole.get("rows"))) and _is_grid(names, rows):
        return [dict(zip(names, row, strict=True)) for row in rows]
    lists = _lists(whole)
    named = [rows for name, rows in lists.items() if name.rpartition(".")[2] in LISTS]
    if len(lists) == 1 or len(named) == 1:
        return named[0] if named else next(iter(lists.values()))
    if len(lists) == len(whole) > 1:
        shown = ", ".join(f"'{short(name)}'" for name in list(lists)[:4])
        notes.append(f"Records of several lists ({shown}) make one table; 'part' says of which each is.")
        return [{**item, "part": name} for name, rows in lists.items() for item in rows]
    columns = list(whole.values())
    if pairs := _pairs(whole):
        notes.append("Each name with its value is a row, as text and label.")
        return pairs
    if len(columns) > 1 and all(isinstance(column, dict) and column.keys() == columns[0].keys() for column in columns):
        if len(columns[0]) < len(columns):  # an object for each record
            return [{"key": key, **record} for key, record in whole.items()]
        columns = [list(column.values()) for column in columns]
    if len(columns) > 1 and all(isinstance(column, list) for column in columns) and len(set(map(len, columns))) == 1:
        return [dict(zip(whole, cells, strict=True)) for cells in zip(*columns, strict=True)]
    return [whole]


def _with_names(rows: list[Any]) -> list[Any]:
    """Lists of as many cells, the first of which are names, as records; others as they are."""
    names = rows[0] if len(rows) > 1 and isinstance(rows[0], list) else []
    if len(names) < 2 or not _is_grid(names, rows) or not KNOWN.intersection(map(plain_name, names)):
        return rows
    return [dict(zip(names, row, strict=True)) for row in rows[1:]]


def _pairs(whole: Mapping[str, Any]) -> list[Any]:
    """Rows of an object whose names are texts with their labels, or labels with lists of texts; [] where it is none."""
    values = list(whole.values())
    if KNOWN.intersection(map(plain_name, whole)) or len(whole) < 2:
        return []
    if all(isinstance(value, list) and value and all(isinstance(text, str) for text in value) for value in values):
        uneven = len(set(map(len, values))) > 1
        return [{"text": text, "label": name} for name, texts in whole.items() for text in texts] if uneven else []
    spaced = sum(" " in name.strip() for name in whole)
    few = all(isinstance(value, str) for value in values) and 2 * len(set(values)) <= len(values)
    return [{"text": text, "label": label} for text, label in whole.items()] if few and 2 * spaced > len(whole) else []


def _lists(whole: Mapping[str, Any], before: str = "") -> dict[str, list[Any]]:
    """The lists of objects in an object and in those inside of it, by name."""
    found: dict[str, list[Any]] = {}
    for name, value in whole.items():
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            found[f"{before}{name}"] = value
        elif isinstance(value, dict) and before.count(".") < 2:
            found |= _lists(value, f"{before}{name}.")
    return found


def _is_grid(names: Any, rows: Any) -> bool:
    """Whether these are names and rows of as many cells."""
    return isinstance(names, list) and isinstance(rows, list) and all(isinstance(name, str) for name in names) and all(
        isinstance(row, list) and len(row) == len(names) for row in rows
    )  # fmt: skip


def parquet_table(data: bytes, name: str) -> pa.Table:
    """A Parquet file as columns of strings, unpacked a few rows at a time.

    Raises:
        DataError: it is damaged, has too many rows or columns, or is too large when unpacked.
    """
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(io.BytesIO(data))
        about = file.metadata
        names = list(_flat(file.schema_arrow.empty_table()).column_names)
        check_width(len(names), name)
        if about.num_rows > ROW_LIMIT:
            raise too_many(name)
        check_unpacked(sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups)), name)
        schema = pa.schema([(str(place), STRING) for place in range(len(names))])
        batches = _unpacked(file.iter_batches(ROWS_AT_ONCE), schema, name)
        return pa.Table.from_batches(batches, schema).rename_columns(names)
    except pa.ArrowMemoryError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError, UnicodeError) as error:
        raise _damaged(name, error) from None


def _unpacked(batches: Iterator[Any], schema: pa.Schema, name: str) -> Iterator[pa.RecordBatch]:
    """Batches of strings of batches of rows, as long as they are not too large altogether."""
    size = 0
    for batch in batches:
        columns = [column.combine_chunks() for column in _flat(pa.Table.from_batches([batch])).columns]
        size += sum(map(_unpacked_bytes, columns))
        check_unpacked(size, name)
        yield pa.record_batch(list(map(_as_strings, columns)), schema)


def _flat(table: pa.Table) -> pa.Table:
    """The table with a column for each field of a structure."""
    for _ in range(DEEP):
        table = table.flatten() if any(map(pa.types.is_struct, table.schema.types)) else table
    return table


def _unpacked_bytes(column: pa.Array) -> int:
    """What a column takes once each row has its own copy of what a dictionary holds once."""
    if not pa.types.is_dictionary(column.type) or column.type.value_type not in HELD_ONCE:
        return int(column.nbytes)
    return int(pc.sum(pc.binary_length(column.dictionary).take(column.indices)).as_py() or 0)


def _as_strings(column: pa.Array) -> pa.Array:
    """A column of a batch as text. Raises DataError for a list that is too long for a cell."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column.validate(full=True)  # that it is UTF-8
        return column.cast(STRING).fill_null("")
    if pa.types.is_nested(column.type) and column.nbytes > MOST_NESTED:
        raise DataError("A column of lists has more values in a few rows than a cell can hold. Leave the column out.")
    return pa.array(list(map(as_cell, column.to_pylist())), STRING)


def _damaged(name: str, error: Exception) -> DataError:
    reason = " ".join(str(error).split()).rstrip(".")
    return DataError(f"{name} is a Parquet file that cannot be read: {reason}. Write it again, or as CSV.")


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


def check_unpacked(size: int, name: str) -> None:
    """Raise DataError where a compressed file is too large when unpacked."""
    if size > UNPACKED_LIMIT:
        raise DataError(
            f"{name} would take {size / 1e9:.1f} GB unpacked; at most {UNPACKED_LIMIT / 1e9:g} GB are "
            "read. Take a part of it."
        )
