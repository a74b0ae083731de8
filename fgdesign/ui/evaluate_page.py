"""The Evaluate page: which rows, then one look at them after the other, each with its verdict first.

Knows nothing of how anything is computed or drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.runs.folder import RunFolder
from fgdesign.ui import data_intake, data_upload, evaluate_store, library, route_set_store, shell
from fgdesign.ui.evaluate_store import Source
from fgdesign.ui.route_set_store import PARTS
from fgdesign.ui.words import one_line
from fgdesign.views.numbers import plain

if TYPE_CHECKING:
    from fgdesign.insight.answered_set import AnsweredSet

PART, FILE, LOOK = "evaluate_part", "evaluate_file", "evaluate_look"  # session keys
OTHER = "file"
LOOKS = {  # name in the address -> what it is called, and the function that shows it
    "overview": ("Overview", "evaluate_overview.overview"),
    "certainty": ("Certainty", "evaluate_overview.sure"),
    "costs": ("Costs", "evaluate_costs.costs"),
    "slices": ("Slices", "evaluate_groups.slice_look"),
    "compute": ("Compute", "evaluate_compute.compute"),
    "compare": ("Compare", "evaluate_compare.compare_look"),
    "fairness": ("Fairness", "evaluate_groups.fairness_look"),
    "report": ("Report", "evaluate_report.report"),
}


def show(run: RunFolder) -> bool:
    """Ask for rows and show a look at them; False where the rows cannot be had."""
    try:
        sizes = route_set_store.parts_of(run)
    except FgdesignError as error:
        shell.show_error(error)
        st.text("The rows that this run learned from are needed for more. Put the file back, or train again.")
        return False
    source, look = _ask(sizes)
    if source is None:
        return True
    try:
        answered = evaluate_store.answers(run, source)
        if answered is None:
            return True
        module, _, name = LOOKS[look][1].rpartition(".")
        draw: Callable[[RunFolder, Source, AnsweredSet], None] = getattr(import_module(f"fgdesign.ui.{module}"), name)
        draw(run, source, answered)
    except FgdesignError as error:
        shell.show_error(error)
    return True


def _ask(sizes: dict[str, int]) -> tuple[Source | None, str]:
    """Which rows and which look; both are in the address."""
    asked = st.query_params.get("part", "")
    with st.container(horizontal=True, vertical_alignment="bottom", key="evaluate_rows"):
        part = st.segmented_control(
            "Rows", [*sizes, OTHER], default=asked if asked in (*sizes, OTHER) else next(iter(sizes), OTHER),
            required=True, key=PART,
            format_func=lambda name: "another file" if name == OTHER else f"{PARTS[name]} {plain(sizes[name])}")
    source = Source(part=str(part)) if part != OTHER else _file()
    look = st.segmented_control("Look at", list(LOOKS), default=_look(), required=True, key=LOOK,
                                format_func=lambda name: LOOKS[name][0], label_visibility="collapsed")
    st.query_params["part"] = str(part)
    st.query_params["look"] = str(look)
    if source is None:
        st.text("Pick a data file of the workspace, or upload one, to see this run on it.")
    return source, str(look)


def _file() -> Source | None:
    """A data file of the workspace, or one uploaded now."""
    files = {file.id: file for file in (*library.samples(), *library.uploads())}
    asked = st.query_params.get("file", "")
    if st.session_state.get(FILE) not in files:
        st.session_state[FILE] = asked if asked in files else None
    left, right = st.columns(2, gap="large")
    with left:
        data_upload.show("evaluate", _choose)
        data_intake.waiting()
    with right:
        chosen = st.selectbox("File", list(files), key=FILE, format_func=lambda name: one_line(files[name].title),
                              placeholder="a data file")
        st.caption("A labelled file; without labels only what needs none is shown.")
    if not chosen:
        return None
    st.query_params["file"] = chosen
    return Source(file=chosen)


def _choose(file_id: str) -> None:
    """Take a file that was uploaded here."""
    st.session_state[FILE] = file_id


def _look() -> str:
    wanted = st.query_params.get("look", "")
    return wanted if wanted in LOOKS else next(iter(LOOKS))
