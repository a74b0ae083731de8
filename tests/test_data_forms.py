"""Forms in which tables come from people and programs: each is read as what it holds, or refused by its cause."""

from __future__ import annotations

import datetime
import decimal
import io
import json
import re
import zipfile
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from pyarrow import parquet

from fgdesign.data import read_table
from fgdesign.data.table import Table
from fgdesign.errors import DataError

TEXTS = ["where is my parcel", "the zip, it broke", 'she said "thanks"', "refund, please; now", "größer als gedacht",
         "a b c d e", "late again", "wrong colour"]  # fmt: skip
LABELS = ["ship", "defect", "praise", "refund", "praise", "ship", "ship", "defect"]
ROWS = {"text": TEXTS, "label": LABELS}
PAIRS = list(zip(TEXTS, LABELS, strict=True))


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if set(cell) & set(',";') else cell


CSV = "text,label\n" + "".join(f"{quoted(text)},{label}\n" for text, label in PAIRS)
LINES = CSV.strip().split("\n")
OBJECTS = [{"text": text, "label": label} for text, label in PAIRS]


def between(delimiter: str) -> str:
    return f"text{delimiter}label\n" + "".join(f"{text}{delimiter}{label}\n" for text, label in PAIRS)


def book(rows: list[list[Any]]) -> bytes:
    """A workbook of one sheet."""
    made, file = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        made.active.append(row)
    made.save(file)
    return file.getvalue()


def packed(table: pa.Table) -> bytes:
    target = io.BytesIO()
    parquet.write_table(table, target)
    return target.getvalue()


def archive(name: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        file.writestr(name, b"1")
    return target.getvalue()


DAY, HOUR = datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2, 3, 4)
TYPES = pa.table({
    "text": pa.array(["a", "b", "c"], pa.large_string()),
    "amount": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("2")]),
    "time": pa.array([HOUR, None, None], pa.timestamp("us", "UTC")),
    "parts": pa.array([{"a": 1}, None, {"a": 2}]),
    "labels": pa.array([["x", "y"], [], None]),
    "bytes": pa.array([b"ab", None, b"\xff"]),
})  # fmt: skip
Cells = list[list[Any]]  # of a workbook
READ: dict[str, tuple[str | bytes | Cells, dict[str, list[str]]]] = {
    "a code fence": (f"```csv\n{CSV}```\n", ROWS),
    "a code fence with words around": (f"Here, as you asked:\n\n```\n{CSV}```\nHope it helps, tell me.\n", ROWS),
    "a count below": (f"{CSV}(8 rows)\n", ROWS),
    "objects one behind the other": ("".join(map(json.dumps, OBJECTS)), ROWS),
    "objects over several lines": ("\n".join(json.dumps(item, indent=2) for item in OBJECTS), ROWS),
    "lines in quotes": ("".join('"' + line.replace('"', '""') + '"\n' for line in LINES), ROWS),
    "an index without a name": (
        ",text,label\n" + "".join(f"{at},{line}\n" for at, line in enumerate(LINES[1:])),
        {"column_1": [str(at) for at in range(8)], **ROWS}),
    "line breaks of Unicode": ("text,label\na\u0085b,x\nc\u2028d,y\ne\x0bf,x\ng\x0ch,y\n",
                               {"text": ["a\u0085b", "c\u2028d", "e\x0bf", "g\x0ch"], "label": ["x", "y", "x", "y"]}),
    "a mark read as letters": (b"\xc3\xaf\xc2\xbb\xc2\xbf" + CSV.encode(), ROWS),
    "two returns": (CSV.replace("\n", "\r\r\n"), ROWS),
    "an empty line between all": (CSV.replace("\n", "\n\n"), ROWS),
    "Chinese commas": ("文本，标签\n很好的书，好评\n太差了吧，差评\n还可以呢，好评\n",
                       {"文本": ["很好的书", "太差了吧", "还可以呢"], "标签": ["好评", "差评", "好评"]}),
    "three bars": (between(" ||| "), ROWS),
    "a tag": (between("<SEP>"), ROWS),
    "signs of ASCII": ("\x1e".join(["text\x1flabel", *("\x1f".join(pair) for pair in PAIRS)]) + "\x1e", ROWS),
    "marks of direction": ("\u200etext\u200e,\u200flabel\n" + CSV.partition("\n")[2], ROWS),
    "lines in a sheet": ([[line] for line in LINES], ROWS),
    "kinds of cells": (
        [["text", "label", "day", "flag", "error"], ["a b", 1, DAY, True, "#N/A"], ["c d", 2.5, HOUR, False, None],
         ["e", 10**15, None, None, "x"]],
        {"text": ["a b", "c d", "e"], "label": ["1", "2.5", str(10**15)], "flag": ["true", "false", ""],
         "day": ["2024-01-02T00:00:00", "2024-01-02T03:04:00", ""], "error": ["#N/A", "", "x"]}),
    "types of Parquet": (packed(TYPES), {
        "text": ["a", "b", "c"], "amount": ["1.50", "", "2.00"], "time": ["2024-01-02T03:04:00+00:00", "", ""],
        "parts.a": ["1", "", "2"], "labels": ["x|y", "", ""], "bytes": ["ab", "", "\ufffd"]}),
    "spaces behind quotes": ('text,label\n"a, b" ,x\n"c d"  ,y\n"e, f" ,x\n',
                             {"text": ["a, b", "c d", "e, f"], "label": ["x", "y", "x"]}),
    "commas between tabs": ("text\tlabel\na, b\tx\nc, d\ty\ne, f\tx\ng, h\ty\n",
                            {"text": ["a, b", "c, d", "e, f", "g, h"], "label": ["x", "y", "x", "y"]}),
    "fences inside of texts": ('text,label\n"see\n```\ncode\nmore\n```\n",x\nother,y\nthird,x\n',
                               {"text": ["see\n```\ncode\nmore\n```\n", "other", "third"], "label": ["x", "y", "x"]}),
    "one column in quotes": ('"one thing"\n"a, b"\n"c, d"\n"e, f"\n', {"one thing": ["a, b", "c, d", "e, f"]}),
    "a sheet of texts": ([["text"], ["yes, it is"], ["no, not so"]], {"text": ["yes, it is", "no, not so"]}),
}
REFUSED: dict[str, tuple[str | bytes, str]] = {
    "Python dictionaries": ("".join(f"{item!r}\n" for item in OBJECTS), "is Python dictionaries, .* json.dumps"),
    "a list of them": (repr(OBJECTS), "is Python dictionaries"),
    "a comma too many": ('[{"text":"a","label":"b"},]', "JSON that cannot be read"),
    "an object cut off": ('{"text":"a"}{"text":', "JSON that cannot be read"),
    "YAML": ("".join(f"- text: {text}\n  label: {label}\n" for text, label in PAIRS), "is YAML, not a table"),
    "EBCDIC": (("text,label\n" + "where is my parcel now,ship 5%\n" * 20).encode("cp500"), "EBCDIC, of a mainframe"),
    "ARFF": ("% by Weka\n@relation t\n@attribute text string\n@data\n'a b',a\n", "an ARFF file of Weka"),
    "a page in a message": ("MIME-Version: 1.0\nContent-Type: multipart/related\n\n<html></html>\n", "a web page"),
    "Numbers": (archive("Index/Document.iwa"), "an Apple Numbers document"),
    "Avro": (b"Obj\x01\x04\x14avro.codec" + bytes(range(256)), "an Avro file"),
    "SPSS": (b"$FL2@(#) SPSS DATA FILE" + bytes(range(256)), "an SPSS file"),
    "Access": (b"\0\1\0\0Standard ACE DB\0" + bytes(range(256)), "an Access database"),
    "Parquet without rows": (packed(pa.table({"text": pa.array([], pa.string())})), "is empty"),
    "Parquet of wrong letters": (
        packed(pa.table({"text": pa.Array.from_buffers(
            pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff")])})),
        "Invalid UTF8 sequence"),
    "a cell of Parquet that is too long": (packed(pa.table({"text": ["a", "b" * 1_000_001]})), "Row 2 has a cell"),
}  # fmt: skip


def reading(data: str | bytes | Cells) -> Table:
    whole = book(data) if isinstance(data, list) else data if isinstance(data, bytes) else data.encode()
    return read_table(io.BytesIO(whole), name="a")


@pytest.mark.parametrize("name", READ)
def test_a_form_is_read_as_what_it_holds(name: str) -> None:
    data, rows = READ[name]
    read = reading(data)
    assert read.frame.to_dict("list") == rows
    assert read.row_numbers.tolist() == sorted(set(read.row_numbers.tolist()))


@pytest.mark.parametrize("name", REFUSED)
def test_a_form_that_is_no_table_is_refused_by_its_cause(name: str) -> None:
    data, said = REFUSED[name]
    with pytest.raises(DataError, match=said):
        reading(data)


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("a code fence with words around", "outside of the code fence is left out"),
        ("a count below", r"The count below the table is left out \(row 10\)"),
        ("lines in quotes", "Each line is in quotes as a whole"),
        ("lines in a sheet", "All cells stand in one column, as lines of a CSV"),
    ],
)
def test_what_was_decided_is_said(name: str, note: str) -> None:
    data, _ = READ[name]
    notes = reading(data).notes
    assert re.search(note, " ".join(notes))
