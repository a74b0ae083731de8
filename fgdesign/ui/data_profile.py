"""What the chosen data are like, worked out once for each file, recipe and graph; of large files in another process.

Knows nothing of what a page shows of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from fgdesign.data import Table, apart, lengths, read_table
from fgdesign.data.apart import Progress
from fgdesign.data.kept import READER
from fgdesign.data.mend import apply
from fgdesign.data.profile import PROFILE, Told, profile
from fgdesign.data.recipe import Recipe, recipe_from, recipe_json
from fgdesign.data.repair import OF_SHEETS
from fgdesign.errors import DataError, FgdesignError
from fgdesign.ui import data_intake, library, state
from fgdesign.views.numbers import plain

SECONDS = 300.0  # that the examination of a large file may take
FIRST_ROWS = 50  # that are shown meanwhile
ROW = "row"  # the column of row numbers in what is shown
MEMORY = 6_000_000_000  # bytes of address space for it


def recipe_for(file: library.DataFile) -> Recipe:
    """The repairs accepted for a file, in this session or before the page was loaded anew."""
    known: dict[str, Recipe] = st.session_state.setdefault(state.RECIPES, {})
    if file.id not in known:
        known[file.id] = Recipe()
        with suppress(FgdesignError, OSError):
            known[file.id] = recipe_from(open_at(file, "recipe").read_text("utf-8"))
    return known[file.id]


def set_recipe(file: library.DataFile, recipe: Recipe) -> None:
    """Accept exactly these repairs for a file."""
    st.session_state[state.RECIPES] = {**st.session_state.get(state.RECIPES, {}), file.id: recipe}
    remember(file, "recipe", recipe.to_dict() if recipe.repairs else None)


def open_at(file: library.DataFile, what: str) -> Path:
    """Where that is kept of a file which is not in a version of it yet."""
    return library.folder() / "open" / f"{file.id}.{what}.json"


def remember(file: library.DataFile, what: str, found: dict[str, Any] | None) -> None:
    """Keep it for when the page is loaded anew; None takes it away. A full disk keeps nobody from working on."""
    with suppress(OSError):
        if found is None:
            open_at(file, what).unlink(missing_ok=True)
        else:
            write(open_at(file, what), found)


def forget_reading(file: library.DataFile, role: str) -> None:
    """Leave the choice of this column to a person."""
    recipe = recipe_for(file)
    kept = tuple(repair for repair in recipe.repairs if (repair.kind, repair.rule) != ("read_as", role))
    if kept != recipe.repairs:
        set_recipe(file, Recipe(kept))


def test_of(file: library.DataFile) -> library.DataFile | None:
    """The data set that this one is to be tested on, where a person named it."""
    return library.find(st.session_state.get(state.TESTS, {}).get(file.id, ""))


def set_test(file: library.DataFile, test: str) -> None:
    """Name the data set to be tested on, "" for none."""
    st.session_state[state.TESTS] = {**st.session_state.get(state.TESTS, {}), file.id: test}


def test_is_now(file: library.DataFile, new: library.DataFile) -> None:
    """Test on a new version of a data set wherever the one before was named."""
    named = st.session_state.get(state.TESTS, {})
    st.session_state[state.TESTS] = {key: new.id if test == file.id else test for key, test in named.items()}


def told(file: library.DataFile) -> Told | None:
    """The profile of a file under its recipe; None while a large one waits to be examined. Raises DataError."""
    graph = state.current_graph()
    folder = lengths.tokenizer_folder(graph)
    reading, test = state.reading(), test_of(file)
    if test is not None:
        library.keep(test)
    asked = {
        "columns": {name: reading[name] for name in ("text", "text_b", "label")}, "task": reading["task"],
        "recipe": recipe_json(recipe_for(file)), "test": None if test is None else str(test.path),
        "tokenizer": None if folder is None else str(folder), "limit": lengths.tokens_read(graph),
    }  # fmt: skip
    if not library.is_large(file):
        return _small(str(file.path), file.path.stat().st_mtime_ns, json.dumps(asked, sort_keys=True), file.name)
    kept = kept_at(file, asked)
    if not kept.is_file():
        def work(progress: Progress) -> bool:
            write(kept, apart.run("fgdesign.data.jobs:examine_file", {"path": str(file.path), **asked}, name=file.name,
                                  seconds=SECONDS, memory=MEMORY, progress=progress))  # fmt: skip
            return True

        table = library.table(file)
        title = f"Examining {plain(len(table))} rows"
        if not data_intake.result(f"examine_{kept.stem}", title, work, ask="Examine this data set"):
            st.dataframe(rows_at(table, range(min(len(table), FIRST_ROWS))), hide_index=True)
            return None
    return read(str(kept))


def table_read(file: library.DataFile) -> Table:
    """The file's table; of a workbook the sheets that the recipe reads. Raises DataError."""
    table = library.table(file)
    sheets = Recipe(tuple(repair for repair in recipe_for(file).repairs if repair.kind in OF_SHEETS))
    if sheets.repairs:
        with suppress(DataError):  # the sheet is not there, as the recipe's place says
            table, _ = apply(sheets, table)
    return table


def rows_at(table: Table, places: Sequence[int] | np.ndarray) -> pd.DataFrame:
    """Some rows with their numbers; no more of the table is touched."""
    at = np.asarray(places, np.int64)
    frame = table.frame.iloc[at]
    cells = {str(name): frame[name].to_numpy() for name in frame.columns if name != ROW}
    return pd.DataFrame({ROW: table.row_numbers[at], **cells})


def kept_at(file: library.DataFile, asked: dict[str, Any]) -> Path:
    """Where what was asked of a file is kept."""
    key = json.dumps([file.id, file.path.stat().st_mtime_ns, READER, PROFILE, asked], sort_keys=True)
    return library.folder() / "profiles" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"


def write(path: Path, found: Told) -> None:
    """Keep a profile; whoever looks meanwhile sees none or all of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{uuid.uuid4().hex}")
    try:
        aside.write_text(json.dumps(found, ensure_ascii=False), "utf-8")
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


@st.cache_resource(max_entries=16, show_spinner=False)
def read(path: str) -> Told:
    """What was kept, read once while the app runs."""
    found: Told = json.loads(Path(path).read_text("utf-8"))
    return found


@st.cache_resource(max_entries=16, show_spinner="Examining the table")
def _small(path: str, changed: int, asked: str, name: str) -> Told:
    order = json.loads(asked)
    folder = order.pop("tokenizer")
    return profile(
        library.table_at(path, changed, name), columns=order["columns"], task=order["task"], limit=order["limit"],
        recipe=recipe_from(order["recipe"]), test=None if order["test"] is None else read_table(order["test"]),
        counter=None if folder is None else _counter(folder),
    )  # fmt: skip


@st.cache_resource(max_entries=2, show_spinner=False)
def _counter(folder: str) -> lengths.TokenCounter:
    return lengths.token_counter(Path(folder))
