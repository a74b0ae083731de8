"""Records to a table: what stands above the header, which row names the columns, and how they are called.

Knows records (row number, cells), not the format they were read from.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fgdesign.data.columns import LABEL_NAMES, TEXT_NAMES
from fgdesign.data.delimited import CELL_LIMIT, Rows, check_size
from fgdesign.data.ragged import are_torn, even_out
from fgdesign.data.table import count, noted, short
from fgdesign.errors import DataError

ROW_LIMIT = 2_000_000
COLUMN_LIMIT = 512
CELLS = 40_000_000  # of a table
LOOK_AT = 1000  # records that decide the width and the header
CLEARLY = 0.5  # share of rows of one width from which on a narrower header lacks names
OTHER_NAMES = {
    "id",
    "name",
    "date",
    "year",
    "time",
    "user",
    "index",
    "source",
    "lang",
    "language",
    "text_b",
    "key",
}
KNOWN_NAMES = OTHER_NAMES.union(TEXT_NAMES, LABEL_NAMES)
NUMBER_NAMES = ("id", "index", "key", "no", "nr", "number", "#", "row", "n")
KINDS_OF_ANSWER = ("Response", "Open-Ended Response", "Other (please specify)")  # of SurveyMonkey
IMPORT_ID = re.compile(r'\{"ImportId":.*\}')  # of Qualtrics, below the questions
COMMENTS = ("# ", "##", "#!")
TITLE_ROWS = 20  # above a header, at most
UNSEEN = "\ufeff\u200b\u200c\u200d\u200e\u200f\u2060"
COUNTED = re.compile(r"\(\d+ rows?(?: affected| selected)?\)")  # what databases write below a table
BLANK = " \t\r\n\x1a" + UNSEEN


def make_frame(
    records: Iterable[tuple[int, list[str]]], delimiter: str, name: str, notes: list[str]
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """(frame of strings, row number of each record) of records whose first may be the header.

    What was decided is added to `notes`.

    Raises:
        DataError: there are no rows, or too many rows or columns.
    """
    rows = filled(records, name)
    width, share = usual_width(rows)
    check_width(width, name)
    drop_above(rows, width, notes)
    if width > 1 and COUNTED.fullmatch("".join(rows[-1][1])):
        notes.append(noted("The count below the table is left out ({}).", [rows.pop()[0]]))
    header = take_header(rows, notes)
    drop_below(rows, notes)
    if has_row_names(header, rows):
        header = ["", *header]
        notes.append("The first column, which numbers the rows, has no name in the header.")
    narrow = share < CLEARLY or (all(header) and are_torn(rows[:LOOK_AT], len(header)))
    width = len(header) if narrow else max(width, len(header))
    check_width(width, name)
    _drop_repeated_header(rows, header, notes)
    if rows:
        even_out(rows, width, delimiter, notes)
    return _frame(header + [""] * (width - len(header)), rows, name, notes)


def named_frame(
    names: Sequence[str], records: Iterable[tuple[int, list[str]]], name: str, notes: list[str]
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """The same for records of a format that names its columns."""
    check_width(len(names), name)
    return _frame(names, filled(records, name), name, notes)


def _frame(
    header: Sequence[str], rows: Rows, name: str, notes: list[str]
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    names = column_names(header, notes)
    if not rows:
        shown = _first_names([short(column) for column in names])
        raise DataError(f"{name} has a header ({shown}) but no rows. Add rows below it.")
    columns = zip(*(cells for _, cells in rows), strict=True)
    frame = pd.DataFrame(
        {column: list(cells) for column, cells in zip(names, columns, strict=True)}, dtype="str"
    )
    return frame, np.fromiter((row for row, _ in rows), np.int64, len(rows))


def check_width(width: int, name: str) -> None:
    """Raise DataError when there are more columns than a table may have."""
    if width > COLUMN_LIMIT:
        raise DataError(
            f"{name} has {count(width, 'column')}; at most {COLUMN_LIMIT} are read. Keep those of text and "
            "label. If there are fewer, the rows are separated in an unusual way: save it as CSV (UTF-8)."
        )


def check_cells(rows: int, width: int, name: str) -> None:
    """Raise DataError when there are more cells than a table may have."""
    if rows * width > CELLS:
        raise DataError(
            f"{name} has {count(width, 'column')} in about {count(rows, 'row')}: more than {count(CELLS, 'cell')}, the "
            "most that are read. Keep the columns of text and label, or take a part of the rows."
        )


def column_names(header: Sequence[str], notes: list[str]) -> list[str]:
    """Distinct names that are not empty; changes are noted."""
    plain = [" ".join(cell.strip(UNSEEN).split()) for cell in header]
    used = set(plain)
    names: list[str] = []
    nameless: list[str] = []
    doubled: list[str] = []
    for place, cell in enumerate(plain, 1):
        name = cell
        if not cell or cell in names:
            name = _free(cell or f"column_{place}", used)
            (doubled if cell else nameless).append(f"'{short(name)}'")
        used.add(name)
        names.append(name)
    for found, what in ((nameless, "without a name"), (doubled, "with the name of another")):
        if found:
            notes.append(f"{count(len(found), 'column')} {what}, now called {_first_names(found)}.")
    return names


def _first_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _free(name: str, used: set[str]) -> str:
    """`name` itself, or with the first number that makes it new."""
    number = 2
    free = name
    while free in used:
        free = f"{name}_{number}"
        number += 1
    return free


def filled(records: Iterable[tuple[int, list[str]]], name: str) -> Rows:
    """The records that are not blank."""
    rows: Rows = []
    for row, cells in records:
        whole = "".join(cells)
        if whole.strip(BLANK):
            if len(whole) > CELL_LIMIT:
                check_size(cells, row)
            rows.append((row, cells))
            if len(rows) > ROW_LIMIT + 1:
                raise too_many(name)
            if not len(rows) % LOOK_AT:
                check_cells(len(rows), len(cells), name)
    if not rows:
        raise DataError(f"{name} is empty: no cell has anything in it. Give a file with a header and rows.")
    return rows


def too_many(name: str) -> DataError:
    """What is said of a table with more rows than are read."""
    return DataError(f"{name} has more than {count(ROW_LIMIT, 'row')}. Take a part of it.")


def usual_width(rows: Rows) -> tuple[int, float]:
    """(the most frequent number of cells, its share of the rows); on a tie the larger."""
    widths = Counter(len(cells) for _, cells in rows[:LOOK_AT])
    width = max(widths, key=lambda width: (widths[width], width))
    return width, widths[width] / widths.total()


def drop_above(rows: Rows, width: int, notes: list[str]) -> bool:
    """Drop what stands above the header: rows nearly empty where others are not, and comments; whether any were."""
    number = 0
    for look in (_title, _title_of_two, _comments, _title, _names_below):
        number += look(rows[number : number + TITLE_ROWS], width)
    found = 0 < number < len(rows) - 1
    if found:
        notes.append(noted("What stands above the header is left out ({}).", [row for row, _ in rows[:number]]))
        del rows[:number]
    return found


def _title(rows: Rows, width: int) -> int:
    """Leading rows that are nearly empty."""
    for place, (_, cells) in enumerate(rows):
        filled = sum(1 for cell in cells if cell.strip())
        if width < 2 or filled > max(1, width // 4) or (width == len(cells) == 2):
            return place
    return len(rows)


def _title_of_two(rows: Rows, width: int) -> int:
    """The first row of two columns where it fills one of them and the next one has known names."""
    if len(rows) < 2:
        return 0
    (_, first), (_, second) = rows[:2]
    named = all(second) and KNOWN_NAMES.intersection(cell.strip().lower() for cell in second)
    return int(width == len(first) == 2 and sum(map(bool, first)) == 1 and bool(named))


def _names_below(rows: Rows, width: int) -> int:
    """Leading rows with gaps in them or below them, where a full row of names, two of them known, comes after."""
    for place, (row, cells) in enumerate(rows):
        plain = {cell.strip().lower() for cell in cells}
        if len(cells) == width == len(plain) and all(plain) and len(plain & KNOWN_NAMES) > 1:
            return place
        gap = place + 1 < len(rows) and rows[place + 1][0] > row + 1
        if not gap and len(cells) == width and all(cells):
            return 0
    return 0


def _comments(rows: Rows, width: int) -> int:
    """Leading rows that begin with "# ", where a row of names comes after them."""
    comments = [cells[0].startswith(COMMENTS) or (cells[0] == "#" and not any(cells[1:])) for _, cells in rows]
    number = comments.index(False) if False in comments else 0
    below = [cells for _, cells in rows[number + 1 :]]
    return number if number and below and not _is_data(rows[number][1], below) else 0


def take_header(rows: Rows, notes: list[str]) -> list[str]:
    """Remove and return the header; when the first row is data, names made up for it."""
    first = rows[0][1]
    sample = [cells for _, cells in rows[1 : LOOK_AT + 1] if not same_names(cells, first) or len(cells) == 1]
    if (sample or len(rows) == 1) and not _is_data(first, sample):
        return rows.pop(0)[1]
    names = [f"column_{place}" for place in range(1, len(first) + 1)]
    said = f"The first row looks like data, so the columns are called {_first_names(names)}."
    notes.append(noted(said, [rows[0][0]], "no_header"))
    return names


def drop_below(rows: Rows, notes: list[str]) -> bool:
    """Drop the rows that surveys write below the header, questions and kinds of answers; whether any were."""
    number = 0
    for place, (_, cells) in enumerate(rows[:2], 1):
        told = [cell.strip() for cell in cells if cell.strip()]
        if told and (all(cell in KINDS_OF_ANSWER for cell in told) or all(map(IMPORT_ID.fullmatch, told))):
            number = place
    found = 0 < number < len(rows)
    if found:
        notes.append(noted("What a survey says of its columns below the header is left out ({}).",
                           [row for row, _ in rows[:number]]))  # fmt: skip
        del rows[:number]
    return found


def has_row_names(header: Sequence[str], rows: Rows) -> bool:
    """Whether all rows have one cell more than the header, and the first of each is its number, as R writes them."""
    some = rows[:LOOK_AT]
    even = all(len(cells) == len(header) + 1 for _, cells in some)
    if len(some) < 2 or not even or not any(cells[-1] for _, cells in some):
        return False
    first = [cells[0] for _, cells in some]
    known = header and header[0].strip().lower() in NUMBER_NAMES
    return not known and any(first == [str(at) for at in range(start, start + len(first))] for start in (0, 1))


def _is_data(first: list[str], sample: list[list[str]]) -> bool:
    """Whether the first row is like those below it rather than a row of names."""
    data = False
    for place, cell in enumerate(first):
        plain = cell.strip(UNSEEN + " \t\r\n").lower()
        below = {cells[place].strip().lower() for cells in sample if len(cells) > place} - {""}
        numbers = all(map(_is_number_like, below))
        if not plain:
            continue
        if _is_number_like(plain):
            data |= numbers
        elif (numbers and below) or (plain in KNOWN_NAMES and plain not in below):
            return False
        else:
            data |= plain in below or _is_sentence(plain) or not any(map(str.isalnum, plain))
    return data


def _is_number_like(cell: str) -> bool:
    """Digits with signs between, no letters: a number, a date, an amount."""
    return any(map(str.isdigit, cell)) and not any(map(str.isalpha, cell))


def _is_sentence(cell: str) -> bool:
    """Longer than a column's name would be."""
    return len(cell) > 60 or len(cell.split()) > 6


def _drop_repeated_header(rows: Rows, header: list[str], notes: list[str]) -> None:
    if len(header) < 2:
        return
    repeated = [row for row, cells in rows if same_names(cells, header)]
    if repeated:
        rows[:] = [(row, cells) for row, cells in rows if not same_names(cells, header)]
        notes.append(repeated_header(repeated))


def same_names(cells: Sequence[str], header: Sequence[str]) -> bool:
    """Whether cells are those of the header, in any case."""
    return len(cells) == len(header) and all(map(_same_name, cells, header))


def _same_name(cell: str, name: str) -> bool:
    return cell == name or cell.strip(BLANK).lower() == name.strip(BLANK).lower()


def repeated_header(rows: Sequence[int]) -> str:
    """What is said of rows that repeat the header."""
    return noted("The header stands again further down ({}); it is left out there.", rows)
