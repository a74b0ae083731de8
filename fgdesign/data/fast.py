"""Large delimited text to a table by Arrow, where that gives what the careful reader gives, only far sooner.

`read_fast` proves first that the quotes of the whole text follow the rules and leaves everything else to
`delimited`. Rows of another width go through the same repairs as there. Knows no encodings but UTF-8.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from fgdesign.data.delimited import (
    CELL_LIMIT,
    LONG_CELL,
    NOWHERE,
    Dialect,
    Repairs,
    Rows,
    check_size,
    open_text,
    read_records,
)
from fgdesign.data.kept import FRAME_TYPES, STRING
from fgdesign.data.ragged import MOST_WHOLE, even_out
from fgdesign.data.rows import (
    BLANK,
    LOOK_AT,
    ROW_LIMIT,
    check_cells,
    column_names,
    drop_above,
    drop_below,
    filled,
    repeated_header,
    take_header,
    too_many,
    usual_width,
)

BLOCK = 1 << 24  # bytes that Arrow parses at a time; more than any cell may have
MOST_RAGGED = 100_000  # rows of another width, beyond which the text is no table of this width
QUOTE = ord('"')
Read = tuple[pd.DataFrame, NDArray[np.int64]]
Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]


def read_fast(data: bytes, dialect: Dialect, name: str, notes: list[str], repairs: Repairs) -> Read | None:
    """(frame, row numbers) as `make_frame` makes them of `read_records`, or None where it might differ.

    Args:
        data: UTF-8 without a byte order mark.
        dialect: how cells are written.
        name: how messages call the file.
        notes: what was decided is added, where there is a result.
        repairs: is filled, where there is a result.

    Raises:
        DataError: there are too many rows.
    """
    delimiter = dialect.delimiter or NOWHERE
    text = np.frombuffer(data, np.uint8)
    if not text.all() or not delimiter.isascii() or dialect.spaced:
        return None
    requoted = np.zeros(0, np.int64)
    if dialect.quotes and not well_quoted(text, dialect):
        text, requoted = _by_the_rules(text, dialect)
        if not well_quoted(text, dialect):
            return None
    ends = _line_ends(text, dialect)
    if ends is None:
        return None
    said: list[str] = []
    head = _header(data, dialect, said)
    if head is None:
        return None
    header, start = head
    check_cells(len(ends), len(header), name)
    found = _parsed(text, delimiter, dialect, len(header), start)
    if found is None:
        return None
    table, ragged = found
    if len(table) + len(ragged) > ROW_LIMIT + 1000:  # blank rows may be among them
        raise too_many(name)
    whole = np.ones(len(table) + len(ragged), bool)
    whole[[row - start for row, _ in ragged]] = False
    row_numbers = np.flatnonzero(whole) + start
    keep = ~all_cells(table, lambda column, _: pc.equal(pc.utf8_trim(column, BLANK), ""))
    if start > 1 and len(header) > 1:
        again = keep & all_cells(table, lambda column, place: _same_name(column, header[place]))
        said += [repeated_header(row_numbers[again].tolist())] if again.any() else []
        keep &= ~again
    if not keep.any():
        return None
    table, row_numbers = table.filter(pa.array(keep)), row_numbers[keep]
    if ragged:
        table, row_numbers = _with_ragged(table, row_numbers, ragged, dialect, said)
    if len(table) > ROW_LIMIT:
        raise too_many(name)
    frame = table.rename_columns(column_names(header, said)).to_pandas(types_mapper=FRAME_TYPES)
    notes += said
    repairs.requoted += (np.unique(np.searchsorted(ends, requoted)) + 1).tolist()
    return frame, row_numbers


def well_quoted(text: Bytes, dialect: Dialect) -> bool:
    """Whether every quote opens a cell, closes one, or is doubled inside one."""
    places = np.flatnonzero(text == QUOTE)
    if len(places) % 2:
        return False
    opens, closes = places[0::2], places[1::2]
    doubled = np.zeros(len(opens), bool)  # opens right after a close: an escaped quote
    doubled[1:] = opens[1:] == closes[:-1] + 1
    before = _edges(dialect, dialect.newline == "")[text[np.maximum(opens - 1, 0)]] | (opens == 0) | doubled
    after = _edges(dialect, True)[text[np.minimum(closes + 1, len(text) - 1)]] | (closes == len(text) - 1)
    after[:-1] |= doubled[1:]
    return bool(before.all() and after.all())


def _edges(dialect: Dialect, returns: bool) -> NDArray[np.bool_]:
    """(256,) the bytes that stand at the edge of a cell."""
    edges = np.zeros(256, bool)
    edges[[ord(dialect.delimiter or NOWHERE), ord("\n")]] = True
    edges[ord("\r")] = returns
    return edges


def _by_the_rules(text: Bytes, dialect: Dialect) -> tuple[Bytes, Places]:
    """(the text with quotes doubled that stand inside cells, alone or behind a backslash; where these are)."""
    places = np.flatnonzero(text == QUOTE)
    before, after = text[np.maximum(places - 1, 0)], text[np.minimum(places + 1, len(text) - 1)]
    escaped = places[before == ord("\\")]
    new = text.copy()
    new[escaped - 1] = QUOTE
    if well_quoted(new, dialect):
        return new, escaped
    edge = _edges(dialect, True)
    edge[[QUOTE, ord("\\")]] = True
    inside = places[~edge[before] & ~edge[after] & (places > 0) & (places < len(text) - 1)]
    found = np.sort(np.concatenate([escaped, inside]))
    return np.insert(new, inside, QUOTE), found + np.searchsorted(inside, found)


def _line_ends(text: Bytes, dialect: Dialect) -> Places | None:
    """Where records end; None where a carriage return stands alone in a cell without quotes."""
    quotes = np.flatnonzero(text == QUOTE) if dialect.quotes else np.zeros(0, np.int64)
    ends = np.flatnonzero(text == ord("\n"))
    returns = np.flatnonzero(text == ord("\r"))
    lone = returns[text[np.minimum(returns + 1, len(text) - 1)] != ord("\n")]
    lone = lone[np.searchsorted(quotes, lone) % 2 == 0]
    if len(lone) and dialect.newline:
        return None
    ends = ends[np.searchsorted(quotes, ends) % 2 == 0] if len(quotes) else ends
    return np.sort(np.concatenate([ends, lone])) if len(lone) else ends


def _header(data: bytes, dialect: Dialect, said: list[str]) -> tuple[list[str], int] | None:
    """(header, number of the first row below it), None where the beginning needs the careful reader."""
    records = read_records(open_text(data, dialect.newline), dialect, Repairs())
    first = list(islice(records, LOOK_AT + 2))
    if not any("".join(cells).strip(BLANK) for _, cells in first):
        return None
    rows = filled(first, "")
    width, _ = usual_width(rows)
    if not rows or rows[0][0] != 1 or drop_above(rows, width, []):
        return None
    whole = rows[0][1]
    header = take_header(rows, said)
    made_up = bool(rows) and rows[0][1] is whole
    if drop_below(rows, []):
        return None
    usual = len(header) == width == (dialect.width or width)
    return (header, 1 if made_up else 2) if usual and "\n" not in "".join(whole) else None


def _parsed(
    text: Bytes, delimiter: str, dialect: Dialect, width: int, start: int
) -> tuple[pa.Table, list[tuple[int, str]]] | None:
    """(all rows of the width, (row, text) of the others), None where Arrow or the rules refuse."""
    ragged: list[tuple[int, str]] = []

    def aside(row: arrow_csv.InvalidRow) -> str:
        ragged.append((row.number, row.text))
        return "error" if len(ragged) > MOST_RAGGED or (dialect.quotes and '"' in row.text) else "skip"

    end = len(text)
    while end and text[end - 1] in b"\r\n":
        end -= 1
    names = [str(place) for place in range(width)]
    quote = '"' if dialect.quotes else False
    try:
        table = arrow_csv.read_csv(
            pa.py_buffer(text[:end]),
            arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK, column_names=names, skip_rows=start - 1),
            arrow_csv.ParseOptions(
                delimiter=delimiter, quote_char=quote, newlines_in_values=dialect.quotes, ignore_empty_lines=False,
                invalid_row_handler=aside,
            ),
            arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, STRING), strings_can_be_null=False),
        )  # fmt: skip
    except pa.ArrowException:
        return None
    lines = 0
    for column in table.columns if len(table) else ():
        if pc.max(pc.binary_length(column)).as_py() > CELL_LIMIT:
            return None
        for end_of_line in ("\n", "\r") if dialect.quotes else ():
            lines += pc.max(pc.count_substring(column, end_of_line)).as_py()
    if not len(table) or lines > (0 if delimiter == "\t" else LONG_CELL // 2):
        return None
    return table, ragged


def named_table(table: pa.Table, name: str, notes: list[str]) -> Read:
    """(frame, row numbers) of columns of strings that have their names, without blank rows.

    Raises:
        DataError: there are no rows, too many cells, or one that is too long.
    """
    check_cells(len(table), table.num_columns, name)
    names = column_names(table.column_names, notes)
    keep = ~all_cells(table, lambda column, _: pc.equal(pc.utf8_trim(column, BLANK), ""))
    if not keep.any():
        filled((), name)
    for column in table.columns:
        if pc.max(pc.binary_length(column)).as_py() > CELL_LIMIT:
            at = int(np.argmax(pc.utf8_length(column).to_numpy()))
            check_size([column[at].as_py()], at + 1)
    frame = table.rename_columns(names).filter(pa.array(keep)).to_pandas(types_mapper=FRAME_TYPES)
    return frame, np.flatnonzero(keep) + 1


def all_cells(table: pa.Table, test: Callable[[pa.ChunkedArray, int], pa.ChunkedArray]) -> NDArray[np.bool_]:
    """(N,) rows of which all cells pass `test(column, place)`."""
    found = np.ones(len(table), bool)
    for place, column in enumerate(table.columns):
        if not found.any():
            break
        found &= test(column, place).to_numpy().astype(bool)
    return found


def _same_name(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """(N,) cells that are a column's name, in any case; only short ones are looked at."""
    found = np.zeros(len(column), bool)
    near = np.flatnonzero(pc.binary_length(column).to_numpy() <= len(name.encode()) + 8)
    cells = pc.utf8_lower(pc.utf8_trim(column.take(pa.array(near)), BLANK))
    found[near] = pc.equal(cells, name.strip(BLANK).lower()).to_numpy()
    return pa.chunked_array([pa.array(found)])


def _with_ragged(
    table: pa.Table, row_numbers: NDArray[np.int64], ragged: list[tuple[int, str]], dialect: Dialect, said: list[str]
) -> tuple[pa.Table, NDArray[np.int64]]:
    """The rows of another width made even and put where they stood."""
    delimiter = dialect.delimiter or NOWHERE
    rows: Rows = []
    for number, text in ragged:
        cells = text.split(delimiter)  # there is no quote in it
        if "".join(cells).strip(BLANK):
            rows.append((number, cells))
    if not rows:
        return table, row_numbers
    some = table.slice(0, MOST_WHOLE)
    whole = [list(cells) for cells in zip(*(column.to_pylist() for column in some.columns), strict=True)]
    even_out(rows, table.num_columns, dialect.between, said, whole)
    columns = zip(*(cells for _, cells in rows), strict=True)
    more = pa.table({name: pa.array(cells, STRING) for name, cells in zip(table.column_names, columns, strict=True)})
    numbers = np.concatenate([row_numbers, [row for row, _ in rows]])
    order = np.argsort(numbers, kind="stable")
    return pa.concat_tables([table, more]).take(pa.array(order)), numbers[order]
