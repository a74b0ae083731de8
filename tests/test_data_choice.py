"""Repairs that only a person accepts: misread rows, other encodings, long texts, large classes, told labels."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from test_data_doctor import LABELS, TEXTS, call, find, good, table

from fgdesign.data import Table, read_table
from fgdesign.data.doctor import examine, full_recipe
from fgdesign.data.findings import Finding
from fgdesign.data.kept import keep, load_kept
from fgdesign.data.lengths import counter_named
from fgdesign.data.letters import other_encodings, reread
from fgdesign.data.mend import apply
from fgdesign.data.recipe import Recipe, recipe_from, recipe_json
from fgdesign.data.repair import Repair
from fgdesign.data.take_out import label_words, without_labels
from fgdesign.errors import DataError
from fgdesign.graph.spec import DEFAULT_BACKBONE

ROOT = Path(__file__).parents[1]
ROWS = "".join(f"{text} again,{label}\n" for text, label in zip(TEXTS, LABELS, strict=True))
MISREAD: list[tuple[str, bytes, str, tuple[int, ...]]] = [  # code, file, rule, rows
    ("short_rows", f"text,label\n{ROWS}only a text\n".encode(), "short_row", (32,)),
    ("long_rows", f"text,label\n{ROWS}one, two, three,yes\n".encode(), "joined_row", (32,)),
    ("long_rows", f"text,label\n{ROWS}one,two,three,four\n".encode(), "surplus_row", (32,)),
    ("open_quote", f'text,label\n"it is open,yes\n{ROWS}'.encode(), "open_quote", (2,)),
    ("quotes", f'text,label\n"he said "no" to it",yes\n{ROWS}'.encode(), "quotes", (2,)),
    ("zero_bytes", f"text,label\nzero\0here,yes\n{ROWS}".encode(), "zero_bytes", (2,)),
    ("bad_bytes", ("text,label\n" + "größer,yes\n" * 6).encode() + b"gr\xf6\xdfer,yes\n" + ROWS.encode(), "bad_bytes",
     (8,)),
    ("many_lines", f'text,label\n"{"line" + chr(10)}{"x" + chr(10)}{("y" + chr(10)) * 120}",yes\n{ROWS}'.encode(),
     "many_lines", (2,)),
]  # fmt: skip


def reading(data: bytes) -> Table:
    return read_table(io.BytesIO(data), name="a.csv")


def repair_of(found: tuple[Finding, ...], code: str) -> Repair:
    finding = find(found, code)
    assert finding is not None and finding.repair is not None
    return finding.repair


@pytest.mark.parametrize(("code", "data", "rule", "rows"), MISREAD, ids=lambda value: str(value)[:12])
def test_rows_that_were_misread_are_dropped_on_a_click_only(
    code: str, data: bytes, rule: str, rows: tuple[int, ...], tmp_path: Path
) -> None:
    read = reading(data)
    finding = find(examine(read), code)
    assert finding is not None and (finding.rows, finding.repair) == (rows, Repair("drop_misread", rule=rule))
    assert finding.repair not in full_recipe(read, Recipe()).repairs
    recipe = recipe_from(recipe_json(Recipe((finding.repair,))))
    once, said = apply(recipe, read)
    assert len(once) == len(read) - 1 and said == (f"{finding.repair}: 1 row dropped.",)
    assert sorted({*read.row_numbers.tolist()} - {*once.row_numbers.tolist()}) == list(rows)
    assert find(examine(once), code) is None
    assert len(apply(recipe, once)[0]) == len(once)
    assert apply(recipe, reading(f"text,label\n{ROWS}".encode()))[1] == (f"{finding.repair}: 0 rows dropped.",)
    path = tmp_path / f"{read.sha256[:16]}.csv"
    path.write_bytes(data)
    keep(read, path)
    kept = load_kept(path)
    assert kept is not None and {mark: found.tolist() for mark, found in kept.marks.items()} == {rule: list(rows)}
    pd.testing.assert_frame_equal(apply(recipe, kept)[0].frame, once.frame)
    assert find(examine(kept), code) == finding


def test_a_finding_of_the_reader_counts_the_rows_that_are_left() -> None:
    read = reading(b"text,label\nsame,x\nshort one\nshort one\nshort two\nother,y\nthird,x\nfourth,y\nlast,x\n")
    before, after = find(examine(read), "short_rows"), apply(
        Recipe((Repair("drop_duplicates", ("text", "label"), "same"),)), read)[0]  # fmt: skip
    left = find(examine(after), "short_rows")
    assert before is not None and before.count == 3 and "(3 rows, first: row 3)" in before.message
    assert left is not None and left.rows == (3, 5) and "(2 rows, first: row 3)" in left.message


POLISH = ["Zamówienie przyszło uszkodzone", "Proszę o zwrot pieniędzy", "Jestem bardzo zadowolony", "Świetna obsługa"]


def test_a_guessed_encoding_is_read_as_another_one_and_taken_back() -> None:
    lines = [f"{POLISH[row % 4]} {row},{'dobry' if row % 2 else 'zły'}" for row in range(40)]
    data = "\n".join(["treść,ocena", *lines]).encode("cp1250")
    right = reading("\n".join(["treść,ocena", *lines]).encode())
    assert reading(data).encoding == "cp1250"
    wrong = Table(right.frame.map(lambda cell: reread(cell, "cp1250", "cp1252")).astype("str").set_axis(
        [reread(name, "cp1250", "cp1252") for name in right.frame.columns], axis=1), right.row_numbers, "cp1252", ",",
        reading(data).notes, "")  # fmt: skip
    wrong = Table(wrong.frame, wrong.row_numbers, "cp1252", ",", tuple(
        type(note)(note.replace("cp1250", "cp1252")).about(note.rows) if hasattr(note, "about") else note
        for note in wrong.notes), "")  # fmt: skip
    finding = find(examine(wrong, text="treœæ", label="ocena"), "encoding_guess")
    assert finding is not None and finding.repair is not None and len(finding.rows) == 40
    ways = (finding.repair, *finding.others)
    assert Repair("reread", names=(("cp1252", "cp1250"),)) in ways and "as cp1250" in finding.message
    recipe = Recipe((Repair("reread", names=(("cp1252", "cp1250"),)), Repair("strip_labels", ("treœæ",))))
    once, said = apply(recipe, wrong)
    pd.testing.assert_frame_equal(once.frame, right.frame)
    assert (once.encoding, said[0]) == ("cp1250", f"{recipe.steps[0]}: 50 cells changed.")
    assert recipe.renamed({"text": "treœæ", "label": "ocena", "text_b": None}) == {
        "text": "treść", "label": "ocena", "text_b": None}  # fmt: skip
    assert find(examine(once), "encoding_guess") is None
    assert apply(recipe, once)[1][0].endswith("0 cells changed.")
    assert apply(recipe, right)[1][0].endswith("0 cells changed.")  # next month's is UTF-8
    pd.testing.assert_frame_equal(apply(recipe.without(recipe.steps[0]), wrong)[0].frame, wrong.frame)


def test_what_cannot_be_read_otherwise_stays() -> None:
    assert reread("Ïðèâåò \ufffd!", "cp1252", "cp1251") == "Привет \ufffd!"
    assert reread("Привет", "cp1252", "cp1251") == "Привет"
    found = other_encodings(["Ïðèâåò, êàê äåëà?", "Âñ¸ õîðîøî, ñïàñèáî"], "cp1252")
    assert found[0] == ("cp1251", "Ïðèâåò,", "Привет,")
    assert other_encodings(["plain"], "cp1252") == [] == other_encodings(["Привет"], "cp1252")


def test_long_texts_are_left_out_by_the_graphs_own_tokens() -> None:
    columns = good()
    columns["text"][3] = "unbelievably " * 40
    counter = counter_named(DEFAULT_BACKBONE)
    finding = find(examine(table(columns), counter=counter, limit=32), "long_texts")
    assert finding is not None and finding.rows == (5,)
    assert finding.repair == Repair("drop_long", ("text",), most=32, by=DEFAULT_BACKBONE)
    once, said = apply(recipe_from(recipe_json(Recipe((finding.repair,)))), table(columns))
    assert 5 not in once.row_numbers and said[0].endswith("counted by all-MiniLM-L6-v2: 1 row dropped.")
    assert find(examine(once, counter=counter, limit=32), "long_texts") is None
    with pytest.raises(DataError, match="the tokeniser of nobody/none is not on this machine"):
        apply(Recipe((Repair("drop_long", ("text",), most=3, by="nobody/none"),)), table(columns))


def test_a_large_class_is_cut_the_same_way_in_any_order() -> None:
    columns = {"text": [f"text {row}" for row in range(99)], "label": ["a"] * 4 + ["b"] * 95}
    bad = table(columns)
    finding = find(examine(bad), "imbalance")
    assert finding is not None and "leaves 55 rows out" in finding.message
    once, said = apply(Recipe((repair_of(examine(bad), "imbalance"),)), bad)
    assert once.frame["label"].value_counts().to_dict() == {"b": 40, "a": 4} and "55 rows dropped" in said[0]
    order = np.random.default_rng(0).permutation(99)
    other = apply(Recipe((Repair("cap_classes", ("text", "label"), most=10),)),
                  table({name: [cells[row] for row in order] for name, cells in columns.items()}))[0]  # fmt: skip
    assert sorted(other.frame["text"]) == sorted(once.frame["text"])
    assert find(examine(once), "imbalance") is None


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Billing: I was charged twice", "I was charged twice"),
        ("my ORDER-STATUS, please", "my , please"),
        ("about order status and billing today", "about and today"),
        ("billings are not the label", "billings are not the label"),
        ("order billing status", ""),
        ("billing", ""),
        ("ｂｉｌｌｉｎｇ is wide", "is wide"),
        ("two  spaces stay", "two  spaces stay"),
    ],
)
def test_labels_are_taken_out_of_texts(text: str, left: str) -> None:
    names = label_words(["billing", "order_status", "---"])
    assert without_labels(text, names) == left and without_labels(left, names) == left


@pytest.mark.parametrize(
    ("cells", "rule", "joined"),
    [
        (["['a b', 'c']", '["c"]', "[]", "['a b' 'c']", "(a b, c)", "{c}", "plain"], "list",
         ["a b|c", "c", "", "a b|c", "a b|c", "c", "plain"]),
        (["a, b", "b,a,b", "a", ", a"], "comma", ["a|b", "b|a", "a", ", a"]),
        (["a; b", "a, b"], "semicolon", ["a|b", "a, b"]),
    ],
)  # fmt: skip
def test_lists_of_labels_are_joined_as_several(cells: list[str], rule: str, joined: list[str]) -> None:
    bad = table({"text": [f"text {row}" for row in range(len(cells))], "label": cells})
    once, _ = apply(Recipe((Repair("split_labels", ("label",), rule),)), bad)
    assert once.frame["label"].tolist() == joined
    assert apply(Recipe((Repair("split_labels", ("label",), rule),)), once)[0].frame["label"].tolist() == joined


def test_a_place_with_a_comma_is_one_label() -> None:
    cells = ["Paris, France", "Rome, Italy", "Bonn, Germany"] * 10
    assert find(examine(table({"text": TEXTS, "label": cells})), "label_lists") is None


def test_numbers_that_differ_become_their_mean_and_words_go() -> None:
    numbers = table({"text": ["same", *TEXTS[1:29], "same"], "label": [f"{row}.5" for row in range(30)]})
    once, said = apply(Recipe((repair_of(examine(numbers), "different_numbers"),)), numbers)
    assert once.frame["label"].iloc[[0, 29]].tolist() == ["15", "15"] and "2 rows changed" in said[0]
    words = table({"text": TEXTS, "label": ["many", "", *(f"{row}.5" for row in range(28))]})
    repair = repair_of(examine(words, task="regression"), "not_a_number")
    once, _ = apply(Recipe((repair,)), words)
    assert once.row_numbers.tolist() == list(range(3, 32))


def test_the_command_accepts_what_fix_leaves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = tmp_path / "bad.csv", tmp_path / "out.csv"
    data.write_bytes(MISREAD[0][1])
    code, printed, _ = call(capsys, "doctor", data)
    assert code == 0 and "    Drop rows with fewer cells than the header (--accept short_rows)\n" in printed
    code, printed, _ = call(capsys, "doctor", data, "--json")
    short = next(finding for finding in json.loads(printed)["findings"] if finding["code"] == "short_rows")
    assert short["repair"] == {"repair": "drop_misread", "rule": "short_row"} and short["others"] == []
    code, printed, _ = call(capsys, "doctor", data, "--accept", "short_rows", "--out", out, "--save-recipe",
                            tmp_path / "r.json")  # fmt: skip
    assert code == 0 and len(read_table(out)) == 30 and "Drop rows with fewer cells than the header: 1 row" in printed
    next_month = tmp_path / "next.csv"
    next_month.write_bytes(b"text,label\na new one,yes\nshort\nanother,no\nthird,yes\n")
    code, *_ = call(capsys, "doctor", next_month, "--recipe", tmp_path / "r.json", "--out", out)
    assert read_table(out).frame["text"].tolist() == ["a new one", "another", "third"]
    code, _, said = call(capsys, "doctor", data, "--accept", "short_row", "--out", out)
    assert code == 1 and "--accept short_row names no finding with a repair. Did you mean short_rows" in said


def test_the_command_reads_as_another_encoding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = tmp_path / "bad.csv", tmp_path / "out.csv"
    rows = "".join(f"ça va très bien {row},{'xy'[row % 2]}\n" for row in range(9))
    data.write_bytes(f"text,label\n{rows}".encode("cp1252"))
    code, *_ = call(capsys, "doctor", data, "--accept", "encoding_guess=cp1253", "--out", out)
    assert code == 0 and read_table(out).frame["text"][0] == "ηa va trθs bien 0"


def test_the_page_offers_each_way_and_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fgdesign.ui import library, state

    monkeypatch.setenv("FGDESIGN_WORKSPACE", str(tmp_path))
    st.cache_resource.clear()
    rows = [f"{POLISH[row % 4]} {row} {'bardzo ' * (90 if row == 50 else 1)},{'zły' if row < 4 else 'dobry'}"
            for row in range(99)]  # fmt: skip
    file = library.store(io.BytesIO("\n".join(["text,label", *rows, "tylko"]).encode("cp1250")), "polish.csv")
    library.keep(file)
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).switch_page("pages/data.py")
    page.session_state[state.PROJECT] = state.Project(state.load_graph(state.FIRST_GRAPH), data=file.id)
    page.run()

    def press(start: str) -> None:
        next(button for button in page.button if str(button.key).startswith(start)).click().run()
        assert not page.exception

    assert len([button for button in page.button if str(button.key).startswith("repair_encoding_guess")]) > 1
    press("repair_encoding_guess")
    assert any("Read letters as another encoding: 'cp1250' to" in item.value for item in page.text)
    press("undo_0")
    press("repair_short_rows")
    press("repair_imbalance")
    assert any("Keep at most 10 times the rows of the smallest label: 55 rows dropped." in item.value
               for item in page.text)  # fmt: skip
    press("undo_1")
    press("turn_class_weights")
    assert page.session_state[state.SETTINGS]["class_weights"] is True
    press("turn_class_weights")
    assert page.session_state[state.SETTINGS]["class_weights"] is False
    press("raise_limit")
    limits = {node.params.get("max_length") for node in page.session_state[state.PROJECT].graph.nodes
              if node.type == "text/1"}  # fmt: skip
    assert limits == {128}
    st.cache_resource.clear()
