"""The doctor: planted defects are found, repairs make them go away, recipes fit again, nothing changes silently."""

import io
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from numpy.typing import NDArray
from streamlit.testing.v1 import AppTest

from fgdesign.cli import main
from fgdesign.data import Table, background, read_table
from fgdesign.data.alike import digest
from fgdesign.data.doctor import examine, full_recipe
from fgdesign.data.findings import MOST_ROWS, Finding
from fgdesign.data.lengths import TokenCounter
from fgdesign.data.mend import apply
from fgdesign.data.recipe import FORMAT, Recipe, load_recipe, recipe_from, recipe_json, save_recipe
from fgdesign.data.repair import HUGE, KINDS, Repair
from fgdesign.data.write import write_cells, write_table
from fgdesign.errors import DataError, FgdesignError

ROOT = Path(__file__).parents[1]
NASTY = ROOT.parent / "shared" / "data" / "nasty_csv"
NASTY_FILES = sorted(path for path in NASTY.rglob("*") if path.is_file())
HOUSES = ["red", "blue", "green", "small", "old", "new", "tall", "wide", "quiet", "loud"]


def good(rows: int = 30) -> dict[str, list[str]]:
    """Columns without a defect: different texts, two labels in turn."""
    texts = [f"the {HOUSES[row % 10]} house number {chr(97 + row // 10)}" for row in range(rows)]
    return {"text": texts, "label": ["yes" if row % 3 else "no" for row in range(rows)]}


def table(columns: dict[str, list[str]], notes: tuple[str, ...] = ()) -> Table:
    frame = pd.DataFrame(columns, dtype="str")
    return Table(frame, np.arange(len(frame)) + 2, "utf-8", ",", notes, "")


def planted(column: str, cells: dict[int, str]) -> Table:
    """A good table with some cells of one column replaced; a new column is empty elsewhere."""
    columns = good()
    columns.setdefault(column, [""] * 30)
    for row, cell in cells.items():
        columns[column][row] = cell
    return table(columns)


def beside(**columns: list[str]) -> Table:
    return table(good() | columns)


def find(found: tuple[Finding, ...], code: str) -> Finding | None:
    return next((finding for finding in found if finding.code == code), None)


LABELS = good()["label"]
TEXTS = good()["text"]
PLANTED: list[tuple[str, Table, str, tuple[int, ...], bool]] = [  # code, table, severity, rows, has a repair
    ("empty_texts", planted("text", {3: "", 5: " \u200b "}), "warning", (5, 7), True),
    ("missing_labels", planted("label", {0: "", 4: "NA"}), "warning", (2, 6), True),
    ("label_variants", planted("label", {1: "YES", 2: "Yes"}), "warning", (3, 4), True),
    ("label_lists", table({"text": TEXTS, "label": ["['x', 'y']", '["y", "z"]', "['x' 'z']"] * 10}), "warning",
     tuple(range(2, 32)), True),
    ("label_lists", table({"text": TEXTS, "label": ["x, y", "y, z, x", "x, z", "z, y", "x", "y", "z", "z, y, x", "y, x",
                                                    "y, z"] * 3}),
     "note", tuple(row for row in range(2, 32) if (row - 2) % 10 not in (4, 5, 6)), True),
    ("label_spaces", planted("label", {6: "no "}), "warning", (8,), True),
    ("small_classes", planted("label", {0: "rare"}), "warning", (2,), True),
    ("small_classes", planted("label", {0: "a", 1: "b", 2: "c"}), "warning", (2, 3, 4), True),
    ("duplicates", planted("text", {4: TEXTS[1].upper()}), "warning", (6,), True),
    ("conflicts", planted("text", {3: TEXTS[1]}), "warning", (3, 5), True),
    ("near_duplicates", planted("text", {4: f"{TEXTS[1]}!"}), "note", (6,), True),
    ("huge_cells", planted("text", {7: "x" * (HUGE + 1)}), "warning", (9,), True),
    ("long_texts", planted("text", {7: "word " * 400}), "note", (9,), True),
    ("lost_letters", planted("text", {7: "le caf\ufffd du coin"}), "warning", (9,), True),
    ("script_mix", planted("text", {7: "Очень хорошая книга"}), "note", (9,), True),
    ("script", table({"text": [f"Очень хорошая книга {x}" for x in HOUSES], "label": LABELS[:10]}), "note", (), False),
    ("double_encoding", planted("text", {3: "le cafÃ© Ã\xa0 5 â‚¬"}), "warning", (5,), True),
    ("language_mix", table({"text": [f"the {x} house is not for us" for x in HOUSES] * 2
                                    + [f"das Haus ist {x} und nicht für uns" for x in HOUSES],
                            "label": LABELS}), "note", tuple(range(22, 32)), True),
    ("label_variants", planted("label", {1: "yes\u200b", 2: "\u2060yes"}), "warning", (3, 4), True),
    ("label_spaces", planted("label", {6: "no\u00a0"}), "warning", (8,), True),
    ("empty_columns", beside(more=[""] * 30), "warning", (), True),
    ("constant_columns", beside(more=["x"] * 30), "note", (), True),
    ("duplicate_columns", beside(more=TEXTS), "warning", (), True),
    ("duplicate_columns", beside(more=LABELS), "warning", (), True),
    ("telling_columns", beside(more=["1" if cell == "yes" else "0" for cell in LABELS]), "warning", (), True),
    ("telling_columns", beside(id=[f"{cell}-{row}" for row, cell in enumerate(LABELS)]), "warning", (), True),
    ("label_in_text", table({"text": [f"{a}: {b}" for a, b in zip(LABELS, TEXTS, strict=True)], "label": LABELS}),
     "warning", tuple(range(2, 32)), True),
    ("single_class", table({"text": TEXTS, "label": ["yes"] * 30}), "error", (), False),
    ("no_labels", table({"text": TEXTS, "label": [""] * 30}), "error", tuple(range(2, 32)), False),
    ("no_label_column", table({"text": TEXTS}), "error", (), True),
    ("no_texts", table({"text": [""] * 30, "label": LABELS}), "error", tuple(range(2, 32)), False),
    ("all_classes_small", table({"text": TEXTS[:4], "label": ["a", "b", "a", "b"]}), "warning", (), False),
    ("imbalance", table({"text": [f"text {row}" for row in range(99)], "label": ["a"] * 4 + ["b"] * 95}), "warning",
     (2, 3, 4, 5), True),
    ("different_numbers", table({"text": ["same", *TEXTS[1:29], "same"],
                                 "label": [f"{row}.5" for row in range(30)]}), "note", (2, 31), True),
    ("amounts", table({"text": TEXTS, "label": [f"{row},5 %" for row in range(30)]}), "warning", tuple(range(2, 32)),
     True),
    ("markup", planted("text", {7: "a <b>bold</b> word<br/>and &amp;lt; 3"}), "note", (9,), True),
    ("hidden_signs", planted("text", {7: "a par\u00adcel"}), "note", (9,), True),
    ("flag_columns", table({"text": TEXTS, "rude": list("01") * 15, "false": list("011") * 10}), "warning", (), True),
    ("not_learnable", table({"text": TEXTS, "label": [f"l{row}" for row in range(30)]}), "error", (), False),
]  # fmt: skip


@pytest.mark.parametrize(("code", "bad", "severity", "rows", "repairs"), PLANTED)
def test_a_planted_defect_is_found_and_its_repair_ends_it(
    code: str, bad: Table, severity: str, rows: tuple[int, ...], repairs: bool
) -> None:
    roles: dict[str, Any] = {"text": "text", "label": "label" if "label" in bad.frame else None}
    finding = find(examine(bad, **roles), code)
    assert finding is not None
    assert (finding.severity, finding.rows, finding.count) == (severity, rows, len(rows))
    assert "{" not in finding.message and finding.message.endswith(".")
    assert (finding.repair is not None) == repairs
    if finding.repair is not None:
        before = bad.frame.copy()
        mended, said = apply(Recipe((finding.repair,)), bad)
        assert find(examine(mended, **roles), code) is None
        assert len(said) == 1 and str(finding.repair) in said[0]
        pd.testing.assert_frame_equal(bad.frame, before)


def test_a_good_table_has_notes_only() -> None:
    assert {finding.code for finding in examine(table(good()))} == {"task", "columns"}
    assert full_recipe(table(good()), Recipe()) == Recipe()


def test_what_the_reader_did_is_found() -> None:
    read = read_table(io.BytesIO(b"text,label\na b,x\nc d\ne\0 f,y\ng h,x\ni j\n"), name="a.csv")
    found = examine(read)
    lacking, zero = find(found, "short_rows"), find(found, "zero_bytes")
    assert lacking is not None and (lacking.severity, lacking.rows, lacking.count) == ("warning", (3, 6), 2)
    assert zero is not None and (zero.severity, zero.rows, zero.count) == ("warning", (4,), 1)


class SixLong(TokenCounter):
    """Says that the first six texts have 33 tokens."""

    def against(self, texts: Sequence[str], limit: int) -> NDArray[np.int64]:
        return np.where(np.arange(len(texts)) < 6, 33, 5)


def test_lengths_of_a_tokeniser_are_taken_before_words() -> None:
    found = find(examine(table(good()), counter=SixLong(None), limit=32), "long_texts")
    assert found is not None and found.count == 6
    assert "6 rows (20.0%) have texts of more than 32 tokens" in found.message


def test_texts_in_both_tables_and_labels_in_one_are_found() -> None:
    test = table({"text": [TEXTS[4].upper(), "something else"], "label": ["yes", "maybe"]})
    found = examine(table(good()), test=test)
    leaks, labels = find(found, "leaks"), find(found, "test_labels")
    assert leaks is not None and leaks.rows == (6,) and "50.0% of its texts" in leaks.message
    assert labels is not None and "'maybe'; 1 of its rows" in labels.message
    assert leaks.repair is not None
    once, said = apply(Recipe((leaks.repair,)), table(good()))
    assert find(examine(once, test=test), "leaks") is None and len(once) == 29 and "1 row dropped" in said[0]
    kept = recipe_from(recipe_json(Recipe((leaks.repair,))))
    assert apply(kept, test)[0].frame["text"].tolist() == ["something else"]
    assert find(examine(test, test=test), "leaks").repair is None  # type: ignore[union-attr]
    assert leaks.repair in full_recipe(table(good()), Recipe(), test=test).repairs
    absent = find(examine(table(good()), test=table({"body": ["a"]})), "test_columns")
    assert absent is not None and absent.severity == "error"


def test_rows_are_listed_up_to_a_thousand() -> None:
    columns = {"text": ["same text"] * 3000 + ["other", "third"], "label": ["a"] * 3000 + ["b", "b"]}
    found = find(examine(table(columns)), "duplicates")
    assert found is not None and len(found.rows) == MOST_ROWS and found.count == 2999


def test_a_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(DataError, match=r"There is no column 'lable'\. Did you mean label"):
        examine(table(good()), label="lable")


@pytest.mark.parametrize("path", sorted((ROOT / "sample_data").glob("*.csv")), ids=lambda path: path.stem)
def test_samples_have_no_errors(path: Path) -> None:
    assert [finding for finding in examine(read_table(path)) if finding.severity != "note"] == []


@pytest.mark.skipif(not NASTY_FILES, reason="the files are not here")
@pytest.mark.parametrize("path", NASTY_FILES, ids=lambda path: path.name)
def test_every_nasty_file_is_examined_and_repaired_twice_alike(path: Path) -> None:
    try:
        read = read_table(path)
    except FgdesignError as error:
        assert str(error)
        return
    recipe = full_recipe(read, Recipe())
    once, _ = apply(recipe, read)
    twice, said = apply(recipe, once)
    pd.testing.assert_frame_equal(once.frame, twice.frame)
    assert all(": 0 " in sentence or "nothing to do" in sentence for sentence in said)
    json.dumps([finding.to_dict() for finding in examine(once)])


MIXED = table({
    "text": ["a one", "A  one", "b two", "b two", "", "c three", "d four", "e five", "f six!", "f six"],
    "label": ["x", "x", "x", "y", "x", "", "X ", "x|y", "y", "y"],
    "junk": [""] * 10,
    "kept": list("abcdefghij"),
})  # fmt: skip
APPLIED: list[tuple[Repair, list[str], str]] = [  # repair, labels that are left, sentence
    (Repair("mend_encoding", ("text",)), MIXED.frame["label"].tolist(), "0 cells changed"),
    (Repair("strip_labels", ("label",)), ["x", "x", "x", "y", "x", "", "X", "x|y", "y", "y"], "1 row changed"),
    (Repair("merge_labels", ("label",), names=(("x", "z"),)), ["z", "z", "z", "y", "z", "", "X ", "z|y", "y", "y"],
     "5 rows changed"),
    (Repair("drop_classes", ("label",), labels=("x",)), ["y", "", "X ", "y", "y", "y"], "5 rows dropped or changed"),
    (Repair("drop_rows", ("text",), "empty_text"), ["x", "x", "x", "y", "", "X ", "x|y", "y", "y"], "1 row dropped"),
    (Repair("drop_rows", ("label",), "no_label"), ["x", "x", "x", "y", "x", "X ", "x|y", "y", "y"], "1 row dropped"),
    (Repair("drop_texts", ("text",), keys=(digest("b two"), digest("nowhere"))),
     ["x", "x", "x", "", "X ", "x|y", "y", "y"], "2 rows dropped"),
    (Repair("drop_conflicts", ("text", "label")), ["x", "x", "x", "", "X ", "x|y", "y", "y"], "2 rows dropped"),
    (Repair("drop_duplicates", ("text", "label"), "same"), ["x", "x", "y", "x", "", "X ", "x|y", "y", "y"],
     "1 row dropped"),
    (Repair("drop_duplicates", ("text", "label"), "near"), ["x", "x", "y", "x", "", "X ", "x|y", "y"],
     "2 rows dropped"),
    (Repair("drop_columns", ("junk", "absent")), MIXED.frame["label"].tolist(), "1 column dropped"),
    (Repair("choose_columns", ("text", "label")), MIXED.frame["label"].tolist(), "2 columns dropped"),
    (Repair("rename", names=(("kept", "key"),)), MIXED.frame["label"].tolist(), "1 column renamed"),
    (Repair("reread", names=(("cp1252", "cp1251"),)), MIXED.frame["label"].tolist(), "0 cells changed"),
    (Repair("header", names=(("kept", "key"),)), MIXED.frame["label"].tolist(), "0 columns named"),
    (Repair("read_as", ("kept",), "label"), MIXED.frame["label"].tolist(), "0 cells changed"),
    (Repair("clean_texts", ("text",), "markup"), MIXED.frame["label"].tolist(), "0 cells changed"),
    (Repair("join_columns", ("junk", "kept")), MIXED.frame["label"].tolist(), "2 columns joined"),
    (Repair("add_column", ("topic",)), MIXED.frame["label"].tolist(), "1 column added"),
    (Repair("plain_numbers", ("label",)), MIXED.frame["label"].tolist(), "0 rows changed"),
    (Repair("shorten_labels", ("label",), "slash"), MIXED.frame["label"].tolist(), "0 rows changed"),
    (Repair("split_labels", ("label",), "comma"), MIXED.frame["label"].tolist(), "0 rows changed"),
    (Repair("drop_misread", rule="short_row"), MIXED.frame["label"].tolist(), "0 rows dropped"),
    (Repair("take_out", ("text",), labels=("two", "Six")), MIXED.frame["label"].tolist(), "4 cells changed"),
    (Repair("drop_long", ("text",), most=3, by="words"), ["x", "x", "y", "x", "", "X ", "x|y", "y", "y"],
     "1 row dropped"),
    (Repair("mean_labels", ("text", "label")), MIXED.frame["label"].tolist(), "0 rows changed"),
    (Repair("cap_classes", ("text", "label"), most=1), ["x", "x", "x", "y", "", "X ", "x|y", "y", "y"],
     "1 row dropped"),
    (Repair("keep_script", ("text",), "latin"), ["x", "x", "x", "y", "", "X ", "x|y", "y", "y"], "1 row dropped"),
    (Repair("read_sheet", sheets=("May",)), MIXED.frame["label"].tolist(), "0 rows read"),
    (Repair("join_sheets", sheets=("May", "June")), MIXED.frame["label"].tolist(), "0 rows added"),
]  # fmt: skip


@pytest.mark.parametrize(("repair", "labels", "sentence"), APPLIED)
def test_what_a_repair_does(repair: Repair, labels: list[str], sentence: str) -> None:
    mended, said = apply(Recipe((repair,)), MIXED)
    assert mended.frame["label"].tolist() == labels
    assert said == (f"{repair}: {sentence}.",)
    assert len(mended.row_numbers) == len(labels) and mended.frame.index.tolist() == list(range(len(labels)))


def test_every_kind_of_repair_is_tried() -> None:
    assert {repair.kind for repair, *_ in APPLIED} == set(KINDS)


def test_a_whole_recipe_goes_to_a_file_and_back_and_fits_twice(tmp_path: Path) -> None:
    recipe = Recipe((
        *(repair for repair, *_ in APPLIED[:10]),
        Repair("rename", names=(("label", "topic"),)),
        Repair("drop_columns", ("junk",)),
    ))  # fmt: skip
    save_recipe(recipe, tmp_path / "r.json")
    assert load_recipe(tmp_path / "r.json").steps == recipe.steps
    once, said = apply(recipe, MIXED)
    twice, again = apply(load_recipe(tmp_path / "r.json"), once)
    pd.testing.assert_frame_equal(once.frame, twice.frame)
    assert len(said) == len(again) == len(recipe.steps)
    assert list(once.frame.columns) == ["text", "topic", "kept"]
    next_month = table({"text": ["new", "", "old"], "label": ["X ", "y", "y"], "junk": [""] * 3, "kept": ["", "", ""]})
    assert apply(recipe, next_month)[0].frame["topic"].tolist() == ["X", "y"]


def test_the_order_of_acceptance_does_not_matter() -> None:
    forward = Recipe(tuple(repair for repair, *_ in APPLIED[:10]))
    back = Recipe(forward.repairs[::-1])
    pd.testing.assert_frame_equal(apply(forward, MIXED)[0].frame, apply(back, MIXED)[0].frame)


def test_an_accepted_repair_is_taken_back() -> None:
    repair = APPLIED[1][0]
    assert Recipe().with_repairs([repair, repair]) == Recipe((repair,))
    assert Recipe((repair,)).without(repair) == Recipe()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "The recipe is no JSON"),
        ("[]", "has the format 'None'; a recipe has"),
        ('{"format": "fgdesign.recipe/2", "repairs": []}', "has the format 'fgdesign.recipe/2'"),
        ([3], 'repair 1: it is no object with a "repair"'),
        ([{"repair": "drop_row"}], "no repair 'drop_row'. Did you mean drop_rows"),
        ([{"repair": "drop_rows", "columns": ["a"], "rule": "row 7"}], "no rule 'row 7'. Choices: empty_text"),
        ([{"repair": "drop_columns"}], "'drop_columns' needs 'columns'"),
        ([{"repair": "drop_columns", "columns": ["a"], "rule": "same"}], "'drop_columns' has no 'rule'"),
        ([{"repair": "drop_columns", "columns": "a"}], "'columns' is of another kind"),
        ([{"repair": "drop_columns", "columns": ["a"], "rows": [1]}], "there is no field 'rows'"),
        ([{"repair": "drop_long", "columns": ["a"], "most": True, "by": "words"}], "'most' is of another kind"),
        ([{"repair": "drop_long", "columns": ["a"], "most": -1, "by": "words"}], "needs a number from 1 on"),
        ([{"repair": "drop_long", "columns": ["a"], "by": "words"}], "'drop_long' needs 'most'"),
        ([{"repair": "reread", "names": {"cp1252": "cp9999"}}], "no encoding 'cp9999'. Choose one such as cp1252"),
        ([{"repair": "strip_labels", "columns": ["a", "b"]}], "2 columns; it needs exactly 1 column"),
        ([{"repair": "drop_conflicts", "columns": ["a"]}], "it needs a text column and the label column"),
        ([{"repair": "merge_labels", "columns": ["a"], "names": {"x": "y", "y": "z"}}], "gives 'y' a new name"),
        ([{"repair": "merge_labels", "columns": ["a"], "names": {"x": " "}}], "Give a plain name"),
        ([{"repair": "rename", "names": {"a": "c", "b": "c"}}], "two columns the same name"),
        ([{"repair": "rename", "names": {"a": "b"}}, {"repair": "drop_columns", "columns": ["b"]}], "renames a column"),
        ([{"repair": "merge_labels", "columns": ["a"], "names": {"x": "y"}},
          {"repair": "merge_labels", "columns": ["a"], "names": {"z": "x"}}], "renames a label to 'x'"),
    ],
)  # fmt: skip
def test_a_broken_recipe_is_refused_in_words(text: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        recipe_from(text if isinstance(text, str) else json.dumps({"format": FORMAT, "repairs": text}))


@pytest.mark.parametrize(
    ("repair", "message"),
    [
        (Repair("strip_labels", ("lable",)), "needs the column 'lable', which is not there. Did you mean label"),
        (Repair("rename", names=(("txt", "body"),)), "needs the column 'txt'"),
        (Repair("rename", names=(("junk", "text"),)), "there is a column 'text' already"),
        (Repair("drop_columns", ("text", "label", "junk", "kept")), "leaves no column"),
        (Repair("drop_classes", ("label",), labels=("x", "y", "", "X")), "leaves no rows"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused(repair: Repair, message: str) -> None:
    with pytest.raises(DataError, match=message):
        apply(Recipe((repair,)), MIXED)


def test_a_recipe_that_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json cannot be read: No such file"):
        load_recipe(tmp_path / "none.json")


def test_a_written_table_is_safe_in_a_spreadsheet() -> None:
    cells = ["=1+1", "+a", "-2.5", "@user hi", "\tx", "plain", "'=1"]
    bad, target = table({"=text": cells, "label": list("abcabca")}), io.BytesIO()
    said = write_table(bad, target)
    assert said == ("5 cells begin like a formula; written with a leading apostrophe.",)
    again = read_table(io.BytesIO(target.getvalue()), name="a.csv")
    assert again.frame["'=text"].tolist() == ["'=1+1", "'+a", "-2.5", "'@user hi", "'\tx", "plain", "'=1"]
    assert write_table(again, io.BytesIO()) == ()
    plain = io.BytesIO()
    write_cells(bad, plain)
    assert read_table(plain, name="a.csv").frame["=text"].tolist() == cells


BAD = "text,label\n" + "".join(f"{a},{b}\n" for a, b in zip(TEXTS, LABELS, strict=True)) + "one more,YES\nno label,\n"


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    try:
        code = main([str(word) for word in words])
    except SystemExit as stop:
        code = int(str(stop.code))
    return code, *capsys.readouterr()


def test_the_command_finds_repairs_and_repeats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out, recipe = tmp_path / "bad.csv", tmp_path / "fixed.csv", tmp_path / "r.json"
    data.write_text(BAD, "utf-8")
    code, printed, _ = call(capsys, "doctor", data, "--json")
    told = json.loads(printed)
    assert code == 0 and told["applied"] == [] and {"missing_labels", "label_variants"} <= {
        finding["code"] for finding in told["findings"]
    }
    code, printed, _ = call(capsys, "doctor", data, "--fix", "--out", out, "--save-recipe", recipe)
    assert code == 0 and "repaired: Rename labels: 'YES' to 'yes': 1 row changed." in printed and "still" not in printed
    assert data.read_text("utf-8") == BAD
    assert read_table(out).frame["label"].value_counts().to_dict() == {"yes": 21, "no": 10}
    code, printed, _ = call(capsys, "doctor", out, "--recipe", recipe, "--out", tmp_path / "again.csv", "--json")
    assert code == 0 and (tmp_path / "again.csv").read_bytes() == out.read_bytes()
    assert recipe_json(recipe_from(json.dumps(json.loads(printed)["recipe"]))) == recipe.read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--fix",), 2, "written with --out"),
        (("--out", "x.csv"), 2, "written with --out"),
        (("--fix", "--out", "bad.csv"), 2, "names the table itself"),
        (("--label", "lable"), 1, "There is no column 'lable'"),
        (("--recipe", "none.json", "--out", "x.csv"), 1, "cannot be read"),
    ],
)
def test_the_command_refuses_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...],
    code: int, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("bad.csv").write_text(BAD, "utf-8")
    found, _, said = call(capsys, "doctor", "bad.csv", *words)
    assert found == code and message in said


def test_an_error_among_the_findings_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one.csv").write_text("text,label\na b,x\nc d,x\ne f,x\n", "utf-8")
    code, printed, _ = call(capsys, "doctor", tmp_path / "one.csv")
    assert code == 1 and "error [single_class]: Every label in 'label' is 'x'" in printed


def test_the_page_finds_texts_of_a_test_file_and_drops_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fgdesign.ui import library, state

    monkeypatch.setenv("FGDESIGN_WORKSPACE", str(tmp_path))
    st.cache_resource.clear()
    exam = library.store(io.BytesIO(f"text,label\n{TEXTS[4].upper()},yes\nsomething else,no\n".encode()), "exam.csv")
    lessons = library.store(io.BytesIO(BAD.encode()), "lessons.csv")
    for file in (exam, lessons):
        library.keep(file)
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).switch_page("pages/data.py")
    page.session_state[state.PROJECT] = state.Project(state.load_graph(state.FIRST_GRAPH), data=lessons.id)
    page.run()
    page.selectbox(f"test_of_{lessons.id}").set_value(exam.id).run()
    assert any("1 row has a text of the test table too (first: row 6), 50.0%" in item.value for item in page.text)
    next(button for button in page.button if str(button.key).startswith("repair_leaks")).click().run()
    assert not page.exception
    assert any("Drop 1 text that the test table has too: 1 row dropped." in item.value for item in page.text)
    assert not any("of the test table too" in item.value for item in page.text)
    st.cache_resource.clear()


def test_the_page_repairs_undoes_and_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fgdesign.ui import library, state

    monkeypatch.setenv("FGDESIGN_WORKSPACE", str(tmp_path))
    st.cache_resource.clear()
    bad = library.store(io.BytesIO(BAD.encode()), "bad.csv")
    library.keep(bad)
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).switch_page("pages/data.py")
    page.session_state[state.PROJECT] = state.Project(state.load_graph(state.FIRST_GRAPH), data=bad.id)
    page.run()
    assert any("1 row has no label" in item.value for item in page.text)

    def press(start: str) -> None:
        next(button for button in page.button if str(button.key).startswith(start)).click().run()
        assert not page.exception

    press("rows_missing_labels")
    assert page.dataframe[0].value["row"].tolist() == [33]
    press("repair_missing_labels")
    assert any("Drop rows without a label in 'label': 1 row dropped." in item.value for item in page.text)
    press("undo_0")
    assert not any("1 row dropped" in item.value for item in page.text)
    press("repair_all")
    press("save_repaired")
    while any(not job.over for job in background.jobs(page.session_state["desk"])):
        time.sleep(0.05)
    page.run()
    project = page.session_state[state.PROJECT]
    new = library.find(project.data)
    assert new is not None and (new.name, new.parent) == ("bad.csv", bad.id)
    assert "1 row changed." in new.change["said"][0] and recipe_from(json.dumps(new.change["recipe"])).repairs
    assert read_table(new.path).frame["label"].value_counts().to_dict() == {"yes": 21, "no": 10}
    assert bad.path.read_text("utf-8") == BAD
    assert load_recipe(tmp_path / "recipes" / "bad.json").repairs
    st.cache_resource.clear()
