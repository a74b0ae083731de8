"""Files as people have them: workbooks of several sheets, nested records, pages' leftovers, columns of yes and no."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from test_data_doctor import find
from test_data_hostile import LABELS, PAIRS, RECORDS, book, with_rows

from fgdesign.data import read as reading
from fgdesign.data import read_table
from fgdesign.data.clean import plain_number, without_hidden, without_markup
from fgdesign.data.columns import choose_columns
from fgdesign.data.doctor import examine
from fgdesign.data.mend import apply
from fgdesign.data.recipe import Recipe
from fgdesign.data.repair import Repair
from fgdesign.data.table import Table
from fgdesign.errors import DataError

PLAIN = [(text.replace(",", ""), label) for text, label in PAIRS]


def lines(head: str = "text,label", between: str = ",", rows: list[tuple[str, ...]] | None = None) -> str:
    return "".join(f"{row}\n" for row in (head, *map(between.join, rows or PLAIN)) if row)


def nested() -> bytes:
    target = io.BytesIO()
    parquet.write_table(pa.table({"data": pa.array(RECORDS), "id": list(range(24))}), target)
    return target.getvalue()


def conversations(who: str, says: str, user: str, answers: str) -> bytes:
    rows = [{"messages": [{who: user, says: text}, {who: answers, says: label}]} for text, label in PAIRS]
    return "\n".join(map(json.dumps, rows)).encode()


def covered(workbook_: Any) -> None:
    workbook_.active.append(("This workbook holds feedback.",))
    workbook_.active.append(("Made by us",))
    with_rows(workbook_.create_sheet("Data"))


MEANT: list[tuple[str, bytes | Callable[[], bytes], str]] = [  # name, bytes, a note
    ("objects inside", "\n".join(json.dumps({"data": {"text": text, "lang": "en"}, "gold": {"label": label}})
                                 for text, label in PAIRS).encode(), "JSON"),
    ("the only object of a list", json.dumps([{"data": {"text": text}, "results": [{"value": [{"choices": [label]}]}]}
                                              for text, label in PAIRS]).encode(), "JSON"),
    ("names and rows", json.dumps({"columns": ["text", "label"], "index": [0], "data": PAIRS}).encode(), "JSON"),
    ("rows beside features", json.dumps({"features": [{"name": "text"}, {"name": "label"}], "rows": [
        {"row_idx": place, "row": record} for place, record in enumerate(RECORDS)]}).encode(), "JSON"),
    ("a list deep inside", json.dumps({"version": 1, "nlu": {"common_examples": RECORDS}}).encode(), "JSON"),
    ("an object of records", json.dumps({f"id {place}": record for place, record in enumerate(RECORDS)}).encode(),
     "JSON"),
    ("lists of several parts", json.dumps({"train": RECORDS[:20], "test": RECORDS[20:]}).encode(),
     "Records of several lists ('train', 'test') make one table"),
    ("messages by role", conversations("role", "content", "user", "assistant"), "JSON"),
    ("messages by speaker", conversations("from", "value", "human", "gpt"), "JSON"),
    ("structures in Parquet", nested, ""),
    ("a sheet of words first", book(covered), "'Data' is read"),
    ("two rows of names", book(lambda workbook_: with_rows(workbook_.active, ("Feedback", "")).merge_cells("A1:B1")),
     "above the header is left out"),
    ("a title of two cells", f"exported by,me\n\n{lines()}".encode(), "above the header is left out"),
    ("the header again in other cases", (lines() + lines("Text,LABEL ")).encode(), "stands again further down"),
    ("formulas of texts", lines(rows=[(f'="{text}"', f'="{label}"') for text, label in PLAIN]).encode(), "as that"),
    ("an arrow between", lines("", " => ").encode(), "separated by ' => '"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "note"), MEANT, ids=[name for name, *_ in MEANT])
@pytest.mark.parametrize("fast_from", [0, reading.FAST_FROM])
def test_it_is_read_as_it_was_meant(
    name: str, data: bytes | Callable[[], bytes], note: str, fast_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "FAST_FROM", fast_from)
    table = read_table(io.BytesIO(data if isinstance(data, bytes) else data()), name="odd.csv")
    columns = choose_columns(table)
    assert columns.label is not None
    times = len(table) // len(PAIRS)
    assert [cell.replace(",", "") for cell in table.frame[columns.text]] == [text for text, _ in PLAIN] * times
    assert table.frame[columns.label].str.strip().tolist() == LABELS * times
    assert any(note in said for said in table.notes) or not note


def test_old_letters_of_macintosh_are_read() -> None:
    texts = [f"le café numéro {row} était très bon, à l’été" for row in range(9)]
    data = "".join(f'"{text}",x\r' for text in texts).encode("mac-roman")
    table = read_table(io.BytesIO(b"text,label\r" + data), name="a.csv")
    assert table.encoding == "mac-roman" and table.frame["text"].tolist() == texts
    assert read_table(io.BytesIO(b"text,label\n\x81 \x8d \x9d,x\n\x90 ,y\n")).encoding == "latin-1"


def test_sheets_that_are_not_read_are_told() -> None:
    def fill(workbook_: Any) -> None:
        with_rows(workbook_.active)
        with_rows(workbook_.create_sheet("February"))
        workbook_.create_sheet("Empty")

    found = find(examine(read_table(io.BytesIO(book(fill)()), name="a.xlsx")), "sheets")
    assert found is not None and found.severity == "warning"
    assert found.message.startswith("'February' (25 rows) of the workbook is not read: save such a sheet as a file")


def test_objects_with_many_names_stay_in_their_cell() -> None:
    rows = [{"text": f"text {row}", "label": "ab"[row % 2], "seen": {f"user {row} {n}": n for n in range(60)}}
            for row in range(12)]  # fmt: skip
    table = read_table(io.BytesIO("\n".join(map(json.dumps, rows)).encode()), name="a.jsonl")
    assert list(table.frame.columns) == ["text", "label", "seen"] and table.frame["seen"][0].startswith('{"user 0 0"')
    wide = "\n".join(json.dumps({f"k{row} {n}": "" for n in range(60)}) for row in range(12))
    with pytest.raises(DataError, match="columns; at most 512"):
        read_table(io.BytesIO(wide.encode()), name="a.jsonl")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<p>so <B class='x'>bold</B><br/>it is</p>", "so bold it is"),
        ("Tom &amp; Jerry&#39;s &lt;3", "Tom & Jerry's <3"),
        ("&amp;amp; again", "& again"),
        ("a < b and c > d, x <y> & z; AT&T", "a < b and c > d, x <y> & z; AT&T"),
        ("i <3 you", "i <3 you"),
        ("a &NBSP; b &Hellip; c", "a &NBSP; b &Hellip; c"),
        ("<br /> a <hr/> b <img src='x'/>", "a b"),
        ("<b" + 200_000 * " ", "<b" + 200_000 * " "),
    ],
)
def test_what_a_page_left_goes_and_nothing_else(text: str, left: str) -> None:
    assert without_markup(text) == left == without_markup(left)


def test_signs_that_nobody_sees_go_and_those_that_join_stay() -> None:
    assert without_hidden("par\u00adcel\u200b \u200fשלום\u202c") == "parcel שלום"
    for kept in ("👨\u200d👩\u200d👧", "می\u200cخواهم", "plain"):
        assert without_hidden(kept) == kept


@pytest.mark.parametrize(
    ("cell", "number"),
    [("12 %", "12"), ("$1,234.50", "1234.50"), ("3,5 €", "3.5"), ("1 234 567", "1234567"), ("-4.5", "-4.5"),
     ("12.5 EUR", "12.5"), ("1,234", "1234"), ("12 parcels", ""), ("1,23,4", ""), ("", ""), ("$", ""),
     ("2024-01-02", "")],
)  # fmt: skip
def test_an_amount_is_a_number(cell: str, number: str) -> None:
    assert plain_number(cell) == number and (not number or plain_number(number) == number)


def test_amounts_are_predicted_as_numbers() -> None:
    rows = [(text, f"${row}.50") for row, (text, _) in enumerate(PLAIN)]
    read = read_table(io.BytesIO(lines("text,price", rows=rows).encode()))
    first = find(examine(read), "no_label_column")
    assert first is not None and first.repair == Repair("read_as", ("price",), "label")
    amounts = find(examine(read, label="price"), "amounts")
    assert amounts is not None and amounts.repair == Repair("plain_numbers", ("price",)) and amounts.repair.of_choice
    mended, said = apply(Recipe((amounts.repair,)), read)
    assert said == ("Write 'price' as plain numbers: 24 rows changed.",) and mended.frame["price"][3] == "3.50"
    assert all(finding.severity != "error" for finding in examine(mended, label="price"))


def flags() -> Table:
    rows = [(text, str(row % 2), "YES" if row % 3 else "no", "" if row % 4 else "x")
            for row, (text, _) in enumerate(PLAIN)]  # fmt: skip
    return read_table(io.BytesIO(lines("text,rude,false,late", rows=rows).encode()), name="a.csv")


def test_columns_of_yes_and_no_become_several_labels() -> None:
    read = flags()
    finding = find(examine(read), "flag_columns")
    assert finding is not None and finding.repair == Repair("join_columns", ("rude", "false", "late"))
    recipe = Recipe((finding.repair, Repair("strip_labels", ("rude",))))
    mended, said = apply(recipe, read)
    assert list(mended.frame.columns) == ["text", "labels"] and said[0].endswith(": 3 columns joined.")
    assert mended.frame["labels"].tolist()[:5] == ["late", "rude|false", "false", "rude", "false|late"]
    assert recipe.renamed({"label": "rude"}) == {"label": "labels"} and finding.repair.of_choice
    assert apply(recipe, mended)[0].frame.equals(mended.frame)
    assert examine(mended)[0].severity != "error" and find(examine(mended), "flag_columns") is None
    with pytest.raises(DataError, match="needs the column 'rude', which is not there"):
        apply(recipe, read_table(io.BytesIO(lines().encode())))
    labelled = read_table(io.BytesIO(lines("text,label,late", rows=[(a, str(n % 2), "1") for n, (a, _) in
                                                                    enumerate(PLAIN)]).encode()))  # fmt: skip
    assert find(examine(labelled), "flag_columns") is None


def test_another_column_of_texts_is_offered_as_the_second() -> None:
    rows = [(str(row), f"the ticket of {row} again", *pair) for row, pair in enumerate(PLAIN)]
    read = read_table(io.BytesIO(lines("id,title,body,label", rows=rows).encode()))
    found = find(examine(read), "columns")
    assert found is not None and found.others == (Repair("read_as", ("title",), "text_b"),)
    from fgdesign.data.command import _accepted, _ways

    assert _ways(found)[-1] == "Read 'title' as the second text (--accept columns=title)"
    assert _accepted("columns=title", "utf-8", (found,)) == found.others[0]
    recipe = Recipe(found.others)
    assert choose_columns(read, **recipe.renamed({"text": None, "text_b": None, "label": None})).text_b == "title"
