"""The dialogs of the Design page: new and kept graphs, versions, JSON, files to take away.

Knows nothing of how a graph is stored; `design_state` does that.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from fgdesign.errors import FgdesignError, GraphError
from fgdesign.graph.compare import Comparison, compare
from fgdesign.graph.spec import Graph, from_json, to_json
from fgdesign.graph.starters import STARTERS
from fgdesign.ui import canvas as drawing
from fgdesign.ui import design_state as design
from fgdesign.ui.canvas import draw, styles
from fgdesign.ui.design_store import Version
from fgdesign.views.canvas import canvas_data
from fgdesign.views.canvas_thumb import picture, thumbnail
from fgdesign.views.export import standalone_html

NOW = 0  # in the choice of versions: the graph as it is
DELETED = "design_deleted"  # session key: the graph that was deleted last


@st.dialog("New graph", width="large")
def choose_graph() -> None:
    """Empty, a starter with its picture, a copy of this graph, or one of the workspace."""
    here = design.editor()
    with st.container(horizontal=True):
        _open_button("Empty graph", Graph("untitled"), icon=":material/check_box_outline_blank:")
        _open_button("Duplicate this graph", here.session.graph, icon=":material/content_copy:")
        drafts = design.store().drafts()
        with st.popover("My graphs", icon=":material/folder_open:", disabled=not drafts):
            for draft in drafts[:40]:
                _draft_line(draft.key, open_now=draft.key == here.key)
        gone = st.session_state.get(DELETED, "")
        if gone:
            st.button(f"Bring back {gone}", icon=":material/undo:", on_click=_bring_back, args=(gone,))
    columns = st.columns(3)
    for i, starter in enumerate(STARTERS.values()):
        with columns[i % 3].container(border=True):
            st.image(thumbnail(starter.graph), width="stretch")
            _open_button(starter.title, starter.graph, key=f"starter|{starter.name}", width="stretch")
            st.caption(starter.about)


def _draft_line(key: str, *, open_now: bool) -> None:
    """A graph of the workspace: open it, or delete it, which can be undone."""
    with st.container(horizontal=True):
        if st.button(key, key=f"draft|{key}", width="stretch", on_click=_open_draft, args=(key,)):
            st.rerun()
        st.button("Delete", key=f"drop|{key}", icon=":material/delete:", disabled=open_now,
                  on_click=_delete, args=(key,), help="This graph is open." if open_now else "It can be brought back.")


def _open_draft(key: str) -> None:
    try:
        design.open_draft(key)
    except GraphError as error:
        design.editor().error = str(error)


def _open_button(words: str, graph: Graph, **options: Any) -> None:
    if st.button(words, on_click=design.open_graph, args=(graph,), **options):
        st.rerun()  # closes the dialog


def _delete(key: str) -> None:
    design.store().delete(key)
    st.session_state[DELETED] = key


def _bring_back(key: str) -> None:
    design.store().restore(key)
    st.session_state[DELETED] = ""


@st.dialog("Versions", width="large")
def versions_dialog() -> None:
    """Save the graph for good, see what two versions differ in, go back."""
    here = design.editor()
    design.save(force=not here.key)
    if st.button("Save this version", type="primary", icon=":material/bookmark_add:"):
        number = design.store().save_version(here.key, here.session.graph)
        st.toast(f"Version {number} is saved")
    kept = {version.number: version for version in design.store().versions(here.key)[:30]}
    if not kept:
        st.caption("No version yet. Drafts are saved with every edit; a version stays as it is.")
        return
    other = st.selectbox("Compare with", [NOW, *kept], format_func=lambda number: _version_name(kept.get(number)),
                         key="version_other")
    against = kept[other].graph if other in kept else here.session.graph
    for version in kept.values():
        _version_line(version, against, "since then" if other == NOW else f"to version {other}")


def _version_name(version: Version | None) -> str:
    if version is None:
        return "the graph as it is now"
    return f"version {version.number} · {version.saved[:16].replace('T', ' ')} · {version.by}"


def _version_line(version: Version, against: Graph, word: str) -> None:
    """When a version was saved and by whom, and what another graph has that it has not."""
    found = compare(version.graph, against)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.text(f"{version.number} · {version.saved[:16].replace('T', ' ')} · {version.by}")
        st.text(f"{word}: {found}")
        seen = st.toggle("Show", key=f"compare|{version.number}", disabled=not found.changes)
        if st.button("Go back to it", key=f"version|{version.number}", on_click=design.import_json,
                     args=(to_json(version.graph),)):
            st.rerun()
    if seen and found.changes:
        show_changes(found, f"changes|{version.number}")


def show_changes(found: Comparison, key: str) -> None:
    """Both graphs in one picture."""
    draw(canvas_data(found.graph, changes=found), key=key, height=400)
    st.caption("Green with a plus: added. Pale and struck: removed. Orange with Δ: changed; hover says how.")


@st.dialog("Graph as JSON", width="large")
def json_dialog() -> None:
    """The graph as text: edit it, or read a file."""
    given = st.file_uploader("Import a file", type="json")
    text = st.text_area(
        "JSON", given.getvalue().decode("utf-8", "replace") if given else design.graph_json(), height=420
    )
    if st.button("Apply", type="primary"):
        try:
            from_json(text)
        except FgdesignError as error:
            st.text(str(error))
        else:
            design.import_json(text)
            st.rerun()


@st.dialog("Export")
def export_dialog() -> None:
    """Files to take away."""
    graph, name = design.editor().session.graph, design.editor().key or "graph"
    st.download_button(
        "Graph as JSON", design.graph_json(), f"{name}.json", "application/json", width="stretch"
    )
    st.download_button("Picture as SVG", picture(graph), f"{name}.svg", "image/svg+xml", width="stretch")
    page = standalone_html(canvas_data(graph), drawing.library(), styles())
    st.download_button("Page that works alone (HTML)", page, f"{name}.html", "text/html", width="stretch")
    st.caption("A PNG picture is saved by the arrow in the canvas's tools.")
