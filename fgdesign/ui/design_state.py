"""The editor's place in the session: which graph is open, edits that reach the project and the draft's file.

Knows nothing of widgets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from fgdesign.errors import FgdesignError, GraphError
from fgdesign.graph.layout import placed
from fgdesign.graph.spec import Graph, to_json
from fgdesign.runs.folder import workspace
from fgdesign.ui import state
from fgdesign.ui.design_session import DesignSession
from fgdesign.ui.design_store import ConflictError, DraftStore

EDITOR = "design_editor"  # session key of the Editor


@dataclass
class Editor:
    """An open graph: its session, its draft's key and stamp ("" before the first edit), the last error.

    shown: name and state of the graph as the rest of the page tells them.
    stays: the page runs anew only for them; the canvas is the same.
    kept: the graph as the project was last given it. Streamlit may end a callback at any use of the session state,
    between an edit and its saving; what differs from `kept` is saved by the run after.
    """

    session: DesignSession
    kept: Graph
    key: str = ""
    stamp: str = ""
    error: str = ""
    conflict: bool = False
    shown: tuple[str, bool] = ("", False)
    stays: bool = False


def store() -> DraftStore:
    """The graphs of the workspace."""
    return DraftStore(workspace() / "graphs")


def editor() -> Editor:
    """The open editor: of the graph in the address (?graph=KEY), else of the project's."""
    wanted = st.query_params.get("graph", "")
    found: Editor | None = st.session_state.get(EDITOR)
    if found is None and wanted:
        try:
            open_draft(wanted)
        except GraphError as error:
            st.session_state[EDITOR] = _editor_of(state.current_graph(), error=str(error))
    elif found is None or _changed_elsewhere(found):
        st.session_state[EDITOR] = _editor_of(state.current_graph())
    elif found.session.graph != found.kept:
        save()
    opened: Editor = st.session_state[EDITOR]
    if opened.key and wanted != opened.key:
        st.query_params["graph"] = opened.key
    return opened


def receive(batch: Mapping[str, Any]) -> None:
    """Edits of the canvas; then autosave."""
    here = editor()
    here.error = ""
    here.session.receive(batch)
    save()


def do(op: Mapping[str, Any]) -> None:
    """An edit of a form; a refusal is kept to be shown. Then autosave."""
    here = editor()
    here.error = ""
    try:
        here.session.do(op)
    except FgdesignError as error:
        here.error = str(error)
    save()


def save(*, force: bool = False) -> None:
    """Write the graph to the project and its draft, where it has changed."""
    here: Editor = st.session_state[EDITOR]
    graph = here.session.graph
    if graph == here.kept and not force:
        return
    state.set_graph(graph)
    here.kept = graph
    try:
        if here.key:
            here.stamp = store().write(here.key, graph, None if force else here.stamp)
        else:
            here.key, here.stamp = store().create(graph)
            st.query_params["graph"] = here.key
        here.conflict = False
    except ConflictError:
        here.conflict = True
    except OSError as error:
        here.error = f"The graph could not be saved: {error.strerror}. Free some space, or export it as JSON."


def open_draft(key: str) -> None:
    """Open a draft. Raises GraphError where it is missing or broken."""
    graph, stamp = store().read(key)
    _open(_editor_of(graph, key, stamp))


def open_graph(graph: Graph) -> None:
    """Open a graph as a new draft, which is written at once."""
    new = _editor_of(graph)
    new.key, new.stamp = store().create(new.session.graph)
    _open(new)


def import_json(text: str) -> None:
    """Put a graph given as JSON in place of the one that is open; it can be undone."""
    do({"op": "open", "json": text})


def graph_json() -> str:
    """The open graph as JSON."""
    return to_json(editor().session.graph)


def take_theirs() -> None:
    """After a conflict: open the graph as somebody else left it."""
    open_draft(editor().key)


def keep_mine() -> None:
    """After a conflict: keep this graph as a draft of its own."""
    open_graph(editor().session.graph)


def _open(opened: Editor) -> None:
    st.session_state[EDITOR] = opened
    st.query_params["graph"] = opened.key
    state.set_graph(opened.session.graph)


def _editor_of(graph: Graph, key: str = "", stamp: str = "", *, error: str = "") -> Editor:
    session = DesignSession(graph)
    return Editor(session, session.graph, key, stamp, error)


def _changed_elsewhere(opened: Editor) -> bool:
    """True where another page put another graph into the project."""
    graph = state.current_graph()
    if graph is opened.kept or graph is opened.session.graph:
        return False
    return placed(graph) not in (opened.kept, opened.session.graph)
