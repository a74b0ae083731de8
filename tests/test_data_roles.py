"""Findings that another column, a header, a test table's names or a person's labels end: each by one click or code."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from test_data_doctor import LABELS, TEXTS, call, find, good, table

from fgdesign.data import Table, background, read_table
from fgdesign.data.doctor import examine, full_recipe
from fgdesign.data.mend import apply
from fgdesign.data.recipe import Recipe, recipe_from, recipe_json
from fgdesign.data.repair import Repair

ROOT = Path(__file__).parents[1]
KINDS = ["late", "lost", "broken"] * 10


def reading(text: str) -> Table:
    return read_table(io.BytesIO(text.encode()), name="a.csv")


def lines(texts: list[str], labels: list[str], head: str = "text,label") -> str:
    return "".join(f"{row}\n" for row in (head, *map(",".join, zip(texts, labels, strict=True))) if row)


OTHER: list[tuple[str, dict[str, list[str]]]] = [  # code, columns beside the texts; "kind" could be the label
    ("single_class", {"label": ["x"] * 30, "kind": KINDS}),
    ("no_labels", {"label": [""] * 30, "kind": KINDS}),
    ("not_learnable", {"label": [f"l{row}" for row in range(30)], "kind": KINDS}),
    ("all_classes_small", {"label": [f"l{row // 2}" for row in range(30)], "kind": KINDS, "id": list("abcdef") * 5}),
]


@pytest.mark.parametrize(("code", "columns"), OTHER, ids=[code for code, _ in OTHER])
def test_another_column_is_read_as_the_label(code: str, columns: dict[str, list[str]]) -> None:
    bad = table({"text": TEXTS, **columns})
    finding = find(examine(bad, label="label"), code)
    assert finding is not None and finding.repair == Repair("read_as", ("kind",), "label") and finding.repair.of_choice
    recipe = recipe_from(recipe_json(Recipe((finding.repair,))))
    mended, said = apply(recipe, bad)
    assert said == ("Read 'kind' as the label: 0 cells changed.",)
    pd.testing.assert_frame_equal(mended.frame, bad.frame)
    roles = recipe.renamed({"text": None, "text_b": None, "label": None})
    assert roles == {"text": None, "text_b": None, "label": "kind"}
    assert find(examine(mended, **roles), code) is None
    assert recipe.renamed({"label": "label"}) == {"label": "label"}
    other = recipe.with_repairs([Repair("read_as", ("label",), "label")])
    assert other.repairs == (Repair("read_as", ("label",), "label"),)


def test_a_column_is_offered_only_where_something_could_be_learnt_from_it() -> None:
    beside = {"id": list(map(str, range(30))), "same": ["x"] * 30, "rare": ["a"] * 28 + ["b", "c"], "long": [
        f"{text} and so on, and on, and on, and on, and on, and on, {row % 2}" for row, text in enumerate(TEXTS)
    ]}  # fmt: skip
    bad = table({"text": TEXTS, "label": ["x"] * 30, **beside})
    finding = find(examine(bad, text="text", label="label"), "single_class")
    assert finding is not None and finding.repair is None


def test_a_table_of_texts_gets_a_column_to_fill_in() -> None:
    bad = table({"text": TEXTS})
    finding = find(examine(bad), "no_label_column")
    assert finding is not None and finding.repair == Repair("add_column", ("label",))
    mended, said = apply(Recipe((finding.repair,)), bad)
    assert said == ("Add an empty column 'label': 1 column added.",) and mended.frame["label"].tolist() == [""] * 30
    assert {"no_labels"} == {found.code for found in examine(mended) if found.severity == "error"}
    assert apply(Recipe((finding.repair,)), mended)[1] == ("Add an empty column 'label': 0 columns added.",)
    assert full_recipe(bad, Recipe()) == Recipe()


def test_long_labels_are_cut_at_a_sign_where_they_come_back() -> None:
    bad = table({"text": TEXTS, "label": [f"{('billing', 'login')[row % 2]}/{row}" for row in range(30)]})
    finding = find(examine(bad), "not_learnable")
    assert finding is not None and finding.repair == Repair("shorten_labels", ("label",), "slash")
    mended, _ = apply(Recipe((finding.repair,)), bad)
    assert set(mended.frame["label"]) == {"billing", "login"} and find(examine(mended), "not_learnable") is None
    small = table({"text": TEXTS[:6], "label": ["a: b", "a: c", "a: d", "e: f", "e: g", "e: h"]})
    finding = find(examine(small), "all_classes_small")
    assert finding is not None and finding.repair == Repair("shorten_labels", ("label",), "colon")
    assert apply(Recipe((finding.repair,)), small)[0].frame["label"].tolist() == list("aaaeee")


HEADLESS = lines(["what a long name for a column of texts", *TEXTS], ["kind", *LABELS], "")


def test_the_first_row_is_taken_as_names_and_given_back() -> None:
    read = reading(HEADLESS)
    assert list(read.frame.columns) == ["column_1", "column_2"] and len(read) == 31
    finding = find(examine(read), "no_header")
    assert finding is not None and (finding.severity, finding.rows) == ("note", (1,)) and finding.repair is not None
    assert finding.others == (Repair("rename", names=(("column_1", "text"), ("column_2", "label"))),)
    tidy = Repair("strip_labels", ("column_2",))
    recipe = recipe_from(recipe_json(Recipe((tidy, finding.repair))))
    mended, said = apply(recipe, read)
    assert list(mended.frame.columns) == ["what a long name for a column of texts", "kind"] and len(mended) == 30
    assert said[0].endswith(": 2 columns named.") and mended.row_numbers[0] == 2
    assert find(examine(mended), "no_header") is None
    pd.testing.assert_frame_equal(apply(recipe, mended)[0].frame, mended.frame)
    assert recipe.renamed({"label": "column_2"}) == {"label": "kind"}
    next_month = reading(lines(["a text that is no name of all things", *TEXTS], ["no", *LABELS], ""))
    named, _ = apply(recipe, next_month)
    assert len(named) == 31 and list(named.frame.columns) == list(mended.frame.columns)
    assert apply(Recipe(finding.others), read)[0].frame.columns.tolist() == ["text", "label"]
    assert find(examine(apply(Recipe(finding.others), read)[0]), "no_header") is None
    assert finding.repair not in full_recipe(read, Recipe()).repairs


def test_columns_are_called_as_the_test_table_calls_them() -> None:
    here = table(good())
    for names in (("Text", "LABEL"), ("body", "kind")):
        test = table(dict(zip(names, (["a quite new text", "and one more"], ["yes", "no"]), strict=True)))
        finding = find(examine(here, test=test), "test_columns")
        assert finding is not None
        assert finding.repair == Repair("rename", names=(("text", names[0]), ("label", names[1])))
        recipe = full_recipe(here, Recipe(), test=test)
        assert recipe.repairs == (finding.repair,)
        assert find(examine(apply(recipe, here)[0], test=test), "test_columns") is None
    lost = find(examine(here, test=table({"n": ["1", "2"]})), "test_columns")
    assert lost is not None and lost.repair is None


def test_labels_are_spelt_as_in_the_test_table_and_rows_of_others_go_there() -> None:
    here, test = table(good()), table({"text": ["new", "newer", "newest"], "label": ["YES", "no", "maybe"]})
    finding = find(examine(here, test=test), "test_labels")
    assert finding is not None and "'YES', 'maybe'; 2 of its rows" in finding.message
    assert finding.repair == Repair("merge_labels", ("label",), names=(("yes", "YES"),))
    assert finding.there == Repair("drop_classes", ("label",), labels=("maybe",))
    mended, _ = apply(Recipe((finding.repair,)), here)
    left = find(examine(mended, test=test), "test_labels")
    assert left is not None and left.repair is None and left.there == finding.there
    assert find(examine(mended, test=apply(Recipe((finding.there,)), test)[0]), "test_labels") is None
    before = Recipe((Repair("merge_labels", ("label",), names=(("YES", "yes"), ("Yes", "yes"))),))
    both = before.with_repairs([finding.repair])
    assert both.repairs == (Repair("merge_labels", ("label",), names=(("Yes", "yes"),)), finding.repair)
    mixed = table({"text": TEXTS[:4], "label": ["Yes", "YES", "yes", "no"]})
    assert apply(both, mixed)[0].frame["label"].tolist() == ["YES", "YES", "YES", "no"]
    numbered = table({"text": TEXTS, "label": list("012") * 10})
    assert find(examine(numbered, test=table({"text": ["new"], "label": ["1.0"]})), "test_labels") is None


def test_what_cannot_be_named_is_not_offered() -> None:
    read = reading(lines(["a first row that is no row of names", *TEXTS], ["null", *LABELS], ""))
    finding = find(examine(read), "no_header")
    wanted = Repair("rename", names=(("column_1", "text"), ("column_2", "label")))
    assert finding is not None and finding.repair == wanted
    swapped = table({"label": TEXTS[:2], "text": ["yes", "no"]})
    here = table({"label": TEXTS, "kind": LABELS})
    found = find(examine(here, text="label", label="kind", test=swapped), "test_columns")
    assert found is not None and found.severity == "error"
    spaced = find(examine(table({"text": TEXTS, "label": ["so  so", "no"] * 15}),
                          test=table({"text": ["new"], "label": ["so so"]})), "test_labels")  # fmt: skip
    assert spaced is None or spaced.repair is None


def test_formulas_without_results_have_rows(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (("text", "label"), *zip(TEXTS, LABELS, strict=True), ("one more", '=IF(1=1,"yes","no")')):
        book.active.append(row)
    book.create_sheet("More")["A1"] = "=1+1"
    book.save(tmp_path / "a.xlsx")
    read = read_table(tmp_path / "a.xlsx")
    finding = find(examine(read), "formulas")
    assert finding is not None and finding.rows == (32,) and finding.repair == Repair("drop_misread", rule="no_result")
    assert "1 formula without a result in the file, so the cell stays empty (row 32)" in finding.message
    mended, _ = apply(Recipe((finding.repair,)), read)
    assert len(mended) == 30 and find(examine(mended), "formulas") is None


def test_the_command_names_another_label_and_mends_the_test_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, test, out = tmp_path / "a.csv", tmp_path / "test.csv", tmp_path / "out.csv"
    frame = pd.DataFrame({"text": TEXTS, "label": ["x"] * 30, "kind": KINDS})
    frame.to_csv(data, index=False)
    code, printed, _ = call(capsys, "doctor", data)
    assert code == 1 and "    Read 'kind' as the label (--accept single_class)\n" in printed
    recipe = tmp_path / "r.json"
    for way in ("single_class", "single_class=kind"):
        code, printed, _ = call(capsys, "doctor", data, "--accept", way, "--out", out, "--save-recipe", recipe)
        assert code == 0 and "repaired: Read 'kind' as the label: 0 cells changed." in printed
    code, *_ = call(capsys, "doctor", data, "--recipe", recipe, "--out", out, "--json")
    assert code == 0
    data.write_text(lines(TEXTS, LABELS), "utf-8")
    test.write_text(lines(["new", "newer", "newest"], ["yes", "no", "maybe"]), "utf-8")
    code, printed, _ = call(capsys, "doctor", data, "--test", test, "--out-test", out)
    assert code == 0 and "    In the test table: Drop the rows of 'maybe' (--out-test FILE)\n" in printed
    assert read_table(out).frame["label"].tolist() == ["yes", "no"]
    code, _, said = call(capsys, "doctor", data, "--out-test", out)
    assert code == 2 and "--out-test needs --test FILE" in said


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("FGDESIGN_WORKSPACE", str(tmp_path))
    st.cache_resource.clear()
    yield AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).switch_page("pages/data.py")
    st.cache_resource.clear()


def opened(page: Any, text: str, name: str) -> Any:
    from fgdesign.ui import library, state

    file = library.store(io.BytesIO(text.encode()), name)
    library.keep(file)
    page.session_state[state.PROJECT] = state.Project(state.load_graph(state.FIRST_GRAPH), data=file.id)
    page.run()
    return file


def press(page: Any, start: str) -> None:
    next(button for button in page.button if str(button.key).startswith(start)).click().run()
    assert not page.exception


def said(page: Any, words: str) -> bool:
    return any(words in item.value for item in page.text)


def test_the_page_reads_another_column_and_takes_it_back(page: Any) -> None:
    from fgdesign.ui import state

    file = opened(page, pd.DataFrame({"text": TEXTS, "label": ["x"] * 30, "kind": KINDS}).to_csv(index=False), "a.csv")
    press(page, "repair_single_class")
    assert page.session_state[state.PROJECT].label == "kind" and said(page, "Text: text · label: kind.")
    assert said(page, "Read 'kind' as the label: 0 cells changed.")
    press(page, "undo_0")
    assert page.session_state[state.PROJECT].label == "" and said(page, "Every label in 'label' is 'x'")
    press(page, "repair_single_class")
    next(box for box in page.selectbox if str(box.key).startswith(f"column_label_{file.id}")).set_value("label").run()
    assert said(page, "Every label in 'label' is 'x'") and not said(page, "Read 'kind'")
    press(page, "by_hand")
    assert page.session_state["data_view"] == "Rows" and said(page, "Every label") is True


def test_the_page_adds_a_column_and_opens_its_rows(page: Any) -> None:
    from fgdesign.ui import state

    first = opened(page, lines(TEXTS, [""] * 30, "text").replace(",", ""), "only.csv")
    press(page, "repair_no_label_column")
    press(page, "by_hand_no_labels")
    while any(not job.over for job in background.jobs(page.session_state["desk"])):
        time.sleep(0.05)
    page.run()
    project = page.session_state[state.PROJECT]
    assert project.data != first.id and project.label == "label" and page.session_state["data_view"] == "Rows"


def test_the_page_mends_the_test_table(page: Any) -> None:
    from fgdesign.ui import library, state

    exam = library.store(io.BytesIO(lines(["new", "newer", "newest"], ["yes", "no", "maybe"]).encode()), "exam.csv")
    library.keep(exam)
    file = opened(page, lines(TEXTS, LABELS), "lessons.csv")
    page.selectbox(f"test_of_{file.id}").set_value(exam.id).run()
    press(page, "of_test_test_labels")
    assert page.session_state[state.PROJECT].data == exam.id and said(page, "Drop the rows of 'maybe': 1 row dropped.")
    press(page, "save_repaired")
    while any(not job.over for job in background.jobs(page.session_state["desk"])):
        time.sleep(0.05)
    page.run()
    assert page.session_state[state.TESTS] == {file.id: page.session_state[state.PROJECT].data}
    assert json.dumps(page.session_state[state.PROJECT].data) != json.dumps(exam.id)


def test_a_column_that_is_gone_is_found_anew(page: Any) -> None:
    from fgdesign.ui import state

    opened(page, lines(TEXTS, LABELS), "gone.csv")
    page.session_state[state.PROJECT] = state.replace(page.session_state[state.PROJECT], text="column_1 (found)")
    page.run()
    assert said(page, "There is no column 'column_1 (found)'")
    press(page, "guess_columns")
    assert said(page, "Text: text · label: label.")


def test_what_another_guess_calls_its_columns_is_no_choice(page: Any) -> None:
    from fgdesign.ui import state

    file = opened(page, HEADLESS, "headless.csv")
    before = {str(box.key) for box in page.selectbox if str(box.key).startswith(f"column_text_{file.id}")}
    press(page, "repair_no_header")
    after = {str(box.key) for box in page.selectbox if str(box.key).startswith(f"column_text_{file.id}")}
    assert before and after and before.isdisjoint(after) and page.session_state[state.PROJECT].text == ""
