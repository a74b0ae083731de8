"""Tables drawn as text are read as what they show; SQL is refused in words; chart sheets are passed over."""

from __future__ import annotations

import io

import openpyxl
import pytest
from openpyxl import chart as charts

from fgdesign.data import Table, read_table
from fgdesign.errors import DataError

DRAWN: list[tuple[str, str, dict[str, list[str]], list[int], str]] = [  # name, text, columns, rows, said
    ("markdown", "Some title\n\n| text | label |\n|------|:-----:|\n| a\\|b c | x |\n| two<br>lines | y |\n\nend\n",
     {"text": ["a|b c", "two\nlines"], "label": ["x", "y"]}, [5, 6], "left out (2 rows, first: row 1)"),
    ("no frame", "text | label\n--- | ---\na b | x\n- | -\n", {"text": ["a b", "-"], "label": ["x", "-"]}, [3, 4],
     "Read as utf-8, a table drawn with bars"),
    ("one dash", "|text|label|\r\n|-|-|\r\n|a, b|x|\r\n|c|y|\r\n", {"text": ["a, b", "c"], "label": ["x", "y"]}, [3, 4],
     "as in Markdown"),
    ("short", "| text | label |\n|---|---|\n| a |\n| b | y |\n", {"text": ["a", "b"], "label": ["", "y"]}, [3, 4],
     "Fewer cells than the header's 2 (row 3)"),
    ("mysql", "+----+-------+\n| id | text  |\n+----+-------+\n|  1 | a b   |\n|  2 | c - d |\n+----+-------+\n"
     "2 rows\n",
     {"id": ["1", "2"], "text": ["a b", "c - d"]}, [4, 5], "left out (row 7)"),
    ("psql", " id | text  | label \n----+-------+-------\n  1 | a b   | x\n  2 | c, d  | y\n(2 rows)\n",
     {"id": ["1", "2"], "text": ["a b", "c, d"], "label": ["x", "y"]}, [3, 4], "left out (row 5)"),
    ("grid", "+------+---+\n| text | y |\n+======+===+\n"
     "| a b  | x |\n| c    |   |\n+------+---+\n| d    | z |\n+------+---+\n",
     {"text": ["a b\nc", "d"], "y": ["x", "z"]}, [4, 7], "as in Markdown"),
    ("duckdb", "┌─────────┬───────┐\n│  text   │ label │\n│ varchar │ int32 │\n├─────────┼───────┤\n"
     "│ a b     │     1 │\n│ c d     │     2 │\n└─────────┴───────┘\n",
     {"text": ["a b", "c d"], "label": ["1", "2"]}, [5, 6], "drawn with bars"),
    ("fastText", "__label__pos __label__new this is good\n__label__neg bad, really\n",
     {"text": ["this is good", "bad, really"], "label": ["pos|new", "neg"]}, [1, 2], "lines of fastText"),
    ("fixed", "id   text                 label\n1    hello there, friend  yes\n2    another  one         no\n"
     "3    third                yes\n",
     {"id": ["1", "2", "3"], "text": ["hello there, friend", "another  one", "third"], "label": ["yes", "no", "yes"]},
     [2, 3, 4], "columns of fixed width"),
    ("pandas", "                  text  label\n0  a first long text      1\n1         the second     10\n",
     {"column_1": ["0", "1"], "text": ["a first long text", "the second"], "label": ["1", "10"]}, [2, 3],
     "columns of fixed width"),
    ("ruled", "text       label\n---------  -----\nfirst one  a\nsecond     b\n",
     {"text": ["first one", "second"], "label": ["a", "b"]}, [3, 4], "columns of fixed width"),
]  # fmt: skip


def reading(data: bytes, name: str = "a.csv") -> Table:
    return read_table(io.BytesIO(data), name=name)


@pytest.mark.parametrize(("name", "text", "columns", "rows", "said"), DRAWN, ids=lambda value: str(value)[:8])
def test_a_drawn_table_is_read_as_what_it_shows(
    name: str, text: str, columns: dict[str, list[str]], rows: list[int], said: str
) -> None:
    read = reading(text.encode())
    assert (read.frame.to_dict("list"), read.row_numbers.tolist()) == (columns, rows)
    assert any(said in note for note in read.notes)
    assert reading(("\ufeff" + text).encode("utf-16")).frame.to_dict("list") == columns


@pytest.mark.parametrize(
    "text",
    [
        "review\nThis is good.  Really good.\nThis  is bad\nMeh\n",
        "review  text\nThis is good.  Really good.\nAnd so is this one\nMeh\n",
        "text\n|---|\na | b\n",
        "text,label\n--- a rule ---,x\n|---|,y\n",
        "insert into,label\na b,x\nc d,y\n",
        "create a table,use\nof wood,x\nof steel,y\n",
    ],
)
def test_what_only_looks_like_a_drawing_is_none(text: str) -> None:
    assert len(reading(text.encode())) == text.count("\n") - 1
    assert not any("drawn" in note or "fixed width" in note for note in reading(text.encode()).notes)


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO t (text, label) VALUES ('a, b', 'x'), ('c', 'y');\n",
        "-- MySQL dump\n/*!40101 SET NAMES utf8 */;\nDROP TABLE IF EXISTS t;\nCREATE TABLE t (a text);\n"
        "INSERT INTO t VALUES ('a','b');\n",
        "SET client_encoding = 'UTF8';\nCOPY public.t (text, label) FROM stdin;\na\tx\n\\.\n",
        "BEGIN TRANSACTION;\nREPLACE INTO t VALUES(1,'a');\nCOMMIT;\n",
    ],
)
def test_statements_of_sql_are_refused_in_words(text: str) -> None:
    with pytest.raises(DataError, match=r"a\.sql is SQL statements .* export the table as CSV"):
        reading(text.encode(), "a.sql")


def test_a_long_line_of_signs_is_no_trouble() -> None:
    for sign in ("-", "|-", " ", "+=", "| ", "- "):
        text = f"text,label\n{sign * 50_000},x\nb,y\n"
        assert len(reading(text.encode())) == 2


def workbook(*, chart: bool, rows: list[list[str]]) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    for row in rows:
        sheet.append(row)
    picture = book.create_chartsheet("Picture", 0)
    if chart:
        drawn = charts.BarChart()
        drawn.add_data(charts.Reference(sheet, min_col=1, min_row=1, max_row=3))
        picture.add_chart(drawn)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


@pytest.mark.parametrize("chart", [True, False], ids=["chart", "empty chart sheet"])
def test_a_chart_sheet_is_passed_over(chart: bool) -> None:
    read = reading(workbook(chart=chart, rows=[["text", "label"], ["a b", "x"], ["c d", "y"]]), "a.xlsx")
    assert read.frame.to_dict("list") == {"text": ["a b", "c d"], "label": ["x", "y"]}
    with pytest.raises(DataError, match=r"a\.xlsx is empty: no cell has anything in it"):
        reading(workbook(chart=chart, rows=[]), "a.xlsx")
