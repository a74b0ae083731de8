"""Rows of a data set looked for, relabelled, edited or excluded; every save is a version. Knows nothing of repairs."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from fgdesign.data import Table
from fgdesign.data.apart import Progress
from fgdesign.data.edits import Edits, edits_from
from fgdesign.data.profile import Told
from fgdesign.errors import FgdesignError
from fgdesign.ui import data_intake, data_profile, library, parts, state
from fgdesign.ui.data_profile import ROW
from fgdesign.views.numbers import plain

MOST_ROWS = 500
KEEP = "keep"  # the column of ticks beside the cells
PENDING = "pending_edits"  # session key: data file id -> Edits that are not saved yet
ROUND = "edit_round"  # session key: a fresh editor once its changes are taken over


def show(file: library.DataFile, told: Told) -> None:
    """Search, edit in place, and save what was changed as a version."""
    table = library.table(file)
    roles = told.get("columns") or told["guess"]
    column = roles.get("text") if roles.get("text") in table.frame else str(table.frame.columns[0])
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    wanted = left.text_input("Search the texts", key="search_rows", placeholder="a word", icon=":material/search:")
    found = matching(table, str(column), wanted)
    names = [name for name, _ in told.get("sizes", [])]
    if names and roles.get("label") in table.frame:
        chosen = right.multiselect("Labels", names, key=f"row_labels_{file.id}", placeholder="all labels")
        if chosen:
            cells = table.frame[roles["label"]].str.strip()
            found = found[cells.iloc[found].isin(chosen).to_numpy(bool)]
    pending = _pending(file)
    st.caption(
        f"{plain(len(found))} rows" + (f", the first {MOST_ROWS} are shown" if len(found) > MOST_ROWS else "")
        + ". Change a cell, or take the tick away to exclude the row."
    )  # fmt: skip
    shown = _with_pending(data_profile.rows_at(table, found[:MOST_ROWS]), pending)
    _editor(file, shown)
    parts.download(shown.drop(columns=KEEP), "rows", key="download_rows")
    _pending_line(file, pending)


def matching(table: Table, column: str, wanted: str) -> np.ndarray:
    """Positions of the rows whose text holds a word, in any case."""
    if not wanted:
        return np.arange(len(table))
    found = table.frame[column].str.contains(wanted, case=False, regex=False)
    return np.flatnonzero(found.to_numpy(bool))


def _with_pending(shown: pd.DataFrame, pending: Edits) -> pd.DataFrame:
    """The rows as they will be, with their ticks."""
    place = {int(row): at for at, row in enumerate(shown[ROW])}
    for row, column, _, new in pending.cells:
        if row in place:
            shown.loc[place[row], column] = new
    shown.insert(0, KEEP, ~shown[ROW].isin(pending.dropped))
    return shown


def _editor(file: library.DataFile, shown: pd.DataFrame) -> None:
    key = f"edit_{file.id}_{st.session_state.setdefault(ROUND, 0)}"
    st.data_editor(
        shown, key=key, hide_index=True, height=360, disabled=[ROW], num_rows="fixed", on_change=_changed,
        args=(file, key, shown),
        column_config={KEEP: st.column_config.CheckboxColumn("keep", width="small"),
                       ROW: st.column_config.NumberColumn("row", width="small")},
    )  # fmt: skip


def _changed(file: library.DataFile, key: str, shown: pd.DataFrame) -> None:
    """Take over what was changed in the editor."""
    changes: dict[str, dict[str, Any]] = st.session_state[key]["edited_rows"]
    pending = _pending(file)
    first = {(row, column): old for row, column, old, _ in pending.cells}
    cells = {(row, column): new for row, column, _, new in pending.cells}
    dropped = set(pending.dropped)
    for place, values in changes.items():
        row = int(shown[ROW].iloc[int(place)])
        for column, value in values.items():
            if column == KEEP:
                dropped = dropped - {row} if value else dropped | {row}
            else:
                first.setdefault((row, column), str(shown[column].iloc[int(place)]))
                cells[row, column] = "" if value is None else str(value)
    told = ((row, column, first[row, column], new) for (row, column), new in cells.items())
    kept = tuple(cell for cell in told if cell[2] != cell[3])
    _set_pending(file, Edits(kept, tuple(sorted(dropped))))
    st.session_state[ROUND] += 1


def _pending_line(file: library.DataFile, pending: Edits) -> None:
    """What was changed and is not saved yet."""
    if not pending:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.text(f"Not saved yet: {pending}.")
        st.button("Save as a new version", key="save_edits", type="primary", icon=":material/save:", on_click=_save,
                  args=(file, pending), disabled=data_intake.is_saving(file))  # fmt: skip
        st.button("Discard", key="discard_edits", icon=":material/undo:", on_click=_set_pending, args=(file, Edits()))


def _save(file: library.DataFile, pending: Edits) -> None:
    """Have the version made; what is changed meanwhile stays unsaved."""
    edits, owner = pending.to_dict(), library.person()

    def stored(new: library.DataFile) -> None:
        if _pending(file) == pending:
            _set_pending(file, Edits())
        if state.project().data == file.id:
            state.keep_reading(new.id)
        st.toast(f"A new version is stored: {pending}.", icon=":material/check:")

    def make(tell: Progress) -> library.DataFile:
        return library.version(file, "store_edited", {"edits": edits}, owner, tell, edits=edits)

    data_intake.save(file, make, stored)


def _pending(file: library.DataFile) -> Edits:
    known: dict[str, Edits] = st.session_state.setdefault(PENDING, {})
    if file.id not in known:
        known[file.id] = Edits()
        with suppress(FgdesignError, OSError, ValueError):
            known[file.id] = edits_from(json.loads(data_profile.open_at(file, "edits").read_text("utf-8")))
    return known[file.id]


def _set_pending(file: library.DataFile, edits: Edits) -> None:
    st.session_state[PENDING] = {**st.session_state.get(PENDING, {}), file.id: edits}
    data_profile.remember(file, "edits", edits.to_dict() if edits else None)
