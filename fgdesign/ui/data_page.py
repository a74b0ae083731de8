"""What the data page shows of one table: what it is like, what is wrong with it, what can be done with it."""

from __future__ import annotations

import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.ui import (
    data_intake,
    data_map,
    data_profile,
    data_rows,
    data_versions,
    data_view,
    doctor_view,
    library,
    parts,
    start,
    state,
)

VIEWS = ("Findings", "Rows", "Samples", "Map", "Split", "Versions")


def show(file: library.DataFile) -> None:
    """Draw it, as far as it can be read."""
    data_view.title(file)
    try:
        told = data_profile.told(file) if data_intake.read_first(file) else None
    except FgdesignError as error:
        doctor_view.misfit(file, error)
        return
    if told is None:
        return
    data_view.columns(file, told)
    if not told["problem"]:
        data_view.numbers(file, told)
        data_view.pictures(told)
    view = st.segmented_control("View", VIEWS, default=VIEWS[0], required=True, key=state.VIEW,
                                label_visibility="collapsed")  # fmt: skip
    if view == "Rows":
        data_rows.show(file, told)
    elif view == "Versions":
        data_versions.versions(file, told)
    elif view == "Samples" and not told["problem"]:
        data_view.samples(told)
    elif view == "Map" and not told["problem"]:
        data_map.show(file)
    elif view == "Split" and not told["problem"]:
        data_versions.splits(file, told)
    else:
        doctor_view.show(file, told)
    if not told["problem"]:
        parts.sentences(told["notes"], "How it was read")
        start.train_button(state.current_graph())
        parts.show_command(*start.command_words(state.current_graph(), file))
