"""Data: upload or choose a table, see what it is like and what is wrong with it, repair and edit it."""

from pathlib import Path

import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.ui import (
    data_choose,
    data_intake,
    data_map,
    data_profile,
    data_rows,
    data_versions,
    data_view,
    doctor_view,
    parts,
    start,
    state,
)

VIEWS = ("Findings", "Rows", "Samples", "Map", "Split", "Versions")


def show(file: Path) -> None:
    """One table: what it is like, what is wrong with it, and what can be done to it."""
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


st.title("Data", anchor=False)
choose, shown = st.columns([1, 3], gap="large")
with choose:
    data_choose.choose()
file = state.current_data()
with shown:
    if file is None:
        st.text("No data set is chosen. Upload a table, or take a sample on the left.")
    else:
        show(file)
