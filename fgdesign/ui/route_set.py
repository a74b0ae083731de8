"""Routes over a whole data set: which rows, then one look at them after the other.

Knows nothing of how anything is computed or drawn.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.insight.answered_set import AnsweredSet
from fgdesign.runs.folder import RunFolder
from fgdesign.ui import (
    models,
    parts,
    route_set_alike,
    route_set_flow,
    route_set_store,
    route_set_work,
    route_set_worth,
    shell,
)
from fgdesign.ui.route_set_store import PARTS
from fgdesign.views.numbers import plain

PART = "routes_part"  # session key: the part of the data that is looked at
LOOK = "routes_look"  # session key: what is looked at
BY_ITSELF = 5_000  # rows that are answered without being asked
LOOKS: dict[str, tuple[str, Callable[[RunFolder, str, AnsweredSet], None]]] = {
    "flow": ("Flow", route_set_flow.flow),
    "usage": ("Usage", route_set_alike.used),
    "classes": ("By class", route_set_flow.classes),
    "errors": ("Errors", route_set_flow.wrong),
    "alike": ("Alike", route_set_alike.alike),
    "exits": ("Exits", route_set_worth.exits),
    "worth": ("Worth", route_set_worth.worth),
    "health": ("Health", route_set_worth.routers),
    "rows": ("Find rows", route_set_alike.search),
}


def show(run: RunFolder) -> None:
    """All rows of one part of the run's data."""
    try:
        sizes = route_set_store.parts_of(run)
    except FgdesignError as error:
        shell.show_error(error)
        st.text("The rows that this run learned from are needed here. Put the file back, or train again.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        part = st.segmented_control(
            "Rows", list(sizes), default=_first(sizes), required=True, key=PART,
            format_func=lambda name: f"{PARTS[name]} {plain(sizes[name])}")
        look = st.segmented_control("Look at", list(LOOKS), default=_look(), required=True, key=LOOK,
                                    format_func=lambda name: LOOKS[name][0])
    if part is None or look is None:
        return
    if (st.query_params.get("look", look), st.query_params.get("part", part)) != (look, part):
        st.query_params.pop(parts.PICK, None)
        st.session_state.pop(parts.PICKED, None)
    st.query_params["look"], st.query_params["part"] = look, part
    answered = answers(run, part, sizes[part])
    if answered is None:
        return
    try:
        LOOKS[look][1](run, part, answered)
    except FgdesignError as error:
        shell.show_error(error)


def answers(run: RunFolder, part: str, count: int) -> AnsweredSet | None:
    """The answers of a part, computed with progress where they are not kept yet; None while that waits."""
    found = route_set_store.kept(run, part)
    if found is not None:
        return found
    models.trained(run)
    title = f"Answering {plain(count)} {PARTS[part]}"
    return route_set_work.done(
        f"answer_{run.name}_{part}", title, lambda progress: route_set_store.answer(run, part, progress),
        by_itself=count <= BY_ITSELF, ask=f"Answer {plain(count)} {PARTS[part]}")


def _first(sizes: dict[str, int]) -> str:
    wanted = st.query_params.get("part", "")
    return wanted if wanted in sizes else next(iter(sizes))


def _look() -> str:
    wanted = st.query_params.get("look", "")
    return wanted if wanted in LOOKS else next(iter(LOOKS))
