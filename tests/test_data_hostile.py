"""Files made to hurt who reads them, through the process with limits: each is refused by its cause, and soon."""

from __future__ import annotations

import io
import struct
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from fgdesign.data import apart
from fgdesign.errors import DataError

MB = 1 << 20
TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
SECONDS = 30  # ten on a machine that is not shared
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
    ("repeated.parquet", repeated, "unpacked; at most|more than 2.3 GB of memory"),
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


@pytest.mark.parametrize(("name", "make", "said"), HOSTILE, ids=[name for name, *_ in HOSTILE])
def test_a_hostile_file_is_refused_by_its_cause(
    name: str, make: Callable[[], bytes], said: str, tmp_path: Path
) -> None:
    if name.endswith(".xlsx"):
        pytest.importorskip("openpyxl")
    (tmp_path / name).write_bytes(make())
    start = time.monotonic()
    with pytest.raises(DataError, match=said):
        apart.run("fgdesign.data.jobs:keep_copy", {"path": str(tmp_path / name), "name": name}, name=name)
    assert time.monotonic() - start < SECONDS
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_only_looks_hostile_is_read(tmp_path: Path) -> None:
    mixed = b"text,label\n" + ("la caf\xe9,a\n".encode() + "l\xe0-bas,b\n".encode("cp1252")) * 500
    halves = b'{"text":"\\ud800 half","label":"\\udfff"}\n{"text":"fine","label":NaN}\n' * 50
    for name, data, rows in (("mixed.csv", mixed, 1000), ("halves.jsonl", halves, 100)):
        (tmp_path / name).write_bytes(data)
        job = {"path": str(tmp_path / name), "name": name}
        assert apart.run("fgdesign.data.jobs:keep_copy", job, name=name)["rows"] == rows
