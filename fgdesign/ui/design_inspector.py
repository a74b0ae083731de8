"""The inspector: a form for what is selected, made from the node catalogue. Every change is an operation.

Knows nothing of particular node types but routers and exits, whose own parts are beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from fgdesign.graph.infer import known_type, params_of, tuning_of
from fgdesign.graph.spec import TASKS, Node
from fgdesign.graph.types import NodeType, Param
from fgdesign.ui.design_branches import branches_form
from fgdesign.ui.design_rules import rules_form
from fgdesign.ui.design_runs import exit_line, last_run
from fgdesign.ui.design_session import DesignSession
from fgdesign.views.canvas import price
from fgdesign.views.numbers import percent, short

Do = Callable[[dict[str, Any]], None]
TUNING_HELP = {
    "frozen": "keeps its weights",
    "lora": "learns a low-rank update",
    "adapter": "learns a bottleneck adapter",
    "full": "learns all its weights",
}
UNUSED = {True: {"threshold"}, False: {"tolerance"}}  # of an exit, by whether its threshold is picked automatically


def inspector(session: DesignSession, do: Do) -> None:
    """The form for the selected node, nodes or edge, or the graph where nothing is selected."""
    if len(session.nodes) == 1:
        _node_form(session, session.graph.node(session.nodes[0]), do)
    elif session.nodes:
        _several_form(session, do)
    elif len(session.edges) == 1:
        _edge_form(session, session.edges[0], do)
    else:
        _graph_form(session, do)


def _graph_form(session: DesignSession, do: Do) -> None:
    graph = session.graph
    st.markdown("**Graph**")
    _widget(
        st.text_input,
        "Name",
        graph.name,
        lambda value: do({"op": "settings", "name": value}),
        "graph|name",
        max_chars=200,
    )
    _widget(
        st.selectbox,
        "Task",
        TASKS.index(graph.task),
        lambda value: do({"op": "settings", "task": value}),
        "graph|task",
        options=TASKS,
        help="auto: what the data ask for.",
    )
    _widget(
        st.text_input,
        "Backbone",
        graph.backbone,
        lambda value: do({"op": "settings", "backbone": value}),
        "graph|backbone",
        help="The default works without a network; else a folder or a Hugging Face id.",
    )
    found = session.findings()
    if found.static:
        st.caption(
            f"Hatched cards ({found.static}) are static: computed once for each text. "
            f"Kept: {_listed(found.inferred.frontier) or 'nothing'}."
        )


def _several_form(session: DesignSession, do: Do) -> None:
    nodes = list(session.nodes)
    st.markdown(f"**{len(nodes)} nodes**")
    entries = [known_type(session.graph.node(name)) for name in nodes]
    common = [
        word
        for word in ("frozen", "lora", "adapter", "full")
        if all(e and word in e.tunings for e in entries)
    ]
    if common:
        _widget(
            st.segmented_control,
            "Tuning",
            None,
            lambda word: do({"op": "tuning", "nodes": nodes, "tuning": word}),
            f"many|{'|'.join(nodes)[:200]}",
            options=common,
            initial="default",
        )
    _copy_and_delete(nodes, do)


def _copy_and_delete(nodes: list[str], do: Do) -> None:
    with st.container(horizontal=True, gap="small"):
        st.button("Duplicate", on_click=do, args=({"op": "duplicate", "nodes": nodes},), width="stretch")
        st.button("Delete", on_click=do, args=({"op": "delete", "nodes": nodes, "edges": []},), width="stretch")


def _edge_form(session: DesignSession, name: str, do: Do) -> None:
    start, _, end = name.partition(">")
    edge = next(edge for edge in session.graph.edges if (edge.source, edge.target) == (start, end))
    st.markdown("**Edge**")
    st.text(f"{start} → {end}")
    st.caption(f"Carries {session.findings().inferred.values.get(start, 'what is not known yet')}.")
    if edge.weight is not None or session.graph.node(edge.target_node).type == "add/1":
        _widget(
            st.number_input,
            "Weight",
            edge.weight,
            lambda value: do({"op": "weight", "start": start, "end": end, "weight": value}),
            name,
            placeholder="1",
            step=0.1,
            format="%g",
            help="Multiplies the value before it is added; the start where the add learns its weights. Empty: 1.",
        )
    st.button("Delete", on_click=do, args=({"op": "delete", "nodes": [], "edges": [name]},), width="stretch")


def _node_form(session: DesignSession, node: Node, do: Do) -> None:
    entry = known_type(node)
    _widget(
        st.text_input,
        "Name",
        node.id,
        lambda value: do({"op": "rename", "id": node.id, "name": value}),
        f"{node.id}|name",
        max_chars=64,
    )
    if entry is None:
        st.text(f"Unknown type {node.type[:100]}")
        return
    st.caption(f"**{entry.title}**: {entry.summary}")
    if entry.tunings:
        _widget(
            st.segmented_control,
            "Tuning",
            tuning_of(node),
            lambda word: do({"op": "tuning", "nodes": [node.id], "tuning": word}),
            f"{node.id}|tuning",
            options=entry.tunings,
            initial="default",
            width="stretch",
            help="; ".join(f"{word}: {TUNING_HELP[word]}" for word in entry.tunings) + ".",
        )
    values = params_of(node)
    idle = UNUSED[bool(values["automatic"])] if entry.role == "exit" else {"branches"}
    if entry.branches:
        branches_form(session.graph, node, do)
    for param in entry.params:
        if param.kind == "rules":
            rules_form(node, values, do)
        elif param.name not in idle:
            _param(node, param, values[param.name], do)
    if entry.role == "exit":
        st.text(exit_line(node) or "After a training this says how many rows leave here.")
    if node.params:
        reset = {"op": "params", "id": node.id, "params": dict.fromkeys(node.params)}
        st.button(
            "Reset to defaults", on_click=do, args=(reset,), icon=":material/restart_alt:", width="stretch"
        )
    _copy_and_delete([node.id], do)
    _facts(session, node, entry)


def _param(node: Node, param: Param, value: Any, do: Do) -> None:
    label = param.name.replace("_", " ").capitalize() + (f" ({param.unit})" if param.unit else "")
    changed = param.name in node.params
    text = f"{param.help} Default: {param.default!r}." + (
        f" From {param.low:g} to {param.high:g}." if param.low is not None and param.high is not None else ""
    )
    label = f"{label} •" if changed else label
    ident = f"{node.id}|{param.name}"

    def send(new: Any) -> None:
        do({"op": "params", "id": node.id, "params": {param.name: new}})

    if param.problem(value):
        st.text(f"{label}: {str(value)[:100]} is not allowed")
        st.button(f"Reset {param.name}", on_click=send, args=(None,))
        return
    match param.kind:
        case "bool":
            _widget(st.toggle, label, value, send, ident, help=text)
        case "choice":
            _widget(
                st.selectbox, label, param.choices.index(value), send, ident, options=param.choices, help=text
            )
        case "text":
            _widget(st.text_input, label, value, send, ident, help=text, max_chars=1000)
        case "int":
            _widget(
                st.number_input,
                label,
                int(value),
                send,
                ident,
                help=text,
                min_value=_whole(param.low),
                max_value=_whole(param.high),
                step=1,
            )
        case "float":
            _widget(
                st.number_input,
                label,
                float(value),
                send,
                ident,
                help=text,
                min_value=_number(param.low),
                max_value=_number(param.high),
                step=_step(param),
                format="%g",
            )


def _facts(session: DesignSession, node: Node, entry: NodeType) -> None:
    """Shapes in and out, and the node's part of the cost."""
    found = session.findings().inferred
    lines = []
    for port in entry.inputs:
        fed = [str(found.values.get(edge.source, "?")) for edge in session.graph.into(node.id, port.name)]
        lines.append(f"{port.name} ← {', '.join(fed) or 'nothing'}")
    for name in entry.output_names(entry.with_defaults(node.params)):
        lines.append(f"{name} → {found.values.get(f'{node.id}.{name}', 'not known yet')}")
    cost = found.costs.get(node.id)
    total = sum(map(price, found.costs.values()))
    if cost and total:
        lines.append(
            f"{short(cost.parameters)} parameters, {short(cost.trained)} trained; "
            f"{percent(price(cost) / total)} of the compute"
        )
    st.code("\n".join(lines), language=None, wrap_lines=True)
    run = last_run(node)
    st.text(f"Last used in run {run.name}" if run else "No run has used this node yet")


def _widget(
    make: Callable[..., Any],
    label: str,
    value: Any,
    send: Callable[[Any], Any],
    ident: str,
    *,
    initial: str = "",
    **options: Any,
) -> None:
    """A widget that shows a value of the graph and sends a new one; its key has the value, so undo shows.

    A browser that is behind reports fields which are gone from the page as if they were new; what they show is no edit.
    """
    key = f"inspect|{ident}|{value!r}"[:400]
    name = initial or ("index" if make is st.selectbox else "value")

    def changed() -> None:
        if st.session_state[key] != value:
            send(st.session_state[key])

    make(label, key=key, on_change=changed, **{name: value}, **options)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _step(param: Param) -> float:
    span = (param.high or 1.0) - (param.low or 0.0)
    return 0.002 if span <= 0.3 else 0.05 if span <= 2 else 0.1 if span <= 30 else 1.0


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
