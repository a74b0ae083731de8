"""The second way to draw: problems, nodes and edges as tables and forms, every edit the canvas's own operation.

All of it works with the keyboard and ordinary widgets. Knows nothing of how an edit is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from fgdesign.graph.catalogue import CATALOGUE
from fgdesign.graph.infer import known_type, tuning_of
from fgdesign.graph.repair import bridge
from fgdesign.graph.spec import Edge, Graph, Node
from fgdesign.graph.validate import connection_problem
from fgdesign.ui.design_session import DesignSession
from fgdesign.ui.words import label
from fgdesign.views.canvas import price, share
from fgdesign.views.numbers import percent, short

Do = Callable[[dict[str, Any]], None]
ROUND = "design_table_round"  # session key: counts edits of the tables, so that a refused one does not stay in them
SELECTED = "design_table_nodes"
FACTS = ["Type", "Fed by", "Gives", "Parameters", "Compute", "Problem"]
TUNINGS = ("frozen", "lora", "adapter", "full")


def tables(session: DesignSession, do: Do) -> None:
    """The whole editor without the canvas; what is selected is edited in the inspector.

    Buttons read the fields beside them when they are pressed, which may be before the page has followed a choice.
    """
    _history(session, do)
    _problems(session, do)
    left, right = st.columns([2, 1], gap="medium")
    with left:
        _nodes(session, do)
    with right:
        _add_form(session, do)
    left, right = st.columns([2, 1], gap="medium")
    with left:
        _edges(session, do)
    with right:
        _connect_form(session, do)


def node_edits(nodes: Sequence[Node], changed: Mapping[int, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Operations for cells of the node table that were changed: row -> column -> value."""
    edits: list[dict[str, Any]] = []
    for row, cells in changed.items():
        node = nodes[int(row)]
        if "Tuning" in cells:
            edits.append({"op": "tuning", "nodes": [node.id], "tuning": cells["Tuning"]})
        if "Node" in cells:
            edits.append({"op": "rename", "id": node.id, "name": str(cells["Node"] or "")})
    return edits


def edge_edits(edges: Sequence[Edge], changes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Operations for the edge table's changes: `edited_rows`, `added_rows`, `deleted_rows` of a data editor."""
    edits: list[dict[str, Any]] = []
    for row, cells in changes.get("edited_rows", {}).items():
        edge = edges[int(row)]
        start, end = cells.get("From", edge.source), cells.get("To", edge.target)
        if (start, end) != (edge.source, edge.target):
            edits.append({"op": "reconnect", "old_start": edge.source, "old_end": edge.target,
                          "start": start, "end": end})
        if "Weight" in cells:
            edits.append({"op": "weight", "start": start, "end": end, "weight": cells["Weight"]})
    edits += [{"op": "connect", "start": row["From"], "end": row["To"]}
              for row in changes.get("added_rows", ()) if row.get("From") and row.get("To")]
    gone = [f"{edges[row].source}>{edges[row].target}" for row in changes.get("deleted_rows", ())]
    return [*edits, {"op": "delete", "nodes": [], "edges": gone}] if gone else edits


def _history(session: DesignSession, do: Do) -> None:
    past, future = session.past[-1:], session.future[-1:]
    with st.container(horizontal=True, gap="small"):
        st.button(f"Undo: {past[0].name}" if past else "Nothing to undo", key="table|undo", icon=":material/undo:",
                  disabled=not past, on_click=do, args=({"op": "undo"},))
        st.button(f"Redo: {future[0].name}" if future else "Nothing to redo", key="table|redo", icon=":material/redo:",
                  disabled=not future, on_click=do, args=({"op": "redo"},))
        st.button("Copy", key="table|copy", icon=":material/content_copy:", disabled=not session.nodes,
                  on_click=do, args=({"op": "copy", "nodes": list(session.nodes)},))
        st.button("Paste", key="table|paste", icon=":material/content_paste:", disabled=session.clipboard is None,
                  on_click=do, args=({"op": "paste"},))
        st.button("Lay out", key="table|layout", icon=":material/account_tree:", on_click=do,
                  args=({"op": "layout"},), help="Places the nodes for the canvas and for pictures.")


def _problems(session: DesignSession, do: Do) -> None:
    found = session.findings()
    for at, (problem, fixes) in enumerate(zip(found.problems, found.fixes, strict=True)):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.text(f"{'▲' if problem.severity == 'error' else '△'} {problem}", width="stretch")
            if problem.node in session.graph.ids:
                st.button("Go to node", key=f"table|go|{at}", on_click=do,
                          args=({"op": "select", "nodes": [problem.node]},))
            for which, (words, _) in enumerate(fixes):
                op = {"op": "repair", "problem": at, "repair": which, "label": words}
                st.button(label(words), key=f"table|fix|{at}|{which}", on_click=do, args=(op,))


def _nodes(session: DesignSession, do: Do) -> None:
    graph, found = session.graph, session.findings().inferred
    total = sum(map(price, found.costs.values()))
    warned = {problem.node for problem in session.findings().problems}
    rows = []
    for node in graph.nodes:
        entry, cost = known_type(node), found.costs.get(node.id)
        rows.append({
            "Node": node.id,
            "Type": entry.title if entry else node.type[:60],
            "Tuning": tuning_of(node) if entry and entry.tunings else None,
            "Fed by": ", ".join(edge.source for edge in graph.into(node.id)),
            "Gives": ", ".join(dict.fromkeys(str(found.values.get(port, "?")) for port in _outputs(node))),
            "Parameters": short(cost.parameters) if cost else "",
            "Compute": percent(share(cost, total)) if cost else "",
            "Problem": "yes" if node.id in warned else "",
        })
    columns = {"Tuning": st.column_config.SelectboxColumn(options=list(TUNINGS)),
               "Node": st.column_config.TextColumn(max_chars=64, required=True)}
    frame = pd.DataFrame(rows, columns=["Node", "Tuning", *FACTS])
    _table("nodes", frame, columns, FACTS, session, lambda changes: node_edits(graph.nodes, changes["edited_rows"]), do)


def _edges(session: DesignSession, do: Do) -> None:
    graph, found = session.graph, session.findings().inferred
    rows = [{"From": edge.source, "To": edge.target, "Weight": edge.weight,
             "Carries": str(found.values.get(edge.source, ""))} for edge in graph.edges]
    frame = pd.DataFrame(rows, columns=["From", "To", "Carries", "Weight"]).astype({"Weight": "Float64"})
    ends = st.column_config.SelectboxColumn
    columns = {"From": ends(options=outputs(graph), required=True), "To": ends(options=inputs(graph), required=True),
               "Weight": st.column_config.NumberColumn(format="%g", help="Only add weighs its inputs.")}
    _table("edges", frame, columns, ["Carries"], session, lambda changes: edge_edits(graph.edges, changes), do,
           num_rows="dynamic")


def _table(name: str, frame: pd.DataFrame, columns: Mapping[str, Any], fixed: list[str], session: DesignSession,
           edits: Callable[[Any], list[dict[str, Any]]], do: Do, **options: Any) -> None:
    """A data editor that is made anew after each edit, so that it shows the graph and nothing else."""
    rounds = st.session_state.setdefault(ROUND, 0)
    key = f"table|{name}|{session.revision}|{rounds}"

    def changed() -> None:
        st.session_state[ROUND] += 1
        for op in edits(st.session_state[key]):
            do(op)

    st.markdown(f"**{name.capitalize()}**")
    st.data_editor(frame, key=key, column_config=columns, disabled=fixed, hide_index=True,
                   on_change=changed, **options)


def _add_form(session: DesignSession, do: Do) -> None:
    graph = session.graph
    st.session_state[SELECTED] = [node for node in session.nodes if node in graph.ids]
    st.multiselect("Selected nodes", graph.ids, key=SELECTED, on_change=lambda: do(
        {"op": "select", "nodes": list(st.session_state[SELECTED])}), help="What is selected is edited on the right.")
    kind = st.selectbox("New node", list(CATALOGUE), key="form|add",
                        format_func=lambda name: f"{CATALOGUE[name].title} ({CATALOGUE[name].category})")
    behind = f" behind {', '.join(session.nodes[:2])}{' …' if len(session.nodes) > 2 else ''}" if session.nodes else ""
    st.caption(CATALOGUE[kind].summary)
    st.button(f"Add{behind}", key="form|add_button", width="stretch", on_click=lambda: do(
        {"op": "add", "type": st.session_state["form|add"], "after": list(session.nodes)}))


def _connect_form(session: DesignSession, do: Do) -> None:
    """Connect two ports by name, with the reason where it cannot work, and remove an edge."""
    graph, found = session.graph, session.findings().inferred
    if not (outputs(graph) and inputs(graph)):
        st.caption("Two nodes make an edge.")
        return
    start = st.selectbox("From", outputs(graph), key="form|from",
                         format_func=lambda port: f"{port} ({found.values.get(port, 'not known yet')})")
    end = st.selectbox("To", inputs(graph), key="form|to", format_func=lambda port: f"{port} ({_takes(graph, port)})")
    problem = connection_problem(graph, Edge(start, end))
    st.button("Connect", key="form|connect", disabled=problem is not None, width="stretch", on_click=lambda: do(
        {"op": "connect", "start": st.session_state["form|from"], "end": st.session_state["form|to"]}))
    if problem is not None:
        st.text(str(problem))
        through = bridge(graph, start, end)
        if through is not None:
            st.button(label(through[0]), key="form|bridge", on_click=do, width="stretch",
                      args=({"op": "bridge", "start": start, "end": end},))
    edges = [f"{edge.source}>{edge.target}" for edge in graph.edges]
    if edges:
        st.selectbox("Edge", edges, key="form|edge", format_func=lambda edge: edge.replace(">", " → "))
        st.button("Remove edge", key="form|disconnect", width="stretch", on_click=lambda: do(
            {"op": "delete", "nodes": [], "edges": [st.session_state["form|edge"]]}))


def outputs(graph: Graph) -> list[str]:
    """All outputs of a graph, as "node.port"."""
    return [port for node in graph.nodes for port in _outputs(node)]


def inputs(graph: Graph) -> list[str]:
    """All inputs of a graph, as "node.port"."""
    return [f"{node.id}.{port.name}" for node in graph.nodes if (entry := known_type(node)) for port in entry.inputs]


def _outputs(node: Node) -> list[str]:
    entry = known_type(node)
    return [f"{node.id}.{port}" for port in entry.output_names(node.params)] if entry else []


def _takes(graph: Graph, end: str) -> str:
    node, _, name = end.partition(".")
    entry = known_type(graph.node(node))
    port = entry.input(name) if entry else None
    return f"takes {' or '.join(port.types)}" if port else ""
