"""What a run will need and what stands in its way, to be read before it is started. Knows nothing of torch."""

from __future__ import annotations

import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.graph import Graph
from fgdesign.runs.check import Check, check
from fgdesign.runs.folder import list_runs, workspace
from fgdesign.training.settings import Settings
from fgdesign.ui import library, speed, state
from fgdesign.ui.words import duration
from fgdesign.views.numbers import short


def show(graph: Graph, file: library.DataFile, settings: Settings, seeds: int) -> None:
    """Time, memory, disk, what is known already; then each problem in a line."""
    if library.is_large(file):
        st.caption("This file is too large to be looked at here: the run itself says what is wrong with it.")
        return
    try:
        data = library.dataset(file, **state.reading())
        made = check(graph, data, file.path.resolve(), settings, list_runs(workspace()),
                     speed=speed.macs_per_second(), place=workspace())
    except FgdesignError as error:
        _problem(str(error))
        return
    with st.container(key="start_check", gap="small"):
        st.text(" · ".join(_words(made, seeds)))
        for problem in made.problems:
            _problem(problem)
        if not made.problems:
            st.caption("Nothing stands in the way.")


def _words(made: Check, seeds: int) -> list[str]:
    runs = f"{made.measured} earlier run{'s' * (made.measured > 1)}"
    basis = f"as {runs} of this graph here took" if made.same else f"a guess, by {runs} of other graphs here" if \
        made.measured else "a first guess; runs here make it better"
    each = f"{seeds} times " if seeds > 1 else ""
    known = f"the static part of these rows is known from {made.known}" if made.known else \
        "the static part is computed first, once, and kept"
    time = f"about {duration(made.seconds)}" if made.least > 0.8 * made.seconds else \
        f"about {duration(made.least)}, or {duration(made.seconds)} where tuning the layers pays"
    return [f"Takes {each}{time} ({basis})",
            f"memory {short(made.memory, 'B')} of {short(made.memory_free, 'B')} free",
            f"disk {short(made.disk, 'B')} of {short(made.disk_free, 'B')} free", known]


def _problem(text: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge("Check", icon=":material/warning:", color="orange")
        st.text(text)
