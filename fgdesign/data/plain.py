"""Tables drawn as text: Markdown and the frames of databases, columns of fixed width, labels before lines (fastText).

Knows lines; what they mean is decided by whoever takes the records. A row's number is that of its line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from fgdesign.data.delimited import Rows
from fgdesign.data.rows import COUNTED, KNOWN_NAMES
from fgdesign.data.table import noted
from fgdesign.data.task import SEPARATOR
from fgdesign.errors import DataError

RULE = re.compile(":?[-=]+:?")  # below a cell of the header
CELL_END = re.compile(r"(?<!\\)\|")
BREAK = re.compile("<br ?/?>", re.IGNORECASE)
GRID = 4  # lines of a frame from which on there is one below every row, so that cells may have several lines
GAP = re.compile(r"\S+(?: \S+)*")  # a name or cell where columns are two spaces apart
TREC = re.compile(r"([A-Z]{2,}:[A-Za-z]+) +(\S.*)")
FIELD = re.compile(r" *([A-Za-z][\w-]*(?: [\w-]+){0,4}) *[:|](?: (.*)|)")
BLOCK = re.compile(r"-\[ RECORD \d+ \][-+]*|\*+ \d+\. row \*+")  # above a row of PostgreSQL or MySQL
BEHIND = re.compile(r"([^\t]*?[^\s,;|])((?: +__label__\S+)+) *")
LABELS = re.compile(r"((?:__label__\S+(?:\s+|$))+)(.*)")
MARK = "__label__"
GAPPED_RULE = re.compile(r"-{2,}(?: +-{2,})+|={2,}(?: +={2,})+")
BARS, DASHES, CORNERS = "│┃║", "─━═", "┼╪╬├┤╞╡┌┐└┘┬┴╤╧╭╮╯╰"
BOXES = str.maketrans(BARS + DASHES + CORNERS, "|" * len(BARS) + "-" * len(DASHES) + "+" * len(CORNERS))
MOSTLY = 0.9  # of lines that must be written so
LOOKED_AT = 2000  # lines
LONGEST_LINE = 200_000  # characters
SQL_BEGINS = re.compile(
    r"(?:--[^\n]*\n|/\*.*?\*/;?|\s)*+(?:insert|replace|create|drop|set|use|begin|start|lock|pragma|copy|alter)\b",
    re.IGNORECASE | re.DOTALL,
)
SQL_ROWS = re.compile(r"^ *(?:(?:insert|replace) +(?:\w+ +)?into +\S|copy +\S.*\bfrom +stdin)", re.I | re.M)


@dataclass(frozen=True)
class Drawn:
    """form: how it is drawn. names: of the columns. rows: with the numbers of their lines, of any width.

    between: what stands between cells. notes: what was left out.
    """

    form: str
    names: list[str]
    rows: Rows
    between: str
    notes: tuple[str, ...] = ()


def refuse_sql(sample: str, name: str) -> None:
    """Raise DataError where a text is statements of SQL."""
    if SQL_BEGINS.match(sample) and SQL_ROWS.search(sample):
        raise DataError(
            f"{name} is SQL statements that fill a table, not the table itself. Run them in their database and export "
            "the table as CSV, for example with: sqlite3 -header -csv my.db 'select * from my_table' > table.csv"
        )


def drawn(data: bytes, sample: str) -> Drawn | None:
    """The table that a text draws with bars, or that its lines are in fastText; None where it is none of these.

    Args: data: all of it in UTF-8; sample: its beginning, which decides whether all is looked at.
    """
    first = sample.lstrip("\ufeff \r\n")
    if first.startswith(MARK) or BEHIND.fullmatch(first.partition("\n")[0].rstrip("\r")):
        return _labelled(_lines(data.decode()))
    if TREC.match(first):
        return _classed(_lines(data.decode()))
    if (BLOCK.match(first) or FIELD.match(first)) and (table := _blocks(_lines(data.decode()))):
        return table
    boxes = "│" in sample
    head = _lines(sample.translate(BOXES) if boxes else sample)
    if _rule_at(head) is None or max(map(len, head)) > LONGEST_LINE:
        return None
    return _markdown(_lines(data.decode().translate(BOXES) if boxes else data.decode()))


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _rule_at(lines: Sequence[str]) -> int | None:
    """The line below a header: a rule of as many columns as the line above it has cells."""
    for at, (above, line) in enumerate(pairwise(lines[:LOOKED_AT]), 1):
        if "|" in above and ("|" in line or "+" in line) and 0 < _rule(line) == len(_cells(above)) and not _rule(above):
            return at
    return None


def _rule(line: str) -> int:
    """How many columns a rule has, "|---|:-:|" or "+====+" or "---+---"; 0 where the line is none."""
    plain = line.strip()
    if not plain or set(plain) - set("|+-=: "):
        return 0
    pieces = [piece.strip() for piece in re.split(r"[|+]", plain.strip("|+"))]
    return len(pieces) if all(map(RULE.fullmatch, pieces)) else 0


def _inner_rule(line: str) -> bool:
    """Whether a line below the header is a rule, not a row with a dash in each cell."""
    return _rule(line) > 0 and ("--" in line or "==" in line)


def _cells(line: str) -> list[str]:
    """The cells of a line; the bars at its ends are a frame."""
    plain = line.strip()
    pieces = CELL_END.split(plain)
    if plain.startswith("|"):
        pieces.pop(0)
    if len(pieces) > 1 and not pieces[-1].strip() and plain.endswith("|"):
        pieces.pop()
    lines = (BREAK.split(piece.strip().replace("\\|", "|")) for piece in pieces)
    return ["\n".join(map(str.strip, cell)) for cell in lines]


def _bars(line: str) -> int:
    return len(CELL_END.findall(line))


def _markdown(lines: Sequence[str]) -> Drawn | None:
    """A table whose header has a rule below it: of Markdown, of MySQL, PostgreSQL or SQLite, or a grid."""
    at = _rule_at(lines)
    if at is None:
        return None
    end = at + 1
    while end < len(lines) and ("|" in lines[end] or _inner_rule(lines[end])):
        end += 1
    inside = lines[at + 1 : end]
    rules = sum(map(_inner_rule, inside))
    top = at - 1
    while top and _bars(lines[top - 1]) == _bars(lines[at - 1]) and not _rule(lines[top - 1]):
        top -= 1
    framed = top > 0 and _rule(lines[top - 1]) > 0
    header = top if framed else at - 1  # where a frame is above, types may stand below the names
    first = top - 1 if framed else at - 1
    rows: Rows = []
    begins = True
    for number, line in enumerate(inside, at + 2):
        if _inner_rule(line):
            begins = True
            continue
        cells = _cells(line)
        if begins or rules < GRID - 2 or len(cells) != len(rows[-1][1]):
            rows.append((number, cells))
        else:  # a further line of the row of a grid
            rows[-1] = rows[-1][0], ["\n".join(filter(None, pair)) for pair in zip(rows[-1][1], cells, strict=True)]
        begins = False
    around = [number for number, line in enumerate(lines, 1) if line.strip() and not first < number <= end]
    notes = [noted("What stands above or below the table is left out ({}).", around)] if around else []
    return Drawn("a table drawn with bars, as in Markdown", _cells(lines[header]), rows, "|", tuple(notes))


def _labelled(lines: Sequence[str]) -> Drawn | None:
    """Lines of fastText: labels, each behind __label__, then the text; or the text first."""
    rows: Rows = []
    others = []
    for number, line in enumerate(lines, 1):
        found = LABELS.fullmatch(line.strip("\ufeff"))
        behind = None if found else BEHIND.fullmatch(line.strip("\ufeff"))
        if found or behind:
            marked, text = (found[1], found[2]) if found else (behind[2], behind[1]) if behind else ("", "")
            labels = [label.removeprefix(MARK) for label in marked.split()]
            rows.append((number, [text.strip(), SEPARATOR.join(labels)]))
        elif line.strip():
            others.append(number)
            rows.append((number, [line.strip(), ""]))
    if not rows or len(others) > (1 - MOSTLY) * len(rows):
        return None
    notes = [noted(f"Lines without {MARK} ({{}}) are read as texts without a label.", others)] if others else []
    return Drawn("lines of fastText", ["text", "label"], rows, "", tuple(notes))


def _classed(lines: Sequence[str]) -> Drawn | None:
    """Lines as in TREC: a coarse and a fine label, then the text; None where they are not, or labels hardly repeat."""
    rows: Rows = []
    filled = [(number, line.strip("\ufeff \t")) for number, line in enumerate(lines, 1) if line.strip("\ufeff \t")]
    for number, line in filled:
        if not (found := TREC.fullmatch(line)):
            return None
        rows.append((number, [found[2], found[1]]))
    different = len({cells[1] for _, cells in rows})
    return Drawn("labels before texts, as in TREC", ["text", "label"], rows, " ") if 1 < different < len(rows) else None


def _blocks(lines: Sequence[str]) -> Drawn | None:
    """Blocks of "name: value" with an empty line between, all of the same names; None where they are not."""
    blocks: list[tuple[int, list[tuple[str, str]]]] = []
    begins = True
    for number, line in enumerate(lines, 1):
        if not line.strip() or BLOCK.fullmatch(line.strip()):
            begins = True
            continue
        if not (found := FIELD.fullmatch(line.strip("\ufeff"))):
            return None
        if begins:
            blocks.append((number, []))
        blocks[-1][1].append((found[1], (found[2] or "").strip()))
        begins = False
    names = [name for name, _ in blocks[0][1]] if len(blocks) > 1 else []
    known = KNOWN_NAMES.intersection(name.lower() for name in names)
    even = all([name for name, _ in block] == names for _, block in blocks)
    if len(set(names)) < max(2, len(names)) or not known or not even:
        return None
    rows = [(number, [value for _, value in block]) for number, block in blocks]
    return Drawn("blocks of names with their values", names, rows, "")


def fixed_width(data: bytes, sample: str) -> Drawn | None:
    """The table of a text in columns of fixed width; None where spaces do not part all its lines alike.

    At least two columns have names in the first line; between any two there is a gap in every line.

    Args: data: all of it in UTF-8; sample: its beginning, which decides whether all is looked at.
    """
    if _columns(_lines(sample.rpartition("\n")[0] if len(data) > len(sample.encode()) else sample)) is None:
        return None
    return _columns(_lines(data.decode()))


def _ruled(lines: list[tuple[int, str]]) -> Drawn | None:
    """A table whose header has a rule below it with a gap between columns, which tells where they stand."""
    at = next((at for at, (_, line) in enumerate(lines[:3]) if GAPPED_RULE.fullmatch(line.strip())), 0)
    framed = at == 0 and len(lines) > 2 and GAPPED_RULE.fullmatch(lines[0][1]) and lines[2][1] == lines[0][1]
    head = 1 if framed else at - 1
    if head < 0:
        return None
    starts = [found.start() for found in re.finditer(r"[-=]+", lines[0 if framed else at][1])]
    cuts = list(zip(starts, [*starts[1:], None], strict=True))
    rows = [(number, [line[start:end].strip() for start, end in cuts]) for number, line in lines]
    if COUNTED.fullmatch(lines[-1][1].strip()):
        rows.pop()
    body = [row for row in rows[max(head, at) + 1 :] if not set("".join(row[1])) <= set("-= ")]
    names = rows[head][1]
    torn = any(line[start - 1 : start].strip() for _, line in lines[head : head + len(body)] for start in starts[1:])
    return None if torn or not all(names) or not body else Drawn("columns of fixed width", names, body, " ")


def _columns(text: list[str]) -> Drawn | None:
    lines = [(number, line.rstrip()) for number, line in enumerate(text, 1) if line.strip()]
    if lines and (ruled := _ruled(lines)):
        return ruled
    cells = [[(found.start(), found.end()) for found in GAP.finditer(line)] for _, line in lines]
    several = sum(len(places) > 1 for places in cells)
    if len(lines) < 3 or len(cells[0]) < 2 or several < MOSTLY * len(lines) or any("\t" in line for _, line in lines):
        return None
    taken = bytearray(max(len(line) for _, line in lines))
    for places in cells:
        for start, end in places:
            taken[start:end] = b"\1" * (end - start)
    columns = [(found.start(), found.end()) for found in re.finditer(b"\1+", taken)]
    names = [[place for place in cells[0] if start <= place[0] < end] for start, end in columns]
    if any(len(found) != 1 for found in names[1:]) or len(names[0]) > 1:  # the first may be an index without a name
        return None
    rows = [(number, [line[start:end].strip() for start, end in columns]) for number, line in lines]
    body = [row for row in rows[1:] if not set("".join(row[1])) <= set("-= ")]
    return Drawn("columns of fixed width", rows[0][1], body, " ") if len(body) > 1 else None
