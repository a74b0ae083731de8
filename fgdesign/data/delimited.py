"""Delimited text to records, by a known delimiter: what quotes mean, and where a record ends. Knows no columns.

Well-formed records go through the csv module. What it refuses is read again by rules that people's files
need: quotes inside a quoted cell, quotes escaped by a backslash, a quote that opens and never closes.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import islice

from fgdesign.data.table import count
from fgdesign.errors import DataError

CELL_LIMIT = 1_000_000  # characters
LOOK_AHEAD = 1000  # lines that are seen to be plain at once
CELL_LINES = 5000  # lines of one cell; beyond, its quote is taken for one that never closes
REPAIR_LINES = 50  # lines over which a badly quoted record is put together
LONG_CELL = 100  # lines from which on a cell is pointed out
NOWHERE = "\x1f"  # stands for a delimiter where there is one column only
OPENS = re.compile(' *"')
PAIRS, LOOSE, BACKSLASH = "pairs", "loose", "backslash"

Record = tuple[int, list[str]]
Rows = list[Record]


@dataclass(frozen=True)
class Dialect:
    """How cells are written.

    Attributes:
        delimiter: one character, or "" for one column.
        width: usual cells per record, by which a doubtful reading is judged; 0 when not known.
        quotes: whether quotes enclose cells; otherwise they are characters like any other. They do unless
            at least half as many stay open as enclose something that needs it.
        newline: as `open_text` takes it.
        spaced: whether a quote may stand behind a delimiter and spaces.
        shown: what stands in the file for the delimiter, where that is longer than one character.
    """

    delimiter: str
    width: int
    quotes: bool = True
    newline: str = "\n"
    spaced: bool = False
    shown: str = ""

    @property
    def between(self) -> str:
        """What stands between two cells in the file."""
        return self.shown or self.delimiter


@dataclass
class Repairs:
    """Row numbers where reading needed more than the rules of the format."""

    unclosed: list[int] = field(default_factory=list)
    requoted: list[int] = field(default_factory=list)
    many_lines: list[int] = field(default_factory=list)
    zeros: list[int] = field(default_factory=list)
    zero_bytes: int = 0


def open_text(text: bytes, newline: str) -> io.TextIOWrapper:
    """A text in UTF-8 line by line; newline: "" where carriage returns alone end lines too, else "\\n"."""
    return io.TextIOWrapper(io.BytesIO(text), "utf-8", errors="replace", newline=newline)


def read_records(lines: Iterator[str], dialect: Dialect, repairs: Repairs) -> Iterator[Record]:
    """(row, cells) of every record, blank ones too; rows are counted from 1.

    Args:
        lines: with their line ends.
        dialect: how cells are written.
        repairs: is filled on the way.

    Raises:
        DataError: a cell is longer than CELL_LIMIT.
    """
    delimiter = dialect.delimiter or NOWHERE
    source = _Lines(lines, delimiter)
    csv.field_size_limit(max(csv.field_size_limit(), CELL_LIMIT))
    if dialect.quotes:
        read = partial(csv.reader, delimiter=delimiter, strict=True, skipinitialspace=dialect.spaced)
    else:
        read = partial(csv.reader, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    reader = read(source)
    row = 0
    while True:
        if not source.again:
            for cells in read(source.plain()):
                row += 1
                yield row, cells
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
        if source.zero_bytes > repairs.zero_bytes:
            repairs.zero_bytes = source.zero_bytes
            repairs.zeros.append(row)
        yield row, cells


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

    def __init__(self, source: Iterator[str], delimiter: str) -> None:
        self.source, self.delimiter = source, delimiter
        self.again: deque[str] = deque()
        self.read: list[str] = []
        self.zero_bytes = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if len(self.read) > CELL_LINES:
            raise csv.Error("too many lines in one record")
        line = self.again.popleft() if self.again else next(self.source)
        if len(line) > CELL_LIMIT and line.count(self.delimiter) > CELL_LIMIT:
            raise DataError(f"A row has more than {count(CELL_LIMIT, 'cell')}, more than any that is read. Check what "
                            "separates its cells, or leave the row out.")  # fmt: skip
        if "\0" in line:
            self.zero_bytes += line.count("\0")
            line = line.replace("\0", "")
        self.read.append(line)
        return line

    def plain(self) -> list[str]:
        """The next lines where each is a record and nothing in them can need a repair; none where one may."""
        lines = list(islice(self.source, LOOK_AHEAD))
        if max(map(len, lines), default=0) <= CELL_LIMIT:
            text = "".join(lines)
            if '"' not in text and "\0" not in text and text.count("\r") == text.count("\r\n"):
                return lines
        self.again.extend(lines)
        return []

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
    if '"' not in source.read[0]:  # a carriage return in a cell, no more
        source.keep(1)
        return source.read[0].rstrip("\r\n").split(delimiter or NOWHERE)
    alone, still_open = split_loosely(source.read[0], delimiter, PAIRS)
    if still_open and len(alone) == width:
        source.keep(1)
        repairs.unclosed.append(row)
        return alone
    closed: tuple[list[str], int] | None = None
    for lines in range(1, min(len(source.read), REPAIR_LINES) + 1):
        if lines > 1 and _is_record(source.read[lines - 1], delimiter, width):
            break
        record = "".join(source.read[:lines])
        for rule in _rules(record):
            known = lines == 1 and rule == PAIRS
            cells, is_open = (alone, still_open) if known else split_loosely(record, delimiter, rule)
            if not is_open and len(cells) == width:
                source.keep(lines)
                repairs.requoted.append(row)
                return cells
            if not is_open and closed is None:
                closed = cells, lines
    if torn := _one_torn(source.read[0].rstrip("\r\n"), delimiter or NOWHERE, width):
        source.keep(1)
        repairs.requoted.append(row)
        return torn
    if closed is None:
        repairs.unclosed.append(row)
    cells, lines = closed or (alone, 1)
    source.keep(lines)
    return cells


def _rules(record: str) -> tuple[str, ...]:
    """The rules by which a record may be read, the likeliest first; only those that may differ."""
    rules = (PAIRS, LOOSE) if '""' in record else (PAIRS,)
    return (BACKSLASH, *rules) if '\\"' in record else rules


def _one_torn(line: str, delimiter: str, width: int) -> list[str]:
    """The cells where the only one in quotes has the delimiter and quotes in it; [] where that is not so."""
    pieces = line.split(delimiter)
    more = len(pieces) - width
    places = [at for at in range(width) if more > 0 and pieces[at][:1] == '"' and pieces[at + more][-1:] == '"']
    if len(places) != 1:
        return []
    at = places[0]
    return [*pieces[:at], delimiter.join(pieces[at : at + more + 1])[1:-1], *pieces[at + more + 1 :]]


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
    quoted = _quoted(delimiter, rule)
    cells: list[str] = []
    place = 0
    while True:
        if found := quoted.match(record, place):
            cell = found[1].replace('""', '"')
            cells.append(cell.replace('\\"', '"') if rule == BACKSLASH else cell)
            place = found.end()
        elif OPENS.match(record, place):
            return cells + record[place:].split(delimiter), True
        else:
            end = record.find(delimiter, place)
            end = len(record) if end < 0 else end
            cells.append(record[place:end])
            place = end
        if place >= len(record):
            return cells, False
        place += 1


@lru_cache
def _quoted(delimiter: str, rule: str) -> re.Pattern[str]:
    """A cell in quotes with the spaces around it; no quote inside is tried twice."""
    spaces = "" if delimiter == " " else " *"
    inside = f'"(?!{spaces}(?:{re.escape(delimiter)}|$))'
    before = {PAIRS: '[^"]++|""', LOOSE: '[^"]++', BACKSLASH: r'[^"\\]++|\\"|\\'}[rule]
    return re.compile(rf'{spaces}"((?:{before}|{inside})*+)"{spaces}', re.DOTALL)
