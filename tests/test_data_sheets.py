"""A workbook's other sheets are read or joined by a click; rows of a script are kept or set apart."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from test_data_doctor import find, table
from test_data_hostile import LABELS, PAIRS, book, with_rows

from fgdesign.cli import main
from fgdesign.data import read_table
from fgdesign.data.doctor import examine
from fgdesign.data.kept import forget_kept, keep, load_kept
from fgdesign.data.mend import apply
from fgdesign.data.recipe import Recipe, recipe_from, recipe_json
from fgdesign.data.repair import Repair
from fgdesign.data.table import Table
from fgdesign.errors import DataError

READ, JOIN = Repair("read_sheet", sheets=("March",)), Repair("join_sheets", sheets=("February",))


def months(workbook_: Any) -> None:
    """January and February of the same columns in another order and spelling, March of others, and an empty one."""
    workbook_.active.title = "January"
    with_rows(workbook_.active)
    second = workbook_.create_sheet("February")
    second.append(("Label", "Text"))
    for text, label in PAIRS[:5]:
        second.append((label, f"{text} again"))
    third = workbook_.create_sheet("March")
    for row in (("message", "topic", "day"), ("a parcel is late", "late", 3), ("one is lost", "lost", 4)):
        third.append(row)
    workbook_.create_sheet("Empty")


def workbook() -> Table:
    return read_table(io.BytesIO(book(months)()), name="months.xlsx")


def test_each_sheet_is_offered_the_like_ones_joined_first() -> None:
    found = find(examine(workbook()), "sheets")
    assert found is not None and found.repair == JOIN and found.repair.of_choice
    assert found.others == (Repair("read_sheet", sheets=("February",)), READ)
    assert (found.repair.title, READ.title) == ("Join 2 sheets of the same columns", "Read 'March'")


def test_another_sheet_is_read_in_place_of_the_first() -> None:
    read = workbook()
    mended, said = apply(Recipe((READ,)), read)
    assert said == ("Read the sheet 'March': 2 rows read.",)
    assert mended.frame.to_dict("list") == {
        "message": ["a parcel is late", "one is lost"], "topic": ["late", "lost"], "day": ["3", "4"]
    }  # fmt: skip
    assert find(examine(mended), "sheets") is None
    assert apply(Recipe((READ,)), mended)[1] == ("Read the sheet 'March': 0 rows read.",)


def test_like_sheets_are_joined_with_the_name_of_each_rows_sheet() -> None:
    read = workbook()
    mended, said = apply(Recipe((JOIN,)), read)
    assert said == ("Add the rows of 'February': 5 rows added.",)
    assert list(mended.frame.columns) == ["text", "label", "sheet"]
    assert mended.frame["sheet"].tolist() == ["January"] * 24 + ["February"] * 5
    assert mended.frame["label"].tolist() == LABELS + LABELS[:5]
    assert len(set(mended.row_numbers.tolist())) == 29 and find(examine(mended), "sheets") is None
    assert apply(Recipe((JOIN,)), mended)[1] == ("Add the rows of 'February': 0 rows added.",)
    assert len(read) == 24 and find(examine(read), "sheets") is not None  # taken back, all is as it was


def test_one_way_takes_the_place_of_the_other_and_goes_to_json_and_back() -> None:
    recipe = Recipe((JOIN,)).with_repairs([READ])
    assert recipe.repairs == (READ,) and recipe_from(recipe_json(recipe)) == recipe
    with pytest.raises(DataError, match=r"names 2 sheets; it needs exactly 1"):
        Repair("read_sheet", sheets=("a", "b"))


def test_a_sheet_that_is_not_there_is_told() -> None:
    with pytest.raises(DataError, match=r"needs the sheet 'June', which.*February, January, March"):
        apply(Recipe((Repair("read_sheet", sheets=("June",)),)), workbook())
    with pytest.raises(DataError, match="needs the sheet 'March' with the same columns"):
        apply(Recipe((Repair("join_sheets", sheets=("March",)),)), workbook())


def test_sheets_are_kept_beside_the_file(tmp_path: Path) -> None:
    read = workbook()
    path = tmp_path / f"{read.sha256[:16]}.xlsx"
    keep(read, path)
    kept = load_kept(path)
    assert kept is not None and (kept.sheet, list(kept.sheets)) == ("January", ["February", "March"])
    assert apply(Recipe((READ,)), kept)[0].frame.equals(apply(Recipe((READ,)), read)[0].frame)
    forget_kept(path)
    assert not list(tmp_path.iterdir())


def test_the_command_reads_a_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "months.xlsx", tmp_path / "out.csv"
    source.write_bytes(book(months)())
    main(["doctor", str(source)])
    assert "Read the sheet 'March' (--accept sheets=March)" in capsys.readouterr().out
    main(["doctor", str(source), "--accept", "sheets=March", "--out", str(target)])
    assert read_table(target).frame["topic"].tolist() == ["late", "lost"]
    main(["doctor", str(source), "--accept", "sheets", "--out", str(target), "--json"])
    assert len(read_table(target)) == 29
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["recipe"]["repairs"] == [JOIN.to_dict()]


MIXED = table({
    "text": [*(f"the parcel {row} is late" for row in range(12)), "очень хорошая книга", "книга не пришла",
             "很好的书", "12"],
    "label": ["a", "b"] * 8,
})  # fmt: skip


def test_rows_of_a_script_are_set_apart() -> None:
    found = find(examine(MIXED), "script_mix")
    assert found is not None and found.repair == Repair("drop_rows", ("text",), "other_script")
    apart = found.others[0]
    assert apart == Repair("keep_script", ("text",), "cyrillic") and apart.of_choice
    assert apart.title == "Keep only rows in Cyrillic script"
    mended, said = apply(Recipe((apart,)), MIXED)
    assert mended.row_numbers.tolist() == [14, 15] and said == (f"{apart}: 14 rows dropped.",)
    assert apply(Recipe((apart,)), mended)[1] == (f"{apart}: 0 rows dropped.",)
    assert Recipe((found.repair,)).with_repairs([apart]).repairs == (apart,)
    assert Recipe((apart,)).with_repairs([found.repair]).repairs == (found.repair,)


def test_the_few_rows_of_another_script_are_dropped() -> None:
    texts = [*(f"очень хорошая книга {row}" for row in range(399)), "a good book"]
    mixed = table({"text": texts, "label": ["a", "b"] * 200})
    found = find(examine(mixed), "script")
    assert found is not None and found.message.endswith("or drop the few rows of others.")
    assert found.repair == Repair("drop_rows", ("text",), "other_script")
    assert len(apply(Recipe((found.repair,)), mixed)[0]) == 399
