"""The slim line on every page: project, graph, data, run; each a link and a switcher.

Knows nothing of what a page shows.
"""

from __future__ import annotations

import streamlit as st

from fgdesign.graph import STARTERS, load_graph
from fgdesign.runs.folder import RunFolder, list_runs, workspace
from fgdesign.ui import library, start, state
from fgdesign.ui.words import label, one_line
from fgdesign.views.numbers import percent

MOST_RUNS = 8
LONGEST_LINE = 48  # of a run
SIGNS = {
    "preparing": ":material/hourglass_top:",
    "running": ":material/play_circle:",
    "succeeded": ":material/check_circle:",
    "failed": ":material/error:",
    "stopped": ":material/stop_circle:",
    "queued": ":material/hourglass_top:",
    "paused": ":material/pause_circle:",
    "cancelled": ":material/cancel:",
}


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


def run_line(run: RunFolder) -> str:
    """A run in one short line: as much of its name as fits before its state and progress."""
    status = run.status()
    going = f" {percent(status['progress'])}" if status["state"] == "running" else ""
    how = f" · {status['state']}{going}"
    return one_line(run.name, LONGEST_LINE - len(how)) + how


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
    sign = SIGNS.get(run.status()["state"], ":material/help:")
    with st.popover(label(run_line(run)), icon=sign, type="tertiary", help="The run"):
        for page, text in (("train", "Curves"), ("routes", "Routes"), ("evaluate", "Evaluate")):
            st.page_link(f"pages/{page}.py", label=text, query_params={"run": run.name})
        st.caption("Other runs")
        for other in list_runs(workspace())[:MOST_RUNS]:
            st.button(
                label(run_line(other)),
                key=f"look_{other.name}",
                type="tertiary",
                icon=SIGNS.get(other.status()["state"]),
                on_click=state.set_run,
                args=(other.name,),
            )
