"""The doctor on the Data page: findings with their rows and repairs, and the recipe of what was accepted.

A repair changes no file: the repaired table is stored as a new data set when a person asks for it.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal

import numpy as np
import streamlit as st

from fgdesign.data import Table
from fgdesign.data.doctor import examine, full_recipe
from fgdesign.data.findings import Finding
from fgdesign.data.mend import apply
from fgdesign.data.recipe import Recipe, Repair, load_recipe, recipe_from, recipe_json, save_recipe
from fgdesign.data.write import table_csv
from fgdesign.errors import FgdesignError
from fgdesign.runs.folder import workspace
from fgdesign.ui import library, parts, state
from fgdesign.ui.words import label

ICONS = {"error": ":material/error:", "warning": ":material/warning:", "note": ":material/info:"}


def show(file: library.DataFile) -> None:
    """Findings, the rows of the one that is looked at, and the recipe. Nothing for a file that cannot be read."""
    try:
        table = library.table(file)
    except FgdesignError:
        return
    recipe = _recipe(file.id)
    try:
        mended, said, found = _examined(
            str(file.path), file.path.stat().st_mtime_ns, recipe_json(recipe), _columns(), table
        )
    except FgdesignError as error:
        st.badge("The recipe does not fit this table", icon=":material/error:", color="red")
        st.text(str(error))
        _show_recipe(file, recipe, tuple(map(str, recipe.steps)), None)
        return
    serious = [finding for finding in found if finding.severity != "note"]
    notes = [finding for finding in found if finding.severity == "note"]
    with st.container(border=True, key="doctor"):
        left, right = st.columns([3, 1], vertical_alignment="center")
        left.markdown("**Findings**" if serious else "**Findings**: nothing to repair")
        if sum(finding.repair is not None for finding in serious) > 1:
            right.button(
                "Repair all", key="repair_all", icon=":material/healing:", on_click=_accept_all, args=(file.id, table)
            )
        for finding in serious:
            _show_finding(file, finding)
        with st.expander(f"Notes ({len(notes)})", icon=":material/notes:"):
            for finding in notes:
                _show_finding(file, finding)
        _show_rows(mended, found)
        _show_recipe(file, recipe, said, mended)
        parts.show_command("doctor", file.path, note="The same findings from the command line")


def _columns() -> tuple[tuple[str, Any], ...]:
    """How the chosen data are read."""
    return tuple(sorted(state.reading().items()))


@st.cache_resource(max_entries=4, show_spinner="Examining the table")
def _examined(
    path: str, changed: int, recipe: str, columns: tuple[tuple[str, Any], ...], _table: Table
) -> tuple[Table, tuple[str, ...], tuple[Finding, ...]]:
    """(the table after the recipe, what each repair did, what is found then)."""
    accepted = recipe_from(recipe)
    mended, said = apply(accepted, _table)
    return mended, said, examine(mended, **accepted.renamed(dict(columns)))


def _show_finding(file: library.DataFile, finding: Finding) -> None:
    color: Literal["red", "orange", "blue"] = "blue"
    if finding.severity != "note":
        color = "red" if finding.severity == "error" else "orange"
    badge, text, rows, repair = st.columns([2, 8, 2, 4], vertical_alignment="center")
    badge.badge(finding.severity, icon=ICONS[finding.severity], color=color)
    text.text(finding.message)
    key = f"{finding.code}_{finding.column}_{hash(finding.message)}"
    if finding.rows:
        rows.button("Rows", key=f"rows_{key}", on_click=_look_at, args=(finding.code,), type="tertiary")
    if finding.repair is not None:
        repair.button(
            label(str(finding.repair), 60),
            key=f"repair_{key}",
            icon=":material/healing:",
            help=label(str(finding.repair), 300),
            on_click=_accept,
            args=(file.id, finding.repair),
        )


def _show_rows(table: Table, found: tuple[Finding, ...]) -> None:
    """The rows of the finding that is looked at."""
    wanted = st.session_state.get(state.SHOWN, "")
    finding = next((item for item in found if item.code == wanted and item.rows), None)
    if finding is None:
        return
    there = np.isin(table.row_numbers, finding.rows)
    st.caption(f"{int(there.sum()):,} of {finding.count:,} rows: {finding.code.replace('_', ' ')}")
    frame = table.frame[there].assign(row=table.row_numbers[there])
    parts.table(frame[["row", *table.frame.columns]], "finding_rows", height=240)


def _show_recipe(file: library.DataFile, recipe: Recipe, said: tuple[str, ...], mended: Table | None) -> None:
    """What was accepted, each with its undo, and what can be done with it."""
    _offer_saved(file, recipe)
    if not recipe.repairs:
        return
    st.markdown("**Recipe**")
    st.caption("The data set stays as it is; save the repaired table as a new one.")
    for place, (repair, sentence) in enumerate(zip(recipe.steps, said, strict=True)):
        text, undo = st.columns([12, 2], vertical_alignment="center")
        text.text(sentence)
        undo.button("Undo", key=f"undo_{place}", icon=":material/undo:", on_click=_undo, args=(file.id, repair))
    with st.container(horizontal=True):
        if mended is not None:
            st.button(
                "Save as a new data set", key="save_repaired", type="primary", icon=":material/save:",
                on_click=_save, args=(file, recipe, mended),
            )  # fmt: skip
        st.download_button(
            "Download the recipe", recipe_json(recipe), f"{Path(file.name).stem}.recipe.json", "application/json",
            key="download_recipe", icon=":material/download:", on_click="ignore",
        )  # fmt: skip


def _offer_saved(file: library.DataFile, recipe: Recipe) -> None:
    """The recipes of other data sets, to use again here."""
    saved = {path.name.removesuffix(".json"): path for path in sorted(_folder().glob("*.json"))}
    if saved and not recipe.repairs:
        key = f"use_recipe_{file.id}"
        st.selectbox(
            "Use a saved recipe", list(saved), index=None, key=key, placeholder="none", on_change=_use,
            args=(file.id, key, saved),
        )  # fmt: skip


def _folder() -> Path:
    return workspace() / "recipes"


def _recipe(file_id: str) -> Recipe:
    found: Recipe = st.session_state.get(state.RECIPES, {}).get(file_id, Recipe())
    return found


def _set_recipe(file_id: str, recipe: Recipe) -> None:
    st.session_state[state.RECIPES] = {**st.session_state.get(state.RECIPES, {}), file_id: recipe}


def _look_at(code: str) -> None:
    st.session_state[state.SHOWN] = "" if st.session_state.get(state.SHOWN) == code else code


def _accept(file_id: str, repair: Repair) -> None:
    _set_recipe(file_id, _recipe(file_id).with_repairs([repair]))


def _accept_all(file_id: str, table: Table) -> None:
    _set_recipe(file_id, full_recipe(table, _recipe(file_id), **dict(_columns())))


def _undo(file_id: str, repair: Repair) -> None:
    _set_recipe(file_id, _recipe(file_id).without(repair))


def _use(file_id: str, key: str, saved: dict[str, Path]) -> None:
    chosen = st.session_state[key]
    try:
        _set_recipe(file_id, load_recipe(saved[chosen]) if chosen else Recipe())
    except FgdesignError as error:
        st.toast(label(str(error), 200), icon=":material/error:")


def _save(file: library.DataFile, recipe: Recipe, mended: Table) -> None:
    """Store the repaired table beside the old one and choose it, its columns read as before; keep the recipe."""
    stem = Path(file.name).stem.removesuffix("_repaired")
    try:
        new = library.store(io.BytesIO(table_csv(mended)), f"{stem}_repaired.csv")
        _folder().mkdir(parents=True, exist_ok=True)
        save_recipe(recipe, _folder() / f"{Path(stem).name}.json")
    except (FgdesignError, OSError) as error:
        st.toast(label(str(error), 200), icon=":material/error:")
        return
    roles = {name: getattr(state.project(), name) for name in ("text", "text_b", "label")}
    task = state.project().task
    state.set_data(new.id)
    state.change(task=task, **recipe.renamed(roles))
    st.toast(f"{label(new.name)} is stored; the file it was made from is as it was.", icon=":material/check:")
