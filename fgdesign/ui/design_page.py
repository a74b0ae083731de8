"""The parts of the Design page: the bar with the graph's life, the editor, the summary line, a conflict.

Knows nothing of how an edit is made or a graph is stored; `design_state` does both.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.graph.backbones import describe_backbone
from fgdesign.graph.compare import compare
from fgdesign.graph.estimate import estimate
from fgdesign.graph.infer import Summary
from fgdesign.runs import command_line
from fgdesign.runs.folder import workspace
from fgdesign.ui import design_state as design
from fgdesign.ui import library, parts, start, state
from fgdesign.ui.canvas import bring_library, draw
from fgdesign.ui.design_dialogs import choose_graph, export_dialog, json_dialog, show_changes, versions_dialog
from fgdesign.ui.design_inspector import inspector
from fgdesign.ui.design_session import DesignSession
from fgdesign.ui.design_tables import tables
from fgdesign.ui.speed import macs_per_second
from fgdesign.ui.words import command
from fgdesign.views.numbers import percent, plain, short

CANVAS = "design_canvas"
VIEW = "design_view"  # session key: which of the two ways to draw is shown
VIEWS = {"canvas": ":material/draw: Canvas", "tables": ":material/table_rows: Tables"}
PANEL_HEIGHT = 620
FEWEST_MS = 0.1  # what is estimated below is said to be less
MOST_BYTES = 20 << 20  # of a data file that is read only to count its classes


def bar() -> None:
    """Open, keep, share: one line above the canvas. It runs with the whole page, when the canvas may be a new one.

    A canvas that stays holds what it was sent; so an edit that changes the rest of the page costs no more.
    """
    here = design.editor()
    if not here.stays:
        here.session.feed.held = 0
    here.stays = False
    here.session.classes = _classes()
    here.shown = _outside(here.session)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if st.button("New", icon=":material/add:", help="An empty graph, a starter or a graph of yours"):
            choose_graph()
        if st.button("Versions", icon=":material/history:", help="Save a version, compare, go back"):
            versions_dialog()
        if st.button("JSON", icon=":material/data_object:", help="Read, edit or import the graph as JSON"):
            json_dialog()
        if st.button("Export", icon=":material/download:", help="JSON, SVG, a page that works alone"):
            export_dialog()
        with st.popover("Command", icon=":material/terminal:"):
            _commands(here.key)
        st.space("stretch")
        st.segmented_control("How to draw", list(VIEWS), key=VIEW, default="canvas", required=True,
                             format_func=VIEWS.__getitem__, label_visibility="collapsed")


def _commands(key: str) -> None:
    """What checks and trains this graph from a terminal, with the real paths."""
    graph = str(workspace() / "graphs" / f"{key}.json") if key else design.editor().session.graph.name
    file = state.current_data()
    data = str(file.path) if file else "DATA.csv"
    st.code(command("fgdesign", "check", graph), language="bash", wrap_lines=True)
    line = command_line.command(graph, Path(data), workspace() / "runs" / "NAME", **start.columns())
    st.code(command("fgdesign", *line), language="bash", wrap_lines=True)


def _classes() -> int:
    """How many classes the chosen data have, so that the widths of logits are known; 0 while they are not."""
    file = state.current_data()
    if file is None or file.path.stat().st_size > MOST_BYTES:
        return 0
    try:
        data = library.dataset(file, **state.reading())
    except (FgdesignError, OSError):
        return 0
    return 1 if data.task.kind == "regression" else len(data.labels)


def editor() -> None:
    """Canvas or tables, and the inspector."""
    _editor()
    if _drawn():
        bring_library(CANVAS)


def _drawn() -> bool:
    return st.session_state.get(VIEW) != "tables"


@parts.fragment
def _editor() -> None:
    """An edit runs this part again, not the page."""
    here = design.editor()
    if here.conflict:
        _conflict()
    left, right = st.columns([3.3, 1], gap="small")
    with left:
        if _drawn():
            data = here.session.picture()
            draw(data, key=CANVAS, height="window", editable=True, on_ops=design.receive, feed=here.session.feed)
        else:
            tables(here.session, design.do)
        _summary(here.session)
    with right, st.container(height=PANEL_HEIGHT, border=False):
        if here.error:
            with st.container(border=True):
                st.text(here.error)
        inspector(here.session, design.do)
    if here.shown != _outside(here.session):
        here.stays = True
        st.rerun()


def _outside(session: DesignSession) -> tuple[str, bool]:
    """What the rest of the page shows of the graph: its name, and whether it can be trained."""
    return session.graph.name, any(problem.severity == "error" for problem in session.findings().problems)


def _summary(session: DesignSession) -> None:
    found = session.findings()
    total = found.summary
    if total is None:
        return
    errors = sum(problem.severity == "error" for problem in found.problems)
    parts = [
        ":material/check_circle: ready to train"
        if not found.problems
        else f":material/warning: {errors} {'problem' if errors == 1 else 'problems'}",
        f"{total.nodes} nodes",
        f"{short(total.parameters)} parameters",
        f"{short(total.trained)} trained ({percent(total.trained / max(1, total.parameters))})",
        f"{short(total.macs_per_token)} multiply-adds per token"
        + (
            f", {short(total.expected_macs_per_token)} expected"
            if total.expected_macs_per_token < total.macs_per_token
            else ""
        ),
        f"{found.static} static",
        *_about(session, total),
    ]
    st.caption(" · ".join(parts))


def _about(session: DesignSession, total: Summary) -> list[str]:
    """Time and memory as this machine would need them."""
    try:
        backbone = describe_backbone(session.graph.backbone)
    except FgdesignError:
        return []
    about = estimate(session.graph, session.findings().inferred, total, backbone, macs_per_second())
    most = f", {_time(about.deepest)} where it calls all" if about.deepest > about.milliseconds >= FEWEST_MS else ""
    return [
        f"{_time(about.milliseconds)} per text of 32 tokens{most}",
        f"about {short(_rough(about.training_bytes), 'B')} of memory to train",
    ]


def _time(milliseconds: float) -> str:
    return f"about {plain(_rough(milliseconds))} ms" if milliseconds >= FEWEST_MS else f"under {FEWEST_MS:g} ms"


def _rough(value: float) -> float:
    """Two significant digits: an estimate promises no more."""
    return float(f"{value:.2g}")


def _conflict() -> None:
    try:
        theirs, _ = design.store().read(design.editor().key)
    except FgdesignError as error:
        st.text(str(error))
        return
    changes = compare(design.editor().session.graph, theirs)
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.text(f"This graph was changed elsewhere. There: {changes}.")
        st.button("Take theirs", on_click=design.take_theirs)
        st.button("Keep mine as a copy", on_click=design.keep_mine)
        st.button("Overwrite theirs", on_click=design.save, kwargs={"force": True})
    with st.expander("What is different there", expanded=True):
        show_changes(changes, "conflict_changes")
