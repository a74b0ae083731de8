"""The fast reader of large text against the careful one, on made-up and on spoilt files."""

from __future__ import annotations

import io
import random

import pytest

from fgdesign.data import read as reading
from fgdesign.data import read_table
from fgdesign.data.delimited import Repairs, open_text, read_records
from fgdesign.data.dialect import written
from fgdesign.data.fast import read_fast
from fgdesign.data.rows import make_frame
from fgdesign.errors import DataError

WORDS = ("slow", "parcel", "refund", "it's", "£5", "naïve", "été", "说", "=1+1", "", " ")

FAULTS = ("quotes", "blank", "ragged", "header", "lines", "spoilt", "empty", "escaped", "inner", "returns")


def made(seed: int) -> bytes:
    """A table of texts and labels, with faults at random."""
    chance = random.Random(seed)
    delimiter, end = chance.choice(",;\t|"), chance.choice(("\n", "\r\n"))
    faults = set(chance.sample(FAULTS, chance.randint(0, 3)))
    lines = [delimiter.join(("text", "label", "note"))]
    for _ in range(chance.randint(3, 60)):
        cells = [" ".join(chance.choices(WORDS, k=chance.randint(1, 9))), chance.choice(("a", "b")), "x"]
        if "quotes" in faults and chance.random() < 0.4:
            inside = chance.choice((delimiter, '""', '""q""', end if "lines" in faults else ""))
            cells[0] = f'"{cells[0]}{inside}"'
        for fault, sign in (("escaped", '\\"'), ("inner", '"')):
            if fault in faults and chance.random() < 0.4:
                cells[0] = f'"{cells[0]} a{sign}b{chance.choice((delimiter, sign))} c"'
        if "ragged" in faults and chance.random() < 0.1:
            cells = chance.choice((cells[:2], [*cells, ""], [cells[0], "more", *cells[1:]]))
        if "empty" in faults and chance.random() < 0.1:
            cells = ["", " ", ""]
        lines.append(delimiter.join(cells))
        if "blank" in faults and chance.random() < 0.1:
            lines.append("")
        if "header" in faults and chance.random() < 0.05:
            lines.append(lines[0])
        if "spoilt" in faults and chance.random() < 0.05:
            lines.append(chance.choice(('a"b', '"open', '"a"b', "\0", "x\ry")) + delimiter + "a" + delimiter + "x")
    if "returns" in faults:
        return "".join(line + chance.choice(("\n", "\r\n", "\r")) for line in lines).encode()
    return end.join(lines).encode() + end.encode() * chance.randint(0, 3)


def both(data: bytes) -> tuple[object, object]:
    """What the fast and the careful reader make of it, each (cells, row numbers, notes), None or a message."""
    dialect = written(data).dialect
    found = []
    for fast in (True, False):
        notes: list[str] = []
        repairs = Repairs()
        try:
            if fast:
                read = read_fast(data, dialect, "x.csv", notes, repairs)
            else:
                lines = open_text(data, dialect.newline)
                read = make_frame(read_records(lines, dialect, repairs), dialect.delimiter, "x.csv", notes)
        except DataError as error:
            found.append(str(error))
            continue
        told = (notes, repairs.requoted, repairs.unclosed)
        found.append(read and (read[0].to_dict("list"), read[1].tolist(), told, str(read[0].dtypes.iloc[0])))
    return found[0], found[1]


@pytest.mark.parametrize("seed", range(0, 400, 50))
def test_the_fast_reader_says_the_same_or_nothing(seed: int) -> None:
    answered = 0
    for number in range(seed, seed + 50):
        fast, careful = both(made(number))
        answered += fast is not None
        assert fast is None or fast == careful, number
    assert answered > 15


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("text,label\na b,x\n\n,\nc d,y\ntext,label\ne,z\n", [2, 5, 7]),
        ("text,label\na,b,x\nc,y\nd\n" + "e,x\nf,y\n" * 20, [2, 3, 4, *range(5, 45)]),
        ('text,label\n"a\n""b""",x\nc,y\n', [2, 3]),
        ('text,label\n"a \\"b\\" c",x\n"d, \\"e\\"",y\n', [2, 3]),
        ('text,label\n"a "b" c",x\n"d,e",y\n', [2, 3]),
        ("text,label\na,x\rb,y\r\nc,x\n" + "d,y\re,x\n" * 9, [*range(2, 23)]),
        ('text,label\n"a\rb",x\n"c",y\n', [2, 3]),
    ],
)
def test_the_fast_reader_answers(text: str, rows: list[int]) -> None:
    fast, careful = both(text.encode())
    assert fast == careful and fast is not None
    assert fast[1] == rows  # type: ignore[index]


@pytest.mark.parametrize("text", [
    'text,label\na"b"c,x\n"d" e,y\n', "text,label\na\rb,x\n", "text,label\na\0,x\n", 'text,label\n"a,x\n'
])
def test_what_breaks_a_rule_is_left_to_the_careful_reader(text: str) -> None:
    assert both(text.encode())[0] is None


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_large_files_are_read_the_same_whatever_reads_them(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "text,label\n" + "".join(f"le café numéro {i} “est” bon,{'oui' if i % 3 else 'non'}\n" for i in range(500))
    careful = read_table(io.BytesIO(text.encode(codec)))
    monkeypatch.setattr(reading, "FAST_FROM", 0)
    monkeypatch.setattr(reading, "make_frame", None)  # the careful reader is not asked
    fast = read_table(io.BytesIO(text.encode(codec)))
    assert fast.frame.equals(careful.frame) and (fast.row_numbers == careful.row_numbers).all()
    assert (fast.notes, fast.encoding, fast.sha256) == (careful.notes, careful.encoding, careful.sha256)
