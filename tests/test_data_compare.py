"""What two versions differ in: planted changes come out as they were made, whichever side is asked for."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from fgdesign.data import Table, store
from fgdesign.data.compare import SAMPLES, difference
from fgdesign.data.jobs import compare_files
from fgdesign.ui import library, state

ROOT = Path(__file__).parents[1]
Rows = list[list[str]]
FIRST: Rows = [["a one", "x"], ["b two", "y"], ["b two", "y"], ["c three", "x"], ["d four", "y"], ["", "x"]]


def table(rows: Rows, columns: tuple[str, ...] = ("text", "label")) -> Table:
    frame = pd.DataFrame(rows, columns=list(columns), dtype="str")
    return Table(frame, np.arange(len(rows)) + 2, "utf-8", ",", (), "")


def changed(change: Callable[[Rows], object]) -> Rows:
    rows = [list(row) for row in FIRST]
    change(rows)
    return rows


CASES: list[tuple[str, Rows, tuple[int, int, int, int], dict[str, Any]]] = [  # same, changed, removed, added
    ("nothing", FIRST, (6, 0, 0, 0), {"labels": []}),
    ("a label", changed(lambda rows: rows[3].__setitem__(1, "y")), (5, 1, 0, 0),
     {"labels": [["x", "y", 1]], "changed": [[5, 5, "label", "x", "y"]]}),
    ("a text", changed(lambda rows: rows[4].__setitem__(0, "d five")), (5, 1, 0, 0),
     {"labels": [], "changed": [[6, 6, "text", "d four", "d five"]]}),
    ("a copy dropped", changed(lambda rows: rows.pop(2)), (5, 0, 1, 0),
     {"removed": [[4, {"text": "b two", "label": "y"}]]}),
    ("rows around dropped", changed(lambda rows: (rows.pop(5), rows.pop(0))), (4, 0, 2, 0), {}),
    ("a row dropped and the next edited", changed(lambda rows: (rows.pop(3), rows[3].__setitem__(0, "d five"))),
     (4, 1, 1, 0), {"changed": [[6, 5, "text", "d four", "d five"]],
                    "removed": [[5, {"text": "c three", "label": "x"}]]}),
    ("rows added", changed(lambda rows: (rows.append(["new", "x"]), rows.insert(0, ["newer", "y"]))), (6, 0, 0, 2),
     {"added": [[2, {"text": "newer", "label": "y"}], [9, {"text": "new", "label": "x"}]]}),
    ("a label and a text of one row", changed(lambda rows: rows.__setitem__(4, ["quite new", "x"])), (5, 0, 1, 1), {}),
    ("all dropped", [["z", "z"]], (0, 0, 6, 1), {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "after", "counts", "told"), CASES, ids=[name for name, *_ in CASES])
def test_a_planted_change_comes_out(
    name: str, after: Rows, counts: tuple[int, int, int, int], told: dict[str, Any]
) -> None:
    found = difference(table(FIRST), table(after), ("text",), "label")
    assert (found["same"], found["changed"], found["removed"], found["added"]) == counts
    assert found["columns"] == {"removed": [], "added": []}
    for key, value in told.items():
        assert (found["labels"] if key == "labels" else found["samples"][key]) == value
    back = difference(table(after), table(FIRST), ("text",), "label")
    assert (back["same"], back["changed"], back["added"], back["removed"]) == counts


def test_columns_that_come_and_go_are_named_and_the_others_compared() -> None:
    after = table([[*row, "z"] for row in FIRST], ("text", "topic", "more"))
    found = difference(table(FIRST), after, ("text",), "label")
    assert found["columns"] == {"removed": ["label"], "added": ["topic", "more"]}
    assert (found["same"], found["changed"], found["labels"]) == (6, 0, [])


def test_many_changes_at_once_are_told_apart_and_cut() -> None:
    chance = random.Random(3)
    rows = [[f"text {i}", chance.choice("xyz")] for i in range(3000)]
    new = [[text, "w"] if i % 3 == 0 else [text + "!", label] if i % 3 == 1 else [text, label]
           for i, (text, label) in enumerate(rows) if i % 10]  # fmt: skip
    found = difference(table(rows), table(new), ("text",), "label")
    dropped = len(range(0, 3000, 10))
    edited = sum(1 for i in range(3000) if i % 10 and i % 3 == 1)
    relabelled = sum(1 for i in range(3000) if i % 10 and i % 3 == 0)
    assert (found["removed"], found["added"], found["changed"]) == (dropped, 0, edited + relabelled)
    assert sum(number for *_, number in found["labels"]) == relabelled
    assert {len(found["samples"][kind]) for kind in ("changed", "removed")} == {SAMPLES}


def test_a_large_table_is_compared_in_seconds(tmp_path: Path) -> None:
    lines = [f"text number {i},{'ab'[i % 2]}\n" for i in range(200_000)]
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(lines))
    (tmp_path / "b.csv").write_text("text,label\n" + "".join(lines[5:]).replace("number 77,b", "number 77,a"))
    start = time.process_time()
    found = compare_files(str(tmp_path / "a.csv"), str(tmp_path / "b.csv"), ["text"], "label", lambda part, whole: None)
    assert time.process_time() - start < 20
    assert (found["removed"], found["changed"], found["labels"]) == (5, 1, [["b", "a", 1]])


def test_the_page_compares_any_two_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FGDESIGN_WORKSPACE", str(tmp_path))
    st.cache_resource.clear()
    lines = [f"text number {i},{'ab'[i % 2]}" for i in range(20)]
    kept, parent = [], ""
    for change in (None, lambda: lines.pop(), lambda: lines.__setitem__(3, "text number 3,a")):
        if change is not None:
            change()
        content = "\n".join(["text,label", *lines]).encode()
        kept.append(store.add(io.BytesIO(content), "rows.csv", library.folder(), parent=parent))
        parent = kept[-1].id
        library.keep(kept[-1])
        time.sleep(0.01)  # versions are in the order of their times
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).switch_page("pages/data.py")
    page.session_state[state.PROJECT] = state.Project(state.load_graph(state.FIRST_GRAPH), data=parent)
    page.session_state["data_view"] = "Versions"

    def counts() -> list[str]:
        assert not page.exception
        return [item.value for item in page.metric if str(item.label).startswith("Rows ")]

    page.run()
    assert counts() == ["18", "1", "0", "0"]
    page.selectbox(f"before_{parent}").set_value(kept[0].id).run()
    assert counts() == ["18", "1", "1", "0"]
    page.selectbox(f"after_{parent}").set_value(kept[1].id).run()
    assert counts() == ["19", "0", "1", "0"]
    page.selectbox(f"before_{parent}").set_value(kept[1].id).run()
    assert any("Both are the same version" in item.value for item in page.text)
    st.cache_resource.clear()
