"""The doctor on the Data page: findings with their rows and repairs, and the recipe of what was accepted.

A repair changes no file: the repaired table is stored as a new version when a person asks for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import streamlit as st

from fgdesign.data.apart import Progress
from fgdesign.data.doctor import full_recipe
from fgdesign.data.profile import Told
from fgdesign.data.recipe import Recipe, load_recipe, recipe_from, recipe_json, save_recipe
from fgdesign.data.repair import Repair, repair_from
from fgdesign.data.store import disk_told
from fgdesign.errors import FgdesignError
from fgdesign.runs.folder import workspace
from fgdesign.ui import data_intake, data_profile, doctor_settings, doctor_ways, library, parts, state
from fgdesign.ui.words import label, one_line
from fgdesign.views.numbers import plain

ICONS = {"error": ":material/error:", "warning": ":material/warning:", "note": ":material/info:"}
ROWS_NAMED = 4  # row numbers that a button names
Found = dict[str, Any]  # a finding as JSON holds it


def show(file: library.DataFile, told: Told) -> None:
    """Findings, the rows of the one that is looked at, and the recipe."""
    found: list[Found] = told["findings"]
    serious = [finding for finding in found if finding["severity"] != "note"]
    notes = [finding for finding in found if finding["severity"] == "note"]
    left, right = st.columns([3, 1], vertical_alignment="center")
    left.markdown("**Findings**" if serious else "**Findings**: nothing to repair")
    if len(_proposed(serious)) > 1:
        right.button(
            "Repair all", key="repair_all", icon=":material/healing:", on_click=_accept_all, args=(file, serious),
            help="All but those repairs that may take what is right: these you accept one by one.",
        )
    for finding in serious:
        _show_finding(file, finding)
    with st.expander(f"Notes ({len(notes)})", icon=":material/notes:"):
        for finding in notes:
            _show_finding(file, finding)
    _ask_test(file)
    recipe = data_profile.recipe_for(file)
    _offer_saved(file, recipe)
    _show_recipe(file, recipe, told["said"], fits=True)
    words = ["doctor", file.path, "--graph", f"{state.current_graph().name}.json"]
    test = data_profile.test_of(file)
    words += ["--test", test.path] if test is not None else []
    parts.show_command(*words, note="The same findings from the command line")


def misfit(file: library.DataFile, error: FgdesignError) -> None:
    """A recipe that does not fit the table, each repair with its undo."""
    recipe = data_profile.recipe_for(file)
    st.badge("The recipe does not fit this table" if recipe.repairs else "This table cannot be used",
             icon=":material/error:", color="red")  # fmt: skip
    st.text(str(error))
    if any(state.reading()[role] for role in ("text", "text_b", "label")):
        st.button("Find the columns anew", key="guess_columns", icon=":material/refresh:", on_click=_guess_columns,
                  help="The columns that were chosen for this table are forgotten; those that are likely are read.")
    _show_recipe(file, recipe, list(map(str, recipe.steps)), fits=False)


def _guess_columns() -> None:
    state.change(text="", text_b="", label="")


def _show_finding(file: library.DataFile, finding: Found) -> None:
    """What was found, its rows to click, its repair, and the rows below it once they were clicked."""
    severity = finding["severity"]
    color: Literal["red", "orange", "blue"] = "blue"
    if severity != "note":
        color = "red" if severity == "error" else "orange"
    badge, said = st.columns([1.7, 8])
    badge.badge(severity, icon=ICONS[severity], color=color)
    key = f"{finding['code']}_{finding['column']}_{hash(finding['message'])}"
    with said:
        st.text(finding["message"])
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            if finding["rows"]:
                st.button(_numbers(finding), key=f"rows_{key}", on_click=_look_at, args=(key,), type="tertiary",
                          icon=":material/table_rows:", help="Show these rows")  # fmt: skip
            for place, repair in enumerate(_repairs(finding)):
                st.button(label(repair.title, 80), key=f"repair_{key}{place or ''}", icon=":material/healing:",
                          help=label(str(repair), 300), on_click=doctor_ways.accept, args=(file, repair))  # fmt: skip
            for way in doctor_ways.BUTTONS.get(finding["code"], ()):
                way(file, finding)
            if finding["code"] in doctor_settings.BUTTONS:
                doctor_settings.BUTTONS[finding["code"]]()
        if st.session_state.get(state.SHOWN) == key:
            _show_rows(file, finding)


def _repairs(finding: Found) -> list[Repair]:
    """The ways to mend it, the likeliest first."""
    first = [] if finding["repair"] is None else [finding["repair"]]
    return [repair_from(repair) for repair in (*first, *finding["others"])]


def _proposed(serious: list[Found]) -> list[Repair]:
    """The repairs that are accepted all at once."""
    return [repair for finding in serious for repair in _repairs(finding)[:1] if not repair.of_choice]


def _numbers(finding: Found) -> str:
    """The rows of a finding by number, as many as a button takes."""
    rows: list[int] = finding["rows"]
    more = " …" if max(len(rows), finding["count"]) > ROWS_NAMED else ""
    return f"Row{'s' if finding['count'] > 1 else ''} {', '.join(map(str, rows[:ROWS_NAMED]))}{more}"


def _show_rows(file: library.DataFile, finding: Found) -> None:
    """The rows of a finding, as they are in the file."""
    table = data_profile.table_read(file)
    there = np.flatnonzero(np.isin(table.row_numbers, finding["rows"]))
    if not len(there):
        st.caption("The reader left these rows out, so the table does not have them.")
        return
    st.caption(f"{plain(len(there))} of {plain(finding['count'])} rows")
    parts.table(data_profile.rows_at(table, there), "finding_rows", height=min(240, 38 * (len(there) + 1)))


def _show_recipe(file: library.DataFile, recipe: Recipe, said: list[str], *, fits: bool) -> None:
    """What was accepted, each with its undo, and what can be done with it."""
    if not recipe.repairs:
        return
    st.markdown("**Recipe**")
    st.caption("The data set stays as it is; save the repaired table as a new version.")
    for place, (repair, sentence) in enumerate(zip(recipe.steps, said, strict=True)):
        text, undo = st.columns([12, 2], vertical_alignment="center")
        text.text(sentence)
        undo.button("Undo", key=f"undo_{place}", icon=":material/undo:", on_click=doctor_ways.take_back,
                    args=(file, repair))  # fmt: skip
    with st.container(horizontal=True):
        if fits:
            st.button(
                "Save as a new version", key="save_repaired", type="primary", icon=":material/save:",
                on_click=_save, args=(file, recipe), disabled=data_intake.is_saving(file),
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
            args=(file, key, saved),
        )  # fmt: skip


def _folder() -> Path:
    return workspace() / "recipes"


def _ask_test(file: library.DataFile) -> None:
    """Another data set that is to be tested on: its texts should not be in this one."""
    others = {other.id: other for other in (*library.uploads(), *library.samples()) if other.id != file.id}
    now, key = data_profile.test_of(file), f"test_of_{file.id}"
    st.selectbox(
        "Look for texts of a test file", list(others), index=list(others).index(now.id) if now is not None else None,
        key=key, format_func=lambda name: one_line(others[name].title), placeholder="none", on_change=_choose_test,
        args=(file, key), help="Upload the test file too, then come back here. Texts that are in both are found.",
    )  # fmt: skip


def _choose_test(file: library.DataFile, key: str) -> None:
    data_profile.set_test(file, st.session_state[key] or "")


def _look_at(key: str) -> None:
    st.session_state[state.SHOWN] = "" if st.session_state.get(state.SHOWN) == key else key


def _accept_all(file: library.DataFile, serious: list[Found]) -> None:
    """The repairs of what is found; for a small table also those of what they bring up in turn."""
    recipe = data_profile.recipe_for(file)
    if library.is_large(file):
        data_profile.set_recipe(file, recipe.with_repairs(_proposed(serious)))
    else:
        test = data_profile.test_of(file)
        data_profile.set_recipe(file, full_recipe(
            library.table(file), recipe, **state.reading(), test=None if test is None else library.table(test)
        ))  # fmt: skip


def _use(file: library.DataFile, key: str, saved: dict[str, Path]) -> None:
    chosen = st.session_state[key]
    try:
        data_profile.set_recipe(file, load_recipe(saved[chosen]) if chosen else Recipe())
    except FgdesignError as error:
        st.toast(label(str(error), 200), icon=":material/error:")


def _save(file: library.DataFile, recipe: Recipe) -> None:
    """Store the repaired table as a version and choose it, its columns read as before; keep the recipe."""
    text, owner = recipe_json(recipe), library.person()

    def make(tell: Progress) -> library.DataFile:
        change = {"recipe": recipe_from(text).to_dict()}
        new = library.version(file, "store_repaired", change, owner, tell, recipe=text)
        with disk_told("The recipe"):
            _folder().mkdir(parents=True, exist_ok=True)
            save_recipe(recipe, _folder() / f"{Path(file.name).stem}.json")
        return new

    def stored(new: library.DataFile) -> None:
        if state.project().data == file.id:
            roles = {name: getattr(state.project(), name) for name in ("text", "text_b", "label")}
            named = recipe.renamed({role: name or None for role, name in roles.items()})
            state.keep_reading(new.id, **{role: name or "" for role, name in named.items()})
        data_profile.test_is_now(file, new)
        st.toast(f"{label(new.name)}: a new version is stored; the one before is as it was.", icon=":material/check:")

    data_intake.save(file, make, stored)
