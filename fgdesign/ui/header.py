"""The slim line on every page: project, graph, data, run; each a link and a switcher.

Knows nothing of what a page shows.
"""

from __future__ import annotations

import streamlit as st

from fgdesign.graph import STARTERS, load_graph
from fgdesign.runs.folder import FINAL_STATES, RunFolder, list_runs, workspace
from fgdesign.ui import library, parts, start, state
from fgdesign.ui.standing import Standing, standing
from fgdesign.ui.words import label, one_line
from fgdesign.views.numbers import percent

MOST_RUNS = 8
REFRESH = 5.0  # seconds between two looks at how far a run at work is
LONGEST_LINE = 48  # of a run


def show_header(*, train: bool = False) -> None:
    """Draw the line; a choice made in it is at work when the page below runs. train: offer to train the graph."""
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="context"):
        st.text(state.project().name)
        _graph()
        _data()
        _run()
        if train:
            st.space("stretch")
            start.train_button(state.current_graph())


def run_line(run: RunFolder) -> tuple[str, Standing]:
    """A run in one short line, as much of its name as fits before its state and progress; and how it stands."""
    status = run.status()
    stands = standing(run, status)
    going = f" {percent(status['progress'])}" if status["state"] == "running" else ""
    how = f" · {stands.brief}{going}"
    return one_line(run.name, LONGEST_LINE - len(how)) + how, stands


def _graph() -> None:
    graph = state.current_graph()
    with st.popover(label(graph.name), icon=":material/account_tree:", type="tertiary", help="The graph"):
        st.page_link("pages/design.py", label="Open in Design", icon=":material/edit:")
        st.caption("Identity")
        st.code(graph.identity[:12], language=None)
        st.caption("Start over from")
        for name, starter in STARTERS.items():
            st.button(
                name, key=f"starter_{name}", type="tertiary", help=starter.title, on_click=_take_starter, args=(name,)
            )


def _take_starter(name: str) -> None:
    state.set_graph(load_graph(name))


def _data() -> None:
    file = state.current_data()
    shown = label(file.title) if file else "No data yet"
    with st.popover(shown, icon=":material/table:", type="tertiary", help="The data set"):
        st.page_link("pages/data.py", label="Open in Data", icon=":material/table:")
        for other in (*library.samples(), *library.uploads()[:MOST_RUNS]):
            st.button(
                label(other.title),
                key=f"take_{other.id}",
                type="tertiary",
                icon=":material/check:" if file and other.id == file.id else None,
                on_click=state.set_data,
                args=(other.id,),
            )


def _run() -> None:
    run = state.current_run()
    if run is None:
        st.page_link("pages/train.py", label="No run yet", icon=":material/model_training:")
        return
    going = run.status()["state"] not in FINAL_STATES
    parts.fragment(_runs, REFRESH if going else None)(run)


def _runs(run: RunFolder) -> None:
    line, stands = run_line(run)
    with st.popover(label(line), icon=stands.sign, type="tertiary", help=f"The run: {stands.words}", key="run_menu"):
        for page, text in (("train", "Curves"), ("routes", "Routes"), ("evaluate", "Evaluate")):
            st.page_link(f"pages/{page}.py", label=text, query_params={"run": run.name})
        st.caption("Other runs")
        for other in list_runs(workspace())[:MOST_RUNS]:
            line, stands = run_line(other)
            if st.button(
                label(line),
                key=f"look_{other.name}",
                type="tertiary",
                icon=stands.sign,
                on_click=state.set_run,
                args=(other.name,),
            ):
                st.rerun()  # the page below is about it too
