"""A file to a table of strings, whatever its encoding and format. Knows nothing of tasks and models.

What bytes are is decided by their content, not by the name. Every doubt that was settled is a note; what
cannot be read is a DataError that says what the file is and what to do.
"""

from __future__ import annotations

import gc
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fgdesign.data import plain
from fgdesign.data.delimited import Record, Repairs, open_text, read_records
from fgdesign.data.dialect import Written, beginning, names_columns, out_of_fence, written
from fgdesign.data.documents import refuse_documents
from fgdesign.data.escapes import CERTAIN, is_mixed, line_by_line, paired
from fgdesign.data.excel import excel_sheets
from fgdesign.data.fast import Read, named_table, read_fast
from fgdesign.data.formats import json_records, parquet_table
from fgdesign.data.json_text import as_json
from fgdesign.data.kept import load_kept
from fgdesign.data.ragged import even_out
from fgdesign.data.rows import check_width, column_names, make_frame, named_frame
from fgdesign.data.signs import usual_line_ends
from fgdesign.data.sniff import file_kind, foreign_lines, text_encoding
from fgdesign.data.table import Note, Table, count, noted
from fgdesign.errors import DataError

FORMULA = re.compile(r'^="(.*)"$', re.DOTALL)
FORMULAS = 50  # rows that tell whether a column has them
FAST_FROM = 1 << 20  # bytes from which on Arrow is tried first
FEW_ZEROS, MOST_ZEROS = 15, 1 << 16  # at the end, as whole blocks leave them, which are no part of the text
FILE_LIMIT = 200 * 1024 * 1024  # bytes
SPOKEN = {"\t": "tab", "": "nothing: it has one column"}


def read_table(source: str | Path | IO[bytes], *, name: str = "") -> Table:
    """Read CSV and its relatives, JSON records, Parquet or Excel.

    Args:
        source: a path, or an open binary file, which is read from its start.
        name: how messages call the file; its own name by default.

    Raises:
        DataError: there is no such file, or it holds no table that can be read.
        MissingExtraError: an Excel file, and the package that reads it is not installed.
    """
    kept = load_kept(Path(source)) if isinstance(source, (str, Path)) else None
    if kept is not None:
        return kept
    with _uncollected():
        return _read(*_load(source, name))


@contextmanager
def _uncollected() -> Iterator[None]:
    """No collection of garbage: there are millions of cells to look at and no cycles among them."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _read(data: bytes, name: str) -> Table:
    if not data[:1000].strip() and not data.strip():
        raise DataError(f"{name} is empty ({count(len(data), 'byte')}). Give a file with a header and rows.")
    notes: list[str] = []
    encoding = delimiter = ""
    kind = file_kind(data, name)
    zeros = len(data) - len(ended := data.rstrip(b"\0"))
    if kind == "text" and FEW_ZEROS < zeros < max(MOST_ZEROS, len(ended)):
        notes.append("Zero bytes at the end are left out.")
        data = data[: len(ended) + -len(ended) % 4] if b"\0" in ended else ended  # whole letters in any encoding
    if kind == "parquet":
        frame, rows = named_table(parquet_table(data, name), name, notes)
    elif kind == "xlsx":
        return _of_workbook(data, name)
    else:
        encoding, skip = text_encoding(data, name)
        frame, rows, delimiter = _read_text(data, encoding, skip, name, notes)
    return _table((frame, rows), encoding, delimiter, notes, data)


def _table(found: Read, encoding: str, delimiter: str, notes: list[str], data: bytes) -> Table:
    marks = {note.mark: np.asarray(note.marked, np.int64) for note in notes if isinstance(note, Note) and note.mark}
    return Table(*found, encoding, delimiter, tuple(notes), hashlib.sha256(data).hexdigest(), marks)


def _of_workbook(data: bytes, name: str) -> Table:
    """The table of a workbook's first sheet with one, and those of its other sheets."""
    notes: list[str] = []
    tables = excel_sheets(data, name, notes)
    first = next(iter(tables), "")
    table = _table(_of_sheet(tables.get(first, []), name, notes), "", "", notes, data)
    sheets = {}
    for title, records in tables.items():
        said: list[str] = []
        with suppress(DataError):  # it holds no table
            if title != first:
                sheets[title] = replace(_table(_of_sheet(records, name, said), "", "", said, data), sheet=title)
    return replace(table, sheet=first, sheets=sheets)


def _of_sheet(records: list[Record], name: str, notes: list[str]) -> Read:
    """The table of a sheet; where all of it stands in one column, as lines of a CSV, that CSV is read."""
    if len(records) > 1 and all(len(cells) == 1 for _, cells in records):
        form = written("\n".join(cells[0].replace("\n", " ") for _, cells in records).encode())
        if names_columns(form):
            notes.append("All cells stand in one column, as lines of a CSV.")
            return _delimited(form, "the text of that column", name, notes)
    return make_frame(records, ",", name, notes)


def _load(source: str | Path | IO[bytes], name: str) -> tuple[bytes, str]:
    try:
        if isinstance(source, (str, Path)):
            name = name or Path(source).name
            with Path(source).open("rb") as file:
                data = file.read(FILE_LIMIT + 1)
        else:
            name = name or Path(str(getattr(source, "name", "the file"))).name
            if source.seekable():
                source.seek(0)
            data = source.read(FILE_LIMIT + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"{source} cannot be read: {reason}. Give the path of a table, such as a CSV file."
        ) from None
    if len(data) > FILE_LIMIT:
        raise DataError(
            f"{name} is larger than {FILE_LIMIT >> 20} MB, the most that is read. Take a part of it."
        )
    return data, name


def _read_text(
    data: bytes, encoding: str, skip: int, name: str, notes: list[str]
) -> tuple[pd.DataFrame, NDArray[np.int64], str]:
    """(frame, row numbers, delimiter) of JSON or delimited text."""
    text, outside = out_of_fence(_as_utf8(data, skip, encoding, notes))
    if outside:
        notes.append(noted("What stands outside of the code fence is left out ({}).", outside))
    refuse_documents(beginning(text), name)
    said: list[str] = []
    if (bare := as_json(text, said)) is not None:
        notes += [f"Read as JSON, {encoding}.", *said]
        names, records = json_records(bare, name, notes)
        return *named_frame(names, records, name, notes), ""
    text, ended = usual_line_ends(text, encoding)
    if ended:
        notes.append(f"Lines end by {ended}.")
    plain.refuse_sql(beginning(text), name)
    if table := plain.drawn(text, beginning(text)):
        found, between = _drawn(table, encoding, name, notes), table.between
    else:
        form = written(text)
        if not form.dialect.delimiter and (table := plain.fixed_width(text, beginning(text))):
            found, between = _drawn(table, encoding, name, notes), ""
        else:
            found, between = _delimited(form, encoding, name, notes), form.dialect.between
    found = _without_formulas(*found, notes)
    if not encoding.startswith("utf") and encoding not in CERTAIN:
        words = Note(f"{encoding} is a guess: if letters look wrong, save the file as UTF-8.")
        notes.append(words.about(found[1][_foreign(found[0])].tolist()))
    if b"\xef\xbf\xbd" in text:
        _note_bad_bytes(*found, data[skip:], encoding, notes)
    return *found, between


def _delimited(form: Written, encoding: str, name: str, notes: list[str]) -> Read:
    """(frame, row numbers) of a text with delimiters."""
    text, dialect = form.text, form.dialect
    check_width(dialect.width, name)
    notes.append(f"Read as {encoding}, separated by {SPOKEN.get(dialect.between, repr(dialect.between))}.")
    notes += form.notes
    if not dialect.quotes:
        notes.append("Most quotes do not enclose cells here, so all are read as plain characters.")
    found, repairs = None, Repairs()
    if len(text) > FAST_FROM:
        found = read_fast(text, dialect, name, notes, repairs)
    if found is None:
        lines = open_text(text, dialect.newline)
        found = make_frame(read_records(lines, dialect, repairs), dialect.between, name, notes)
    _note_repairs(repairs, notes)
    return found


def _drawn(table: plain.Drawn, encoding: str, name: str, notes: list[str]) -> Read:
    """The same of a table that is drawn as text."""
    notes += [f"Read as {encoding}, {table.form}.", *table.notes]
    even_out(table.rows, len(table.names), table.between, notes)
    return named_frame(table.names, table.rows, name, notes)


def _as_utf8(data: bytes, skip: int, encoding: str, notes: list[str]) -> bytes:
    """The text after `skip` bytes in UTF-8, what does not decode replaced."""
    if encoding == "utf-8":
        with suppress(UnicodeDecodeError):
            data.decode()
            return data[skip:]
        data = paired(data)
        if is_mixed(foreign_lines(data)):
            text, others = line_by_line(data[skip:])
            notes.append(f"Lines are in two encodings: {count(len(others), 'line')} in cp1252 (first: line "
                         f"{others[0]}), all others in utf-8.")  # fmt: skip
            return text
    return data[skip:].decode(encoding, "replace").encode()


def _note_repairs(repairs: Repairs, notes: list[str]) -> None:
    zeros = f"{count(repairs.zero_bytes, 'zero byte')} removed ({{}})."
    for mark, rows, words in (
        ("open_quote", repairs.unclosed, "A quote opens and never closes ({}); it was read as a plain character."),
        ("quotes", repairs.requoted, "Quotes do not follow the rules ({}); inner ones were read as plain characters."),
        ("many_lines", repairs.many_lines, "A cell has very many lines ({}). If that is wrong, correct the quotes "
         "there."),
        ("zero_bytes", repairs.zeros, zeros),
    ):  # fmt: skip
        if rows:
            notes.append(noted(words, rows, mark))


def _without_formulas(frame: pd.DataFrame, rows: NDArray[np.int64], notes: list[str]) -> Read:
    """Cells such as ="007", which keep spreadsheets from changing them, become the text in them."""
    some = frame.iloc[:FORMULAS]
    changed = [name for name in frame if sum(map(bool, map(FORMULA.match, some[name].tolist()))) * 2 > len(some)]
    if not changed:
        return frame, rows
    cells = {name: [FORMULA.sub(r"\1", cell) for cell in frame[name].tolist()] for name in changed}
    notes.append('Cells written as formulas of a text, such as ="a", are read as that text.')
    names = column_names([FORMULA.sub(r"\1", str(name)) for name in frame], [])
    return frame.assign(**cells).astype("str").set_axis(names, axis=1), rows


def _foreign(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """(N,) rows with letters beyond ASCII."""
    found = np.zeros(len(frame), bool)
    for column in frame:
        found |= ~np.asarray(pc.string_is_ascii(pa.array(frame[column].array, pa.large_string())))
    return found


def _note_bad_bytes(
    frame: pd.DataFrame, rows: NDArray[np.int64], data: bytes, encoding: str, notes: list[str]
) -> None:
    """Name the rows with characters that had to be replaced, where the bytes do not decode."""
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        bad = np.zeros(len(frame), bool)
        for column in frame:
            bad |= frame[column].str.contains("\ufffd", regex=False).to_numpy(bool)
        words = f"Some bytes are no {encoding} ({{}}); they were replaced by '\ufffd'."
        notes.append(noted(words, rows[bad].tolist(), "bad_bytes") if bad.any() else words.format("in the header"))
