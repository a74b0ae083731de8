"""A file to a table of strings, whatever its encoding and format. Knows nothing of tasks and models.

What bytes are is decided by their content, not by the name. Every doubt that was settled is a note; what
cannot be read is a DataError that says what the file is and what to do.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fgdesign.data.delimited import (
    SAMPLE_CHARACTERS,
    SEPARATOR_LINE,
    Repairs,
    find_dialect,
    line_end,
    open_text,
    read_records,
)
from fgdesign.data.fast import read_fast
from fgdesign.data.formats import excel_records, is_json, json_records, parquet_records
from fgdesign.data.kept import load_kept
from fgdesign.data.rows import check_width, first_row, make_frame, named_frame
from fgdesign.data.sniff import file_kind, text_encoding
from fgdesign.data.table import Table, count
from fgdesign.errors import DataError

FAST_FROM = 1 << 20  # bytes from which on Arrow is tried first
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
    data, name = _load(source, name)
    if not data[:1000].strip() and not data.strip():
        raise DataError(f"{name} is empty ({count(len(data), 'byte')}). Give a file with a header and rows.")
    notes: list[str] = []
    encoding = delimiter = ""
    kind = file_kind(data, name)
    if kind == "parquet":
        frame, rows = named_frame(*parquet_records(data, name), name, notes)
    elif kind == "xlsx":
        frame, rows = make_frame(excel_records(data, name, notes), ",", name, notes)
    else:
        encoding, skip = text_encoding(data, name)
        frame, rows, delimiter = _read_text(data, encoding, skip, name, notes)
    return Table(frame, rows, encoding, delimiter, tuple(notes), hashlib.sha256(data).hexdigest())


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
    newline = line_end(data, encoding)
    text = open_text(data, skip, encoding, newline)
    sample = text.read(SAMPLE_CHARACTERS)
    if is_json(sample):
        notes.append(f"Read as JSON, {encoding}.")
        names, records = json_records(sample + text.read(), name)
        return *named_frame(names, records, name, notes), ""
    text = open_text(data, skip, encoding, newline)
    complete = len(sample) < SAMPLE_CHARACTERS
    said = SEPARATOR_LINE.fullmatch(sample.splitlines(keepends=True)[0]) if sample else None
    if said:
        text.readline()
        sample = sample[said.end() :]
    dialect = find_dialect(sample, said[1] if said else "", complete=complete)
    delimiter = dialect.delimiter
    check_width(dialect.width, name)
    notes.append(f"Read as {encoding}, separated by {SPOKEN.get(delimiter, repr(delimiter))}.")
    if not dialect.quotes:
        notes.append("Most quotes do not enclose cells here, so all are read as plain characters.")
    if not encoding.startswith("utf"):
        notes.append(f"{encoding} is a guess: if letters look wrong, save the file as UTF-8.")
    found = None
    if len(data) > FAST_FROM and not said:
        found = read_fast(_as_utf8(data, skip, encoding), dialect, name, notes)
    if found is None:
        repairs = Repairs()
        found = make_frame(read_records(text, dialect, repairs), delimiter, name, notes)
        _note_repairs(repairs, notes)
    _note_bad_bytes(*found, data, encoding, notes)
    return *found, delimiter


def _as_utf8(data: bytes, skip: int, encoding: str) -> memoryview:
    """The text after `skip` bytes in UTF-8, what does not decode replaced."""
    if encoding == "utf-8":
        with suppress(UnicodeDecodeError):
            data.decode()
            return memoryview(data)[skip:]
    return memoryview(data[skip:].decode(encoding, "replace").encode())


def _note_repairs(repairs: Repairs, notes: list[str]) -> None:
    if repairs.unclosed:
        where = first_row(repairs.unclosed)
        notes.append(f"A quote opens and never closes ({where}); it was read as a plain character.")
    if repairs.requoted:
        where = first_row(repairs.requoted)
        notes.append(f"Quotes do not follow the rules ({where}); inner ones were read as plain characters.")
    if repairs.many_lines:
        where = first_row(repairs.many_lines)
        notes.append(f"A cell has very many lines ({where}). If that is wrong, correct the quotes there.")
    if repairs.zero_bytes:
        notes.append(f"{count(repairs.zero_bytes, 'zero byte')} removed.")


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
        where = first_row(rows[bad].tolist()) if bad.any() else "in the header"
        notes.append(f"Some bytes are no {encoding} ({where}); they were replaced by '\ufffd'.")
