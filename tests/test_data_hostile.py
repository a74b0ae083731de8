"""Files made to hurt who reads them: each is read as it was meant, or refused by its cause, and soon."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import struct
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from pyarrow import parquet

from fgdesign.data import apart, read_table
from fgdesign.data import read as reading
from fgdesign.errors import DataError

MB = 1 << 20
TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
SECONDS = 10  # of a core that is alone at its work
ALONE = 1.0  # seconds that `slowness` takes on such a core
SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
HEAD, TAIL = f'<?xml version="1.0"?><worksheet xmlns="{SHEET}"><sheetData>', "</sheetData></worksheet>"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def workbook(sheet: Iterable[str]) -> bytes:
    """An Excel file of one sheet, its XML as given."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as book:
        book.writestr("[Content_Types].xml", f'<Types xmlns="{TYPES}">'
                      '<Default Extension="xml" ContentType="application/xml"/>'
                      f'<Override PartName="/xl/workbook.xml" ContentType="{PACKAGE}.sheet.main+xml"/>'
                      "</Types>")  # fmt: skip
        book.writestr("_rels/.rels", f'<Relationships xmlns="{RELATIONS}"><Relationship Id="a" '
                      f'Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>')  # fmt: skip
        book.writestr("xl/workbook.xml", f'<workbook xmlns="{SHEET}" xmlns:r="{OFFICE}"><sheets>'
                      '<sheet name="S" sheetId="1" r:id="a"/></sheets></workbook>')  # fmt: skip
        book.writestr("xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{RELATIONS}"><Relationship Id="a" '
                      f'Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>')  # fmt: skip
        with book.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as file:
            for piece in sheet:
                file.write(piece.encode())
    return target.getvalue()


def in_parquet(table: pa.Table) -> bytes:
    target = io.BytesIO()
    parquet.write_table(table, target)
    return target.getvalue()


def lying() -> bytes:
    """A workbook whose directory says that its sheet is small."""
    data = bytearray(workbook([HEAD, *[" " * MB] * 20, TAIL]))
    place = data.rfind(b"PK\x01\x02", 0, data.rfind(b"xl/worksheets/sheet1.xml"))
    data[place + 24 : place + 28] = struct.pack("<I", 1000)
    return bytes(data)


def laughs() -> bytes:
    entities = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
    cell = '<row><c t="inlineStr"><is><t>&a9;</t></is></c></row>'
    return workbook([f'<!DOCTYPE z [<!ENTITY a0 "ha">{entities}]>{HEAD[21:]}{cell}{TAIL}'])


def far() -> bytes:
    cells = "".join(f'<row r="{row}"><c r="{name}{row}" t="inlineStr"><is><t>a</t></is></c></row>'
                    for name, row in (("A", 1), ("XFD", 2), ("A", 1_048_576)))  # fmt: skip
    return workbook([HEAD, cells, TAIL])


def repeated() -> bytes:
    cells = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), pa.array(["a" * 900_000]))
    return in_parquet(pa.table({"text": cells, "label": ["a", "b"] * 50_000}))


def long_list() -> bytes:
    values = pa.repeat(pa.scalar(0, pa.int64()), 8 * MB)
    return in_parquet(pa.table({"text": pa.ListArray.from_arrays(pa.array([0, 8 * MB], pa.int32()), values)}))


HOSTILE: list[tuple[str, Callable[[], bytes], str]] = [
    ("bomb.xlsx", lambda: workbook([HEAD, *[" " * MB] * 600, TAIL]), "would take 0.6 GB unpacked"),
    ("lying.xlsx", lying, "is an Excel file that cannot be read"),
    ("laughs.xlsx", laughs, "is an Excel file that cannot be read: .*amplification|entities"),
    ("far.xlsx", far, "has 16.384 columns; at most 512"),
    ("cells.xlsx", lambda: workbook([HEAD, *["<row><c/><c/></row>" * 10_000] * 200, TAIL]), "about 3.999.99. cells"),
    ("nulls.parquet", lambda: in_parquet(pa.table({"a": pa.nulls(3_000_000, pa.string())})), "more than 2.000.000"),
    ("repeated.parquet", repeated, "unpacked; at most"),
    ("list.parquet", long_list, "A column of lists has more values"),
    ("wide.parquet", lambda: in_parquet(pa.table({f"c{i}": ["a"] for i in range(10_000)})), "10.000 columns; at most"),
    ("spoilt.parquet", lambda: b"PAR1" + bytes(range(256)) * 9 + b"PAR1", "is a Parquet file that cannot be read"),
    ("wide.csv", lambda: (b",".join([b"x"] * 10_000) + b"\n") * 50, "10.000 columns; at most"),
    ("cells.csv", lambda: (b",".join([b"1"] * 500) + b"\n") * 100_000, "more than 40.000.000 cells"),
    ("cell.csv", lambda: b"text,label\n" + b"a" * 150 * MB + b",x\n", "Row 2 has a cell of more than"),
    ("no_break.csv", lambda: b"lorem ipsum " * 12 * MB, "Row 1 has a cell of more than"),
    ("commas.csv", lambda: b"," * 100 * MB, "columns; at most 512"),
    ("breaks.csv", lambda: b"\n" * 100 * MB, "is empty"),
    ("zeros.csv", lambda: b"text,label\n" + bytes(100 * MB), "is no text"),
    ("quotes.csv", lambda: b"text,label\n" + b'"' * 50 * MB, "Row 2 has a cell of more than"),
    ("quote.csv", lambda: b'text,label\n"open,b\n' + b"the parcel is late,a\n" * 3 * MB, "more than 2.000.000 rows"),
    ("list.json", lambda: b"[" * 20 * MB, "Row 1 has a cell of more than"),
    ("deep.json", lambda: b'{"a":' * 4 * MB, "is JSON that cannot be read: .*recursion"),
    ("keys.jsonl", lambda: b"".join(b'{"key%d":"x"}\n' % i for i in range(200_000)), "513 columns; at most"),
    ("digits.jsonl", lambda: (b'{"text":"a","label":' + b"9" * 5 * MB + b"}\n") * 9, "Row 1 has a cell of more than"),
    ("object.json", lambda: b'{"text":"' + b"a" * 100 * MB + b'","label":"b"}', "Row 1 has a cell of more than"),
]


def cpu_of_children() -> float:
    told = os.times()
    return told.children_user + told.children_system


def slowness() -> float:
    """How many times slower than a core alone this one is now: its threads may share it with others. At least 1."""
    lines, start = ["the parcel is late,a\n"] * 400_000, time.process_time()
    kept = [(row, cells) for row, cells in enumerate(csv.reader(lines)) if "".join(cells).strip()]
    assert len(kept) == len(lines)
    return max(1.0, (time.process_time() - start) / ALONE)


@pytest.mark.parametrize(("name", "make", "said"), HOSTILE, ids=[name for name, *_ in HOSTILE])
def test_a_hostile_file_is_refused_by_its_cause(
    name: str, make: Callable[[], bytes], said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(make())
    start = cpu_of_children()
    with pytest.raises(DataError, match=said):
        apart.run("fgdesign.data.jobs:keep_copy", {"path": str(tmp_path / name), "name": name}, name=name)
    took = cpu_of_children() - start
    assert took < SECONDS or took < SECONDS * slowness()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_only_looks_hostile_is_read(tmp_path: Path) -> None:
    mixed = b"text,label\n" + ("la caf\xe9,a\n".encode() + "l\xe0-bas,b\n".encode("cp1252")) * 500
    halves = b'{"text":"\\ud800 half","label":"\\udfff"}\n{"text":"fine","label":NaN}\n' * 50
    for name, data, rows in (("mixed.csv", mixed, 1000), ("halves.jsonl", halves, 100)):
        (tmp_path / name).write_bytes(data)
        job = {"path": str(tmp_path / name), "name": name}
        assert apart.run("fgdesign.data.jobs:keep_copy", job, name=name)["rows"] == rows


TEXTS = [f"the parcel, number {i}, is late" if i % 2 else f"thank you, number {i} works" for i in range(24)]
LABELS = ["bad" if i % 2 else "good" for i in range(24)]
PAIRS = list(zip(TEXTS, LABELS, strict=True))
RECORDS = [{"text": text, "label": label} for text, label in PAIRS]


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def made(
    cell: Callable[[str], str] = quoted, *, between: str = ",", ends: tuple[str, ...] = ("\n",),
    head: str = "text,label", label: Callable[[str], str] = str,
) -> str:
    """The rows as delimited text."""
    lines = [cell(text) + between + label(name) for text, name in PAIRS]
    lines = [head.replace(",", between), *lines] if head else lines
    return "".join(line + ends[place % len(ends)] for place, line in enumerate(lines))


def book(fill: Callable[[Any], object]) -> Callable[[], bytes]:
    """A workbook made by openpyxl."""
    def make() -> bytes:
        target = io.BytesIO()
        workbook_ = openpyxl.Workbook()
        fill(workbook_)
        workbook_.save(target)
        return target.getvalue()

    return make


def with_rows(sheet: Any, *above: tuple[str, ...]) -> Any:
    for row in (*above, ("text", "label"), *PAIRS):
        sheet.append(row)
    return sheet


MEANT: list[tuple[str, bytes | Callable[[], bytes], str, str]] = [  # name, bytes, first text if another, a note
    ("utf-32-le without a mark", made().encode("utf-32-le"), "", "Read as utf-32-le"),
    ("utf-32-be without a mark", made().encode("utf-32-be"), "", "Read as utf-32-be"),
    ("two marks", b"\xef\xbb\xbf" * 2 + made(head="").encode(), "", "looks like data"),
    *((f"between {sign!r}", made(str, between=sign).encode(), "", "separated by")
      for sign in ("^", "~", "\x01", "||", "::", "|~|", ";", "\t", "|")),
    ("a line that names the delimiter", ("sep=;\r" + made(str, between=";", ends=("\r",))).encode(), "", "by ';'"),
    ("a line that names a rare delimiter", ("sep=\x1f\n" + made(str, between="\x1f")).encode(), "", "separated by"),
    ("spaces before quotes", made(between=", ", label=quoted).encode(), "", ""),
    ("no quotes, commas in one class", made(lambda cell: cell if "thank" in cell else cell.replace(",", ""))
     .replace('"', "").encode(), TEXTS[0], "joined again"),
    ("no quotes, commas in most", made(lambda cell: cell if int("".join(filter(str.isdigit, cell))) % 3 else
                                       cell.replace(",", "")).replace('"', "").encode(),
     "thank you number 0 works", "joined again"),
    ("single quotes", made(lambda cell: f"'{cell}, it''s'", label=lambda name: f"'{name}'").encode(),
     f"{TEXTS[0]}, it's", "enclosed by ' and '"),
    ("curly quotes", made(lambda cell: f"“{cell}”").encode(), "", "enclosed by “ and ”"),
    ("angle quotes", made(lambda cell: f"«{cell}; oui»", between=";").encode(), f"{TEXTS[0]}; oui", ""),
    ("backslashes", made(lambda cell: f'"say \\"{cell}\\", twice"').encode(), f'say "{TEXTS[0]}", twice', "24 rows"),
    ("inner quotes", made(lambda cell: f'"so "{cell}" it is"').encode(), f'so "{TEXTS[0]}" it is', "24 rows"),
    ("inner quotes before commas", made(lambda cell: f'"so "{cell}", it is"').encode(), f'so "{TEXTS[0]}", it is',
     "24 rows"),
    ("a path that ends in a backslash", made(lambda cell: f'"{cell} C:\\"').encode(), f"{TEXTS[0]} C:\\", ""),
    ("mixed line ends", made(ends=("\n", "\r\n", "\r")).encode(), "", ""),
    ("returns in cells", made(lambda cell: f'"{cell}\ra"', ends=("\n", "\r\n")).encode(), f"{TEXTS[0]}\ra", ""),
    ("comments", ("# exported, by me\n#\n# today\n" + made()).encode(), "", "above the header is left out"),
    ("a title", ("Report of tickets\n" + made()).encode(), "", "above the header is left out"),
    ("records in an object", json.dumps({"version": 1, "data": RECORDS}).encode(), "", "JSON"),
    ("columns of lists", json.dumps({"text": TEXTS, "label": LABELS}).encode(), "", "JSON"),
    ("columns by number", json.dumps({"text": dict(enumerate(TEXTS)), "label": dict(enumerate(LABELS))}).encode(), "",
     "JSON"),
    ("JSON lines in UTF-16", "\r\n\r\n".join(map(json.dumps, RECORDS)).encode("utf-16"), "", "JSON"),
    ("a title over both columns", book(lambda workbook_: with_rows(workbook_.active, ("Report",)).merge_cells("A1:B1")),
     "", "above the header is left out"),
    ("an empty first sheet", book(lambda workbook_: with_rows(workbook_.create_sheet("Data"))), "", "'Data' is read"),
    ("dictionary columns", lambda: in_parquet(pa.table({"text": TEXTS, "label": pa.array(LABELS).dictionary_encode()})),
     "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "first", "note"), MEANT, ids=[name for name, *_ in MEANT])
def test_an_odd_file_is_read_as_it_was_meant(
    name: str, data: bytes | Callable[[], bytes], first: str, note: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = data if isinstance(data, bytes) else data()
    for fast_from in (reading.FAST_FROM, 0):
        monkeypatch.setattr(reading, "FAST_FROM", fast_from)
        table = read_table(io.BytesIO(content), name="odd.csv")
        text, label = (table.frame[column].str.strip().tolist() for column in table.frame.columns[:2])
        assert label == LABELS
        assert text[0] == (first or TEXTS[0]) and (first or text == TEXTS)
        assert any(note in said for said in table.notes) or not note


CAUSES: list[tuple[str, bytes, str]] = [
    ("a gzip archive", gzip.compress(made().encode()), "gzip archive.* Unpack"),
    ("a page of an error", b"<head><title>502 Bad Gateway</title></head>", "a web page"),
    ("a table of a page", b"\n<TABLE><tr><td>a</td></tr></TABLE>", "a web page"),
    ("a pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "pointer of Git LFS"),
    ("noise", random.Random(1).randbytes(50_000), "is no text"),
    ("marks only", b"\xff\xfe", "is empty"),
    ("delimiters only", b",,,\n" * 50, "is empty"),
    ("lists in lines", b'["a b", "x"]\n["c d", "y"]\n', "Record 1 .* is no object"),
    ("half of JSON", json.dumps(RECORDS)[:-30].encode(), "JSON that cannot be read"),
    ("a line cut off", b'{"text": "a", "label": "b"}\n{"text": "half', "Line 2 .* is broken JSON"),
]


@pytest.mark.parametrize(("name", "data", "said"), CAUSES, ids=[name for name, *_ in CAUSES])
def test_what_is_no_table_is_refused_by_its_cause(name: str, data: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_table(io.BytesIO(data), name="odd.csv")


def test_merged_labels_count_for_all_their_rows_and_formulas_without_results_are_told() -> None:
    def fill(workbook_: Any) -> None:
        sheet = with_rows(workbook_.active)
        sheet.merge_cells("B2:B4")
        sheet.append(("one more", "=1+1"))

    table = read_table(io.BytesIO(book(fill)()), name="a.xlsx")
    assert table.frame["label"].tolist() == [*["good"] * 3, *LABELS[3:], ""]
    assert any("2 merged cells without" in said for said in table.notes)
    assert any("1 formula without a result" in said for said in table.notes)


@pytest.mark.parametrize("line", ['"the parcel {} said \\"no\\", twice",{}\n', '"the {} said "no" twice",{}\n',
                                  '"the {}, ""no""",{}\n', "the parcel {},{}\r", "the parcel {},{}\r|the other one,a\n",
                                  "'the parcel {}, it''s','{}'\n", "the parcel {}||{}\n"])  # fmt: skip
def test_large_files_of_odd_ways_go_the_fast_way(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "FAST_FROM", 0)
    monkeypatch.setattr(reading, "make_frame", None)  # the careful reader is not asked
    head = "text||label\n" if "||" in line else "text,label\n"
    line = line if "||" in line else line.replace("|", "")
    table = read_table(io.BytesIO((head + "".join(line.format(i, "ab"[i % 2]) for i in range(5_000))).encode()))
    assert len(table) == 5_000 * (2 if "other" in line else 1) and set(table.frame["label"]) == {"a", "b"}
