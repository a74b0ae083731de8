"""Delimited text to records: which character separates the cells, and what quotes mean. Knows no columns.

Well-formed records go through the csv module. What it refuses is read again by rules that people's files
need: quotes inside a quoted cell, quotes escaped by a backslash, a quote that opens and never closes.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from fgdesign.data.table import count
from fgdesign.errors import DataError

DELIMITERS = ("\t", ";", ",", "|")  # on a tie the first one wins
SEPARATOR_LINE = re.compile(r"""["']?sep=(.)["']?\r?\n?""", re.IGNORECASE)
CELL_LIMIT = 1_000_000  # characters
CELL_LINES = 5000  # lines of one cell; beyond, its quote is taken for one that never closes
REPAIR_LINES = 50  # lines over which a badly quoted record is put together
LONG_CELL = 100  # lines from which on a cell is pointed out
NOWHERE = "\x1f"  # stands for a delimiter where there is one column only
PAIRS, LOOSE, BACKSLASH = "pairs", "loose", "backslash"
SAMPLE_CHARACTERS = 1 << 18
SAMPLE_RECORDS = 500
MANY_CELLS = 4  # more than these in every other line are no accident
MOSTLY, OFTEN = 0.9, 0.5  # shares of records of one width that make a delimiter

Record = tuple[int, list[str]]


@dataclass(frozen=True)
class Dialect:
    """How cells are written.

    Attributes:
        delimiter: one character, or "" for one column.
        width: usual cells per record, by which a doubtful reading is judged; 0 when not known.
        quotes: whether quotes enclose cells; otherwise they are characters like any other. They do unless
            at least half as many stay open as enclose something that needs it.
    """

    delimiter: str
    width: int
    quotes: bool = True


@dataclass
class Repairs:
    """Row numbers where reading needed more than the rules of the format."""

    unclosed: list[int] = field(default_factory=list)
    requoted: list[int] = field(default_factory=list)
    many_lines: list[int] = field(default_factory=list)
    zero_bytes: int = 0


def line_end(data: bytes, encoding: str) -> str:
    """How lines end, as `open_text` takes it: "" for lone carriage returns, where most are so, else "\n"."""
    returns = _units(data, "\r", encoding)
    if not returns:
        return "\n"
    return "" if returns - _units(data, "\r\n", encoding) > _units(data, "\n", encoding) else "\n"


def open_text(data: bytes | memoryview, skip: int, encoding: str, newline: str) -> io.TextIOWrapper:
    """The text after `skip` bytes, line by line."""
    stream = io.BytesIO(data)
    stream.seek(skip)
    return io.TextIOWrapper(stream, encoding, errors="replace", newline=newline)


def _units(data: bytes, text: str, encoding: str) -> int:
    return data.count(text.encode(encoding))


def find_dialect(text: str, said: str, *, complete: bool) -> Dialect:
    """How the cells of a file are written, from its beginning.

    Args:
        text: the beginning.
        said: the delimiter that the file itself names, or "".
        complete: whether it is the whole file; otherwise its last record is not looked at.
    """
    best = Dialect("", 1)
    best_share = 0.0
    for delimiter in said or DELIMITERS:
        sample, _ = _sample(text, Dialect(delimiter, 0), complete=complete)
        width, share = _agreement(sample)
        if said or share > best_share:
            best, best_share = Dialect(delimiter, width), share
    sample, repairs = _sample(text, best, complete=True)
    special = best.delimiter or NOWHERE
    needed = sum(any(special in cell or "\n" in cell for cell in cells) for cells in sample)
    return replace(best, quotes=2 * len(repairs.unclosed) < max(6, needed))


def _sample(text: str, dialect: Dialect, *, complete: bool) -> tuple[list[list[str]], Repairs]:
    """Records that are not blank lines, and what had to be repaired."""
    repairs = Repairs()
    found = read_records(iter(io.StringIO(text, newline="")), dialect, repairs)
    sample = [cells for _, cells in islice(found, SAMPLE_RECORDS) if cells]
    if not complete and 1 < len(sample) < SAMPLE_RECORDS:
        sample.pop()
    return sample, repairs


def _agreement(sample: list[list[str]]) -> tuple[int, float]:
    """(cells per record, how well the records agree on it): 0 for not at all, above 1 with a header.

    Without a header nearly all must agree, unless there are many cells. With one it is enough when half
    do, or when hardly any record has fewer: texts may have the delimiter in them.
    """
    several = Counter(len(cells) for cells in sample if len(cells) > 1)
    if not several:
        return 1, 0.0
    width, number = several.most_common(1)[0]
    share = number / len(sample)
    first = len(sample[0]) if _like_names(sample[0]) else 0
    if share >= (OFTEN if width == first or width > MANY_CELLS else MOSTLY):
        return width, share + (width == first)
    enough = sum(number for size, number in several.items() if size >= first) / len(sample)
    return (first, enough / 2) if first > 1 and enough >= MOSTLY else (1, 0.0)


def _like_names(cells: list[str]) -> bool:
    """Whether cells could be column names: short, of few words."""
    return all(len(cell) <= 60 and len(cell.split()) <= 6 for cell in cells)


def read_records(lines: Iterator[str], dialect: Dialect, repairs: Repairs) -> Iterator[Record]:
    """(row, cells) of every record, blank ones too; rows are counted from 1.

    Args:
        lines: with their line ends.
        dialect: how cells are written.
        repairs: is filled on the way.

    Raises:
        DataError: a cell is longer than CELL_LIMIT.
    """
    source = _Lines(lines)
    csv.field_size_limit(max(csv.field_size_limit(), CELL_LIMIT))
    delimiter = dialect.delimiter or NOWHERE
    if dialect.quotes:
        reader = csv.reader(source, delimiter=delimiter, strict=True)
    else:
        reader = csv.reader(source, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    row = 0
    while True:
        row += 1
        source.read.clear()
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error:
            check_size(source.read, row)
            cells = _repair(source, row, dialect, repairs)
        else:
            if len(source.read[0]) > CELL_LIMIT:
                check_size(cells, row)
            if len(source.read) > 1 or (len(cells) != dialect.width and '"' in source.read[0]):
                cells = _check(cells, source, row, dialect, repairs)
        yield row, cells
    repairs.zero_bytes = source.zero_bytes


def _check(cells: list[str], source: _Lines, row: int, dialect: Dialect, repairs: Repairs) -> list[str]:
    """Repair a record that only seems well-formed: of another width, or of lines that are records alone.

    The latter counts with tabs only: a text of several lines may well have another delimiter in the first.
    """
    width = dialect.width
    swallowed = False
    if len(source.read) > 1 and dialect.delimiter == "\t":
        swallowed = len(source.read[0].split("\t")) == width > 1
    if dialect.quotes and width and cells and (len(cells) != width or swallowed):
        cells = _repair(source, row, dialect, repairs)
    if len(source.read) > LONG_CELL:
        repairs.many_lines.append(row)
    return cells


def check_size(cells: list[str], row: int) -> None:
    """Raise DataError where a cell is longer than any that is read."""
    if max(map(len, cells)) > CELL_LIMIT:
        raise DataError(
            f"Row {row} has a cell of more than {count(CELL_LIMIT, 'character')}, the most that is read. "
            "Shorten the cell, or check the quotes in that row."
        )


class _Lines:
    """Lines without zero bytes, with a memory of the present record's, so that they can be given back."""

    def __init__(self, source: Iterator[str]) -> None:
        self.source = source
        self.again: deque[str] = deque()
        self.read: list[str] = []
        self.zero_bytes = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if len(self.read) > CELL_LINES:
            raise csv.Error("too many lines in one record")
        line = self.again.popleft() if self.again else next(self.source)
        if "\0" in line:
            self.zero_bytes += line.count("\0")
            line = line.replace("\0", "")
        self.read.append(line)
        return line

    def keep(self, lines: int) -> None:
        """The record took this many lines; the others are read again."""
        self.again.extendleft(reversed(self.read[lines:]))
        del self.read[lines:]


def _repair(source: _Lines, row: int, dialect: Dialect, repairs: Repairs) -> list[str]:
    """Read a record again: the fewest lines that close its quotes and give the usual width.

    Where no reading gives the usual width the first that closes its quotes counts; where none closes
    them, the first line alone does, with its open quote as a plain character.
    """
    delimiter, width = dialect.delimiter, dialect.width
    alone, is_open = split_loosely(source.read[0], delimiter, PAIRS)
    if is_open and len(alone) == width:
        source.keep(1)
        repairs.unclosed.append(row)
        return alone
    closed: tuple[list[str], int] | None = None
    for lines in range(1, min(len(source.read), REPAIR_LINES) + 1):
        if lines > 1 and _is_record(source.read[lines - 1], delimiter, width):
            break
        record = "".join(source.read[:lines])
        for rule in (BACKSLASH, PAIRS, LOOSE) if '\\"' in record else (PAIRS, LOOSE):
            cells, is_open = split_loosely(record, delimiter, rule)
            if not is_open and len(cells) == width:
                source.keep(lines)
                repairs.requoted.append(row)
                return cells
            if not is_open and closed is None:
                closed = cells, lines
    if closed is None:
        repairs.unclosed.append(row)
    cells, lines = closed or (alone, 1)
    source.keep(lines)
    return cells


def _is_record(line: str, delimiter: str, width: int) -> bool:
    """Whether a line that begins with a quote is a record by itself."""
    if not line.startswith('"'):
        return False
    cells, is_open = split_loosely(line, delimiter, PAIRS)
    return not is_open and len(cells) == width


def split_loosely(record: str, delimiter: str, rule: str) -> tuple[list[str], bool]:
    """(cells, whether a quote stayed open) of one record; a quote closes only before a delimiter or the end.

    Args:
        record: with or without its line end.
        delimiter: one character, or "" for one column.
        rule: what keeps a quote from closing. PAIRS: another quote after it; BACKSLASH: a backslash
            before it; LOOSE: nothing else.
    """
    record = record.rstrip("\r\n")
    delimiter = delimiter or NOWHERE
    cells: list[str] = []
    place = 0
    while True:
        start = _after_spaces(record, place)
        if record[start : start + 1] == '"':
            end = _closing_quote(record, start + 1, delimiter, rule)
            if end < 0:
                return cells + record[place:].split(delimiter), True
            cell = record[start + 1 : end].replace('""', '"')
            cells.append(cell.replace('\\"', '"') if rule == BACKSLASH else cell)
            place = _after_spaces(record, end + 1)
        else:
            end = record.find(delimiter, place)
            end = len(record) if end < 0 else end
            cells.append(record[place:end])
            place = end
        if place >= len(record):
            return cells, False
        place += 1


def _closing_quote(record: str, place: int, delimiter: str, rule: str) -> int:
    """Where the quoted cell that begins at `place` ends, or -1."""
    while (place := record.find('"', place)) >= 0:
        if rule == PAIRS and record[place + 1 : place + 2] == '"':
            place += 2
        elif not (rule == BACKSLASH and record[place - 1] == "\\") and _ends(record, place + 1, delimiter):
            return place
        else:
            place += 1
    return -1


def _ends(record: str, place: int, delimiter: str) -> bool:
    """Whether a cell may end here."""
    place = _after_spaces(record, place)
    return place >= len(record) or record[place] == delimiter


def _after_spaces(record: str, place: int) -> int:
    while record[place : place + 1] == " ":
        place += 1
    return place
