"""How a delimited text is written, found from its beginning: delimiter, quotes, line ends. Knows no columns.

What readers of CSV do not know (delimiters of several characters, single quotes around cells, a line that names the
delimiter) is written anew in the usual way first.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from dataclasses import dataclass, replace
from itertools import islice

from fgdesign.data.delimited import CELL_LIMIT, NOWHERE, PAIRS, Dialect, Repairs, read_records, split_loosely
from fgdesign.data.signs import escaped_delimiter, named_delimiter, without_escapes

DELIMITERS = ("\t", ";", ",", "|", "^", "~", "\x01", "\x14")  # on a tie the first one wins
LONG_DELIMITERS = (
    NOWHERE, " ||| ", " ==> ", " => ", " -> ", "|||", "|~|", "||", "::", "~~", "^^", "，",
    "<SEP>", "<sep>", "[SEP]", "@@",
)  # fmt: skip
FENCED, MOST_OUTSIDE = 2000, 6  # bytes in which a fence begins, lines outside of it
NAME = re.compile(r" ?\w+(?:[ _.-]\w+){0,2} ?")  # of a column, beyond doubt
WHOLE = re.compile(rb'^"(.*)"\r?$', re.MULTILINE)  # a line that is one cell in quotes
SEPARATOR_LINE = re.compile(r"""["']?sep=(.)["']?\r?\n?""", re.IGNORECASE)
SAMPLE_CHARACTERS = 1 << 18
SAMPLE_RECORDS = 500
MANY_CELLS = 4  # more than these in every other line are no accident
MOSTLY, OFTEN = 0.9, 0.5  # shares of records of one width that make a delimiter
ABOVE = 20  # lines above a header, at most
EMPTY = re.compile(rb"[\r\n]{1000,}")
SPACED_CELL = re.compile(r'"(?:[^"]|"")*+"|[^\s"]+')
SPACED = re.compile(f"(?:{SPACED_CELL.pattern})(?: (?:{SPACED_CELL.pattern}))*+")  # as R writes tables
LONE = re.compile(rb"\r(?!\n)")
LONE_LOOKED_AT = 200
EDGES = "\t;,|^~\x01\x14\x1f\r\n"  # what cells begin and end at
OTHER_QUOTES = (("'", "'"), ("`", "`"), ("þ", "þ"), ("“", "”"), ("„", "“"), ("«", "»"), ("‘", "’"))


@dataclass(frozen=True)
class Written:
    """A text in the usual way of writing.

    Attributes:
        text: UTF-8.
        dialect: how its cells are written.
        notes: what was unusual.
    """

    text: bytes
    dialect: Dialect
    notes: tuple[str, ...] = ()


def beginning(text: bytes) -> str:
    """The first SAMPLE_CHARACTERS of a text in UTF-8, without very many empty lines."""
    empty = EMPTY.match(text)
    start = empty.end() if empty else 0
    return text[start : start + 4 * SAMPLE_CHARACTERS].decode(errors="replace")[:SAMPLE_CHARACTERS]


def written(text: bytes) -> Written:
    """How a text in UTF-8 is written."""
    found = _written(text)
    if found.dialect.delimiter or not text.startswith(b'"'):
        return found
    lines = text.count(b"\n") + (not text.endswith(b"\n"))
    bare, quoted = WHOLE.subn(lambda line: line[1].replace(b'""', b'"'), text)
    inside = _written(bare) if quoted >= MOSTLY * lines else found
    if not names_columns(inside):
        return found
    return replace(inside, notes=("Each line is in quotes as a whole.", *inside.notes))


def names_columns(form: Written) -> bool:
    """Whether the first line has a short name for each of several columns."""
    line = beginning(form.text).partition("\n")[0]
    cells, _ = split_loosely(line, form.dialect.delimiter, PAIRS)
    distinct = len(set(cells)) == len(cells) == form.dialect.width
    return len(cells) > 1 and distinct and all(map(NAME.fullmatch, cells))


def out_of_fence(text: bytes) -> tuple[bytes, list[int]]:
    """(a text in UTF-8 without what stands outside of its only code fence, numbers of these lines); else as it is."""
    if b"```" not in text[:FENCED]:
        return text, []
    lines = text.decode().split("\n")
    fences = [at for at, line in enumerate(lines) if line.lstrip(" \ufeff").startswith("```")]
    first, last = (*fences, len(lines), len(lines))[:2]
    outside = [at for at in range(len(lines)) if not first < at < last and lines[at].strip()]
    if len(fences) > 2 or len(outside) > MOST_OUTSIDE or last - first < 3 or "".join(lines[:first]).count('"') % 2:
        return text, []
    inside = [line if first < at < last else "" for at, line in enumerate(lines)]
    return "\n".join(inside).encode(), [at + 1 for at in outside]


def _written(text: bytes) -> Written:
    sample = beginning(text)
    if "\x1e" in sample and "\x1f" in sample:  # signs of ASCII for records and cells
        text = text.replace(b"\x1e\n", b"\x1e").replace(b"\n", b" ").replace(b"\x1e", b"\n")
        sample = beginning(text)
    complete = len(sample) < SAMPLE_CHARACTERS
    said = SEPARATOR_LINE.fullmatch(sample.splitlines(keepends=True)[0]) if sample else None
    delimiter, notes = "", []
    lines = [] if said else _lines(sample, complete=complete)[:SAMPLE_RECORDS]
    long = _long_delimiter(lines) or named_delimiter(lines)
    if said:
        text, delimiter = text[len(said[0].encode()) :], said[1]
    elif long:
        text, delimiter = text.replace(long.encode(), NOWHERE.encode()), NOWHERE
    elif long := escaped_delimiter(lines):
        text, delimiter = without_escapes(text, long), NOWHERE
        notes.append(f"A backslash stands before {long!r} where it is part of a text.")
    elif _is_spaced_out(lines):
        delimiter = " "
    if pair := _other_quotes(sample):
        text = _plainly_quoted(text.replace(b'"', b'""'), pair[0], pair[1])
        notes.append(f"Cells are enclosed by {pair[0]} and {pair[1]}.")
    dialect = find_dialect(beginning(text), delimiter, complete=complete)
    return Written(text, replace(dialect, shown=long, newline=line_end(text, dialect)), tuple(notes))


def _lines(sample: str, *, complete: bool) -> list[str]:
    lines = [line for line in re.split(r"[\r\n]+", sample) if line.strip()]
    return lines if complete else lines[:-1]


def _long_delimiter(lines: list[str]) -> str:
    """A delimiter of several characters that nearly all lines have as often as the first, or ""."""
    for long in LONG_DELIMITERS if len(lines) > 1 else ():
        often = lines[0].count(long)
        if often and sum(line.count(long) == often for line in lines) >= MOSTLY * len(lines):
            return long
    return ""


def _is_spaced_out(lines: list[str]) -> bool:
    """Whether nearly all lines are several cells with single spaces between, a cell in quotes among them."""
    widths = [len(SPACED_CELL.findall(line)) if '"' in line and SPACED.fullmatch(line) else 0 for line in lines]
    width, even = Counter(widths[1:]).most_common(1)[0] if len(lines) > 2 else (0, 0)
    return width > 1 and widths[0] in (width, width - 1) and even >= MOSTLY * (len(lines) - 1)


def _other_quotes(sample: str) -> tuple[str, str] | None:
    """The signs at the beginning and end of cells, where nearly all lines below the first begin with such a cell."""
    lines = _lines(sample, complete=True)[1:SAMPLE_RECORDS]
    for opens, closes in OTHER_QUOTES if len(lines) > 1 else ():
        cell = re.compile(f"{opens}.*?{closes}(?![^{EDGES}])")
        if sum(cell.match(line) is not None for line in lines) >= MOSTLY * len(lines):
            return opens, closes
    return None


def _plainly_quoted(text: bytes, opens: str, closes: str) -> bytes:
    """The text with double quotes where cells begin and end with others; of doubled single quotes inside one stays."""
    edge = EDGES.encode()
    text = re.sub(b"(?<![^%b])%b" % (edge, opens.encode()), b'"', text)
    text = re.sub(b"%b(?![^%b])" % (closes.encode(), edge), b'"', text)
    return text.replace(b"''", b"'").replace(b"\\'", b"'") if opens == "'" else text


def line_end(text: bytes, dialect: Dialect) -> str:
    """How lines end, as `open_text` takes it: "" where carriage returns alone do too, else "\\n".

    They do where most are alone, or where most of these have whole records on both sides.
    """
    returns = text.count(b"\r")
    pairs = text.count(b"\r\n") if returns else 0
    if returns - pairs > text.count(b"\n"):
        return ""
    if returns == pairs:
        return "\n"
    lone = [found.start() for found in islice(LONE.finditer(text), LONE_LOOKED_AT)]
    whole = sum(_whole(_before(text, place), dialect) and _whole(_after(text, place), dialect) for place in lone)
    return "" if 2 * whole > len(lone) else "\n"


def _before(text: bytes, place: int) -> bytes:
    start = max(0, place - CELL_LIMIT)
    return text[max(start, text.rfind(b"\n", start, place) + 1, text.rfind(b"\r", start, place) + 1) : place]


def _after(text: bytes, place: int) -> bytes:
    piece = text[place + 1 : place + CELL_LIMIT]
    return re.split(rb"[\r\n]", piece, maxsplit=1)[0]


def _whole(line: bytes, dialect: Dialect) -> bool:
    """Whether a line is a record by itself."""
    cells, is_open = split_loosely(line.decode(errors="replace"), dialect.delimiter, PAIRS)
    return len(cells) == dialect.width and not is_open


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
        if delimiter == " ":  # of R, whose header may be shorter by one
            width = Counter(map(len, sample)).most_common(1)[0][0]
        if said or share > best_share:
            best, best_share = Dialect(delimiter, width), share
    best = best if best.delimiter == " " else _as_header(text, best, complete=complete)
    sample, repairs = _sample(text, best, complete=True)
    if _is_spaced(sample):
        best = replace(best, spaced=True)
        sample, repairs = _sample(text, best, complete=True)
    special = best.delimiter or NOWHERE
    needed = sum(any(special in cell or "\n" in cell for cell in cells) for cells in sample)
    return replace(best, quotes=2 * len(repairs.unclosed) < max(6, needed))


def _as_header(text: str, dialect: Dialect, *, complete: bool) -> Dialect:
    """The dialect with the header's width, where nearly all records have that once their quotes are repaired."""
    header = next(iter(_sample(text, replace(dialect, width=0), complete=True)[0]), [])
    if not (1 < len(header) < dialect.width and _like_names(header)):
        return dialect
    narrow = replace(dialect, width=len(header))
    sample, _ = _sample(text, narrow, complete=complete)
    return narrow if sum(len(cells) == narrow.width for cells in sample) >= MOSTLY * len(sample) else dialect


def _is_spaced(sample: list[list[str]]) -> bool:
    """Whether spaces stand behind nearly all delimiters, and quotes behind some of them."""
    cells = [cell for cells in sample for cell in cells[1:]]
    spaced = sum(cell.startswith(" ") for cell in cells)
    return spaced > MOSTLY * len(cells) and any(cell.lstrip(" ").startswith('"') for cell in cells)


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
    above = next((place for place, cells in enumerate(sample) if len(cells) > 1), 0)
    if 0 < above <= ABOVE:  # a title or comments, where all below agrees without them
        width, share = _agreement(sample[above:])
        if share >= MOSTLY and all(len(cells) >= width for cells in sample[above:]):
            return width, min(share, 1.0)
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
