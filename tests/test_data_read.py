"""Files of every kind to tables: what comes out, what is noted, what is refused."""

import io
import pickle
import sqlite3
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest

from fgdesign.data import Table, load_dataset, read_table
from fgdesign.errors import DataError

GERMAN = "text,label\nDie Lieferung war pünktlich,gut\nFür den Preis überteuert,schlecht\n"
FRENCH = "text,label\nTrès déçu – « à éviter » 5 €,non\nLivraison soignée,oui\n"
RUSSIAN = "text,label\nОчень хорошая книга,да\nУжасное обслуживание,нет\n"
SIMPLIFIED = "text,label\n送餐很快！服务不错,好\n味道一般，太贵了,差\n"
TRADITIONAL = "text,label\n這個東西很好吃,好\n服務非常差勁,差\n"
JAPANESE = "text,label\nとても良い商品でした。また買います,良い\n配送が遅くて残念です,悪い\n"
POLISH = "text,label\nJestem zadowolony z tej książki świetna jakość,dobre\nproszę o zwrot za złe zamówienie,złe\n"
GREEK = "text,label\nΕίμαι πολύ ευχαριστημένος με το βιβλίο,καλό\nΘέλω τα χρήματά μου πίσω,κακό\n"
TURKISH = "text,label\nBu kitaptan çok memnunum şahane ışık,iyi\nParamı geri istiyorum değişim için teşekkürler,kötü\n"
HEBREW = "text,label\nאני מרוצה מאוד מהספר,טוב\nאני רוצה את הכסף שלי בחזרה,רע\n"
ARABIC = "text,label\nأنا سعيد جدا بهذا الكتاب,جيد\nأريد استرداد أموالي,سيئ\n"
THAI = "text,label\nฉันพอใจกับหนังสือเล่มนี้มาก,ดี\nฉันต้องการเงินคืน,ไม่ดี\n"
KOREAN = "text,label\n배송이 빠르고 좋아요,긍정\n품질이 너무 나빠요,부정\n"


def read(data: bytes | str, name: str = "data.csv") -> Table:
    return read_table(io.BytesIO(data.encode() if isinstance(data, str) else data), name=name)


def cells(table: Table) -> list[list[str]]:
    return [list(map(str, row)) for row in table.frame.itertuples(index=False)]


def said(table: Table, words: str) -> bool:
    return any(words in note for note in table.notes)


@pytest.mark.parametrize(
    ("text", "codec", "encoding"),
    [
        (GERMAN, "utf-8", "utf-8"),
        (GERMAN, "utf-8-sig", "utf-8"),
        (GERMAN, "utf-16", "utf-16-le"),
        (GERMAN, "utf-16-le", "utf-16-le"),
        (GERMAN, "utf-16-be", "utf-16-be"),
        (GERMAN, "utf-32", "utf-32-le"),
        (GERMAN, "cp1252", "cp1252"),
        (FRENCH, "cp1252", "cp1252"),
        (RUSSIAN, "cp1251", "cp1251"),
        (RUSSIAN, "koi8_r", "koi8-r"),
        (RUSSIAN, "cp866", "cp866"),
        (POLISH, "cp1250", "cp1250"),
        (POLISH, "iso8859-2", "iso8859-2"),
        (GREEK, "cp1253", "cp1253"),
        (TURKISH, "cp1254", "cp1254"),
        (HEBREW, "cp1255", "cp1255"),
        (ARABIC, "cp1256", "cp1256"),
        (THAI, "cp874", "cp874"),
        (GERMAN, "mac_roman", "mac-roman"),
        (SIMPLIFIED, "gb18030", "gb18030"),
        (SIMPLIFIED, "utf-16-le", "utf-16-le"),
        (TRADITIONAL, "big5", "big5"),
        (JAPANESE, "shift_jis", "cp932"),
        (JAPANESE, "euc_jp", "euc_jp"),
        (KOREAN, "euc_kr", "cp949"),
    ],
)
def test_encodings_are_found(text: str, codec: str, encoding: str) -> None:
    table = read(text.encode(codec))
    assert table.encoding == encoding
    assert cells(table) == cells(read(text))
    assert table.notes[0] == f"Read as {encoding}, separated by ','."
    assert said(table, "is a guess") != encoding.startswith("utf")


def test_bytes_outside_cp1252_are_latin_1() -> None:
    assert read(b"text,label\nf\xe9te \x81,a\nb,c\n").encoding == "latin-1"


def test_broken_bytes_in_utf8_are_replaced_and_their_row_is_named() -> None:
    rows = b"".join("très déçu,non\n".encode() for _ in range(20))
    table = read(b"text,label\n" + rows + b"caf\xe9 ,oui\n")
    assert table.encoding == "utf-8"
    assert table.frame["text"].iloc[-1] == "caf\ufffd "
    assert said(table, "Some bytes are no utf-8 (row 22); they were replaced")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends(delimiter: str, line_end: str) -> None:
    rows = [["text", "label"], ["it is fine", "a"], [f'say "x"{line_end}{delimiter} z', "b"]]
    lines = [delimiter.join(f'"{cell}"'.replace('"x"', '""x""') for cell in row) for row in rows]
    table = read(line_end.join(lines))
    assert (table.delimiter, [list(table.frame), *cells(table)]) == (delimiter, rows)
    assert table.row_numbers.tolist() == [2, 3]
    assert len(table.notes) == 1


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("text;label\nyes, but no, really;a\nno, I say;b\n", ";"),
        ("text\tlabel\nyes, but; no\ta\nno; yes, I\tb\n", "\t"),
        ("text,label\nx|y,joy|fear\nz,anger|fear\n", ","),
        ("sep=|\ntext|label\na, b|c\n", "|"),
        ('"sep=;"\ntext;label\na, b;c\n', ";"),
        ("text\nHello, you\nNothing here\nWell, well, well\n", ""),
        ("1,5;2,5\n3,5;4,5\n", ";"),
    ],
)
def test_the_delimiter_is_the_one_that_agrees(text: str, delimiter: str) -> None:
    assert read(text).delimiter == delimiter


@pytest.mark.parametrize(
    ("record", "expected", "note"),
    [
        ('"he said "hi" to me",ham', ['he said "hi" to me', "ham"], "Quotes do not follow"),
        ('"he said "yes, sir"",ham', ['he said "yes, sir"', "ham"], "Quotes do not follow"),
        (r'"he said \"yes, sir\"",ham', ['he said "yes, sir"', "ham"], "Quotes do not follow"),
        ('a, "b, c"', ["a", "b, c"], "Quotes do not follow"),
        ('"a, b" ,ham', ["a, b", "ham"], "Quotes do not follow"),
        ('"never closes,ham', ['"never closes', "ham"], "A quote opens and never closes (row 3)"),
        ('5" pipe,ham', ['5" pipe', "ham"], ""),
        (r'"C:\dir\",ham', ["C:\\dir\\", "ham"], ""),
    ],
)
def test_quotes_as_people_write_them(record: str, expected: list[str], note: str) -> None:
    table = read(f'text,label\n"one, two",spam\n{record}\n"three, four",spam\nfive,ham\n')
    assert cells(table) == [["one, two", "spam"], expected, ["three, four", "spam"], ["five", "ham"]]
    assert table.row_numbers.tolist() == [2, 3, 4, 5]
    assert said(table, note) if note else len(table.notes) == 1


def test_an_unclosed_quote_costs_its_row_only() -> None:
    rows = [f"text {row},ham" for row in range(20_000)]
    rows[17] = '"text, 17,ham'
    table = read("text,label\n" + "\n".join(rows))
    assert len(table) == 20_000
    assert said(table, "A quote opens and never closes (row 19)")
    assert cells(table)[18] == ["text 18", "ham"]


def test_quotes_in_tab_separated_text_are_characters() -> None:
    table = read('text\tlabel\n"Never" was said\ta\n"No\tb\nI paid 5"\ta\n')
    assert cells(table) == [['"Never" was said', "a"], ['"No', "b"], ['I paid 5"', "a"]]


@pytest.mark.parametrize("delimiter", ["\t", ",", ""])
def test_where_quotes_do_not_enclose_cells_they_are_characters(delimiter: str) -> None:
    texts = [f'"Line {row}' if row % 5 else f'"Line {row}" he said' for row in range(30)]
    end = f"{delimiter}ham" if delimiter else ""
    table = read(
        "\n".join(["text" + (f"{delimiter}label" if delimiter else ""), *(text + end for text in texts)])
    )
    assert table.frame["text"].tolist() == texts
    assert said(table, "Most quotes do not enclose cells here")


def test_rows_are_counted_as_a_spreadsheet_does() -> None:
    table = read('\ntext,label\n\n"two\nlines",a\n , \nlast,b\n')
    assert table.row_numbers.tolist() == [4, 6]
    assert cells(table) == [["two\nlines", "a"], ["last", "b"]]


@pytest.mark.parametrize(
    ("rows", "expected", "note"),
    [
        (["a"], ["a", ""], "Fewer cells than the header's 2 (row 6)"),
        (["Hello, you, there,ham"], ["Hello, you, there", "ham"], "it was joined again"),
        (["Hello, you,what"], ["Hello", " you,what"], "the surplus was joined to the last column"),
        (["fine,ham,,"], ["fine", "ham"], ""),
        (["text,label"], ["d", "spam"], "The header stands again further down (row 6)"),
    ],
)
def test_rows_of_another_width(rows: list[str], expected: list[str], note: str) -> None:
    table = read("\n".join(["text,label", "a,ham", "b,ham", "c,spam", "d,spam", *rows]))
    assert cells(table)[-1] == expected
    assert said(table, note) if note else len(table.notes) == 1


def test_text_with_delimiters_and_no_quotes_at_all() -> None:
    shapes = ["no comma {}", "one, comma {}", "two, commas, here {}", "three, commas, right, here {}"]
    texts = [shapes[row % 4].format(row) for row in range(20)]
    lines = [f"{text},{'ham' if row % 3 else 'spam'}" for row, text in enumerate(texts)]
    table = read("text,label\n" + "\n".join(lines))
    assert table.frame["text"].tolist() == texts
    assert set(table.frame["label"]) == {"ham", "spam"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("text,label\ngood,a\nbad,b\n", ["text", "label"]),
        ("I like it a lot,pos\nI do not,neg\nNo it is bad,neg\nSo good,pos\n", ["column_1", "column_2"]),
        ("1,2,3\n4,5,6\n", ["column_1", "column_2", "column_3"]),
        ("2011-01-01,a\n2012-01-01,b\n", ["column_1", "column_2"]),
        ("what,how much\nfish,3\nmeat,4\n", ["what", "how much"]),
        ("a,b\na,b\n", ["column_1", "column_2"]),
        ('..",x\nfine,y\n', ["column_1", "column_2"]),
        ("Who wrote this long and winding book?\nWhat is it?\n", ["column_1"]),
        ("a,,a,a_2\n1,2,3,4\n", ["a", "column_2", "a_3", "a_2"]),
        (' text ,"la\nbel"\n1,2\n', ["text", "la bel"]),
        ("text,label\nx,y,z\nu,v,w\n", ["text", "label", "column_3"]),
        ("A report of the year,,\n,,\ntext,label,id\nx,y,1\nz,y,2\n", ["text", "label", "id"]),
        ("\ufeffname\ufeff,label\nx,y\n", ["name", "label"]),
    ],
)
def test_headers(text: str, names: list[str]) -> None:
    table = read(text)
    assert list(table.frame) == names
    assert said(table, "looks like data") == (names[0] == "column_1")


def test_zero_bytes_are_removed() -> None:
    table = read("text,label\na\0b,c\nd,\0e\n")
    assert cells(table) == [["ab", "c"], ["d", "e"]]
    assert said(table, "2 zero bytes removed")


def test_a_cell_of_very_many_lines_is_pointed_out() -> None:
    table = read('text,label\n"' + "line\n" * 150 + '",a\nb,c\n')
    assert len(table) == 2
    assert said(table, "A cell has very many lines (row 2)")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[{"text": "a", "label": 1.50}, {"label": true, "text": null}]', [["a", "1.50"], ["", "true"]]),
        (
            '{"text": "a", "label": ["x", "y"]}\n\n{"text": "b\\ud800", "more": {"k": [1]}}\n',
            [["a", "x|y", ""], ["b\ufffd", "", "1"]],
        ),
        ('\ufeff {"text": "a", "label": NaN}', [["a", ""]]),
    ],
)
def test_json(text: str, expected: list[list[str]]) -> None:
    table = read(text, "data.csv")
    assert cells(table) == expected
    assert table.delimiter == ""


def test_json_lines_keep_their_line_numbers() -> None:
    assert read('{"text": "a"}\n\n{"text": "b"}\n').row_numbers.tolist() == [1, 3]


def test_parquet() -> None:
    frame = pd.DataFrame(
        {"text": ["a", None], "label": [1, 2], "score": [0.5, None], "tags": [["x", "y"], []]}
    )
    stream = io.BytesIO()
    frame.to_parquet(stream)
    table = read(stream.getvalue(), "data.parquet")
    assert list(table.frame) == ["text", "label", "score", "tags"]
    assert cells(table) == [["a", "1", "0.5", "x|y"], ["", "2", "", ""]]
    assert (table.encoding, table.row_numbers.tolist()) == ("", [1, 2])


def workbook(*sheets: list[list[Any]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets):
        sheet = book.create_sheet(f"Sheet {number}")
        for row in rows:
            sheet.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def test_excel() -> None:
    rows: list[list[Any]] = [
        ["text", "label", None],
        ["good", 1, None],
        [None, None, None],
        ["bad", 0.5, None],
    ]
    table = read(workbook([], rows), "data.xlsx")
    assert cells(table) == [["good", "1"], ["bad", "0.5"]]
    assert table.row_numbers.tolist() == [2, 4]
    assert said(table, "The workbook has 2 sheets; 'Sheet 1' is read.")
    with pytest.raises(DataError, match=r"data\.csv is empty"):
        read(workbook([]))
    with pytest.raises(DataError, match="an Excel file that cannot be read"):
        read(archive("xl/workbook.xml", b"<broken"))


def archive(name: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr(name, content)
    return stream.getvalue()


def tar_file() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as file:
        file.addfile(tarfile.TarInfo("data.csv"))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "data.csv is empty .0 bytes"),
        (b"\n \r\n\t", "is empty"),
        (b"\xff\xfe", "is empty"),
        (b",,\n,,\n", "is empty: no cell has anything in it"),
        (b"text,label\n", "has a header .text, label. but no rows"),
        (b"text,label\n,\n\n", "but no rows"),
        (b"\x89PNG\r\n\x1a\n", "a PNG picture, whatever its ending"),
        (b"%PDF-1.7 ...", "a PDF document"),
        (b"\x1f\x8b\x08", "a gzip archive, .* Unpack it"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel file .* save it as CSV"),
        (b"SQLite format 3\0", "an SQLite database"),
        (pickle.dumps({"text": ["a"]}), "a Python pickle, which may run code; it is never read"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b'<?xml version="1.0"?>', "a web page or XML"),
        (b"PK\x03\x04broken", "a damaged ZIP archive or Excel file"),
        (archive("data.csv", b"text,label"), "a ZIP archive. Unpack it"),
        (archive("mimetype", b"application/vnd.oasis.opendocument.spreadsheet"), "an OpenDocument file"),
        (archive("word/document.xml", b""), "an Office document that is no .xlsx"),
        (tar_file(), "a tar archive"),
        (b"PAR1 and nothing more", "a Parquet file that cannot be read"),
        (bytes(range(256)) * 20, "is no text"),
        (b'[{"text": "a"}, {"text": ]', "is JSON that cannot be read: Expecting value: line 1"),
        (b'{"text": "a"}\n{"text": \n', "Line 2 of data.csv is broken JSON"),
        (b'{"text": "a"}\n[1]\n', "Record 2 of data.csv is no object"),
        (b'[{"a":' * 100_000, "JSON that cannot be read"),
        (
            b"text,label\n" + b"x" * 1_500_000 + b",a\n",
            "Row 2 has a cell of more than 1\u2009000\u2009000 characters",
        ),
        (b'text,label\n"' + b"x" * 1_500_000 + b'",a\n', "Row 2 has a cell of more than"),
        (b",".join([b"name"] * 600) + b"\n", "has 600 columns; at most 512"),
        (b"a," * 200_000, "columns; at most 512"),
    ],
)
def test_what_is_no_table_is_refused_by_name(data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(data)


def test_a_database_is_told_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    connection = sqlite3.connect(path)
    connection.execute("create table data (text, label)")
    connection.close()
    with pytest.raises(DataError, match="an SQLite database"):
        read_table(path)


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fgdesign.data.rows.ROW_LIMIT", 10)
    assert len(read("text,label\n" + "a,b\n" * 10)) == 10
    with pytest.raises(DataError, match="more than 10 rows"):
        read("text,label\n" + "a,b\n" * 11)
    monkeypatch.setattr("fgdesign.data.read.FILE_LIMIT", 1 << 20)
    with pytest.raises(DataError, match=r"larger than 1 MB"):
        read("text,label\n" + "a,b\n" * (1 << 18))


def test_paths_and_streams_and_their_names(tmp_path: Path) -> None:
    path = tmp_path / "tickets.csv"
    path.write_text("text,label\na,b\n")
    by_path, by_name = read_table(path), read_table(str(path))
    with path.open("rb") as stream:
        stream.read()
        by_stream = read_table(stream)
    assert by_path.sha256 == by_name.sha256 == by_stream.sha256 != read("text,label\na,c\n").sha256
    path.write_text("")
    with pytest.raises(DataError, match=r"^tickets\.csv is empty"):
        read_table(path)
    for wrong in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(DataError, match=r"cannot be read: .* Give the path of a table"):
            read_table(wrong)


def test_every_cell_is_a_string() -> None:
    data = load_dataset(read("text,label,n\nNA,null,1\n1.0,,2\nx,true,\n,none,4\n"), require_label=False)
    assert all(isinstance(cell, str) for row in data.frame.itertuples(index=False) for cell in row)
    assert data.texts == ["NA", "1.0", "x"]
