"""Edits as plain data: what the browser or a form asks for, checked and applied to a graph.

Every field of an operation is untrusted. Pure functions of `graph.edit`; knows nothing of Streamlit, history
or files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from fgdesign.errors import GraphError, choices
from fgdesign.graph import branches, edit
from fgdesign.graph.backbones import describe_backbone
from fgdesign.graph.catalogue import node_type
from fgdesign.graph.infer import infer, params_of
from fgdesign.graph.layout import CARD_HEAD, COLUMN, PORT_ROW, free_place, layout, placed
from fgdesign.graph.repair import bridge
from fgdesign.graph.spec import TASKS, Edge, Graph, from_json
from fgdesign.graph.validate import connection_problem

Op = Mapping[str, Any]
Point = tuple[float, float]
FAR = 1e6


@dataclass(frozen=True)
class Outcome:
    """What an operation did: the new graph, its name for undo, and what is selected now (None: as before)."""

    graph: Graph
    name: str
    nodes: tuple[str, ...] | None = None
    edges: tuple[str, ...] = ()


def apply(graph: Graph, op: Op) -> Outcome:
    """Apply one operation. Raises GraphError with the reason where it is refused or malformed."""
    known = op.get("op")
    if not isinstance(known, str) or known not in OPERATIONS:
        raise GraphError(f"Unknown operation {str(known)[:60]!r}. {choices(OPERATIONS, str(known)[:60])}")
    return OPERATIONS[known](placed(graph), op)


def paste(graph: Graph, clip: Graph, at: Point | None) -> Outcome:
    """The nodes of `clip` with fresh ids, centred on `at` or a little beside where they were copied."""
    names: dict[str, str] = {}
    places = [node.position or (0.0, 0.0) for node in clip.nodes]
    shift = (2 * edit.GRID, 2 * edit.GRID)
    if at is not None and places:
        middle = [(min(axis) + max(axis)) / 2 for axis in zip(*places, strict=True)]
        shift = (at[0] - middle[0], at[1] - middle[1])
    for node, (x, y) in zip(clip.nodes, places, strict=True):
        names[node.id] = edit.fresh_id(graph, _stem(node.id))
        where = (round(x + shift[0]), round(y + shift[1]))
        graph = graph.with_nodes((*graph.nodes, replace(node, id=names[node.id], position=where)))
    copies = (
        replace(
            edge,
            source=f"{names[edge.source_node]}.{edge.source_port}",
            target=f"{names[edge.target_node]}.{edge.target_port}",
        )
        for edge in clip.edges
    )
    graph = graph.with_edges((*graph.edges, *copies))
    return Outcome(graph, f"paste {_several(list(names))}", tuple(names.values()))


def cut_out(graph: Graph, node_ids: Sequence[str]) -> Graph:
    """These nodes and the edges among them, as a graph of their own."""
    kept = set(node_ids)
    return replace(
        graph,
        nodes=tuple(graph.node(node_id) for node_id in node_ids),
        edges=tuple(edge for edge in graph.edges if {edge.source_node, edge.target_node} <= kept),
    )


def tried(graph: Graph, op: Op) -> dict[str, Any]:
    """Why a wire that hangs over a port cannot be drawn, and what would make it fit; both None where it can.

    "old_start" and "old_end" name the edge that it would be drawn in place of.
    """
    start, end = text(op, "start"), text(op, "end")
    if "old_start" in op:
        graph = edit.disconnect(graph, text(op, "old_start"), text(op, "old_end"))
    problem = connection_problem(graph, Edge(start, end))
    through = bridge(graph, start, end) if problem is not None and "old_start" not in op else None
    return {"start": start, "end": end, "reason": problem and str(problem), "fix": through and through[0]}


def texts(op: Op, key: str) -> list[str]:
    """A list of short texts out of an operation. Raises GraphError for anything else."""
    value = op.get(key, [])
    if (
        not isinstance(value, list)
        or len(value) > 5000
        or not all(isinstance(v, str) and len(v) < 300 for v in value)
    ):
        raise GraphError(f"The operation's '{key}' is not a list of names.")
    return value


def text(op: Op, key: str) -> str:
    """A short text out of an operation. Raises GraphError for anything else."""
    value = op.get(key)
    if not isinstance(value, str) or len(value) > 300:
        raise GraphError(f"The operation's '{key}' is not a name.")
    return value


def point(op: Op) -> Point | None:
    """A position out of an operation, or None where it has none. Raises GraphError for a bad one."""
    if "x" not in op and "y" not in op:
        return None
    return _pair([op.get("x"), op.get("y")])


def _pair(value: Any) -> Point:
    good = (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(
            isinstance(v, int | float) and not isinstance(v, bool) and isfinite(v) and abs(v) < FAR
            for v in value
        )
    )
    if not good:
        raise GraphError("The operation's position is not a pair of numbers.")
    return (float(value[0]), float(value[1]))


def _add(graph: Graph, op: Op) -> Outcome:
    entry = node_type(text(op, "type"))
    rows = max(1, len(entry.inputs), len(entry.output_names(entry.with_defaults({}))))
    at = free_place(graph, point(op) or _behind(graph, texts(op, "after")), CARD_HEAD + PORT_ROW * rows)
    feeders = [_free_output(graph, node_id, entry.name) for node_id in texts(op, "after")]
    sources = [text(op, "start")] if "start" in op else [source for source in feeders if source]
    onto = edit.main_edge(graph, text(op, "onto")) if "onto" in op else None
    if onto is not None:
        sources = [onto.source]
    new = entry.name.partition("/")[0]
    params: dict[str, Any] = {}
    if new == "encoder_layer":
        params["index"] = _next_layer(graph, sources)
        new = f"layer_{params['index']}"
    new = edit.fresh_id(graph, _stem(new) if new in graph.ids else new)
    graph = edit.add_node(graph, entry.name, node_id=new, position=at, **params)
    if onto is not None:
        return Outcome(edit.splice(graph, onto.source, onto.target, new),
                       f"insert {entry.title.lower()} behind {onto.source_node}", (new,))
    if isinstance(op.get("instead"), str):
        graph = edit.disconnect(graph, sources[0], op["instead"])
    for source in sources:
        graph = _join(graph, source, new, strict="start" in op)
    if "end" in op:
        graph = _feed(graph, new, text(op, "end"))
    return Outcome(graph, f"add {entry.title.lower()}", (new,))


def _behind(graph: Graph, node_ids: Sequence[str]) -> Point:
    """The place to the right of these nodes."""
    places = [graph.node(node_id).position or (0.0, 0.0) for node_id in node_ids]
    if not places:
        return (0.0, 0.0)
    return (max(x for x, _ in places) + COLUMN, sum(y for _, y in places) / len(places))


def _free_output(graph: Graph, node_id: str, kind: str) -> str | None:
    """The output of a node that a new node behind it would read: one that nobody reads, of a fitting type."""
    node, takes = graph.node(node_id), {t for port in node_type(kind).inputs for t in port.types}
    values = infer(graph).values
    entry = node_type(node.type)
    names = [f"{node_id}.{port}" for port in entry.output_names(entry.with_defaults(node.params))]
    fitting = [name for name in names if name not in values or values[name].type in takes]
    free = [name for name in fitting if not graph.out_of(node_id, name.partition(".")[2])]
    return next(iter(free if entry.role in ("router", "exit") else [*free, *fitting]), None)


def _join(graph: Graph, source: str, node_id: str, *, strict: bool) -> Graph:
    """Connect a source to the first input of a node that takes it."""
    refused: GraphError | None = None
    for port in node_type(graph.node(node_id).type).inputs:
        try:
            return edit.connect(graph, source, f"{node_id}.{port.name}")
        except GraphError as error:
            refused = refused or error
    if strict and refused:
        raise refused
    return graph


def _feed(graph: Graph, node_id: str, target: str) -> Graph:
    entry = node_type(graph.node(node_id).type)
    first = entry.output_names(entry.with_defaults({}))[0]
    return edit.connect(graph, f"{node_id}.{first}", target)


def _next_layer(graph: Graph, sources: Sequence[str]) -> int:
    """The index after the last encoder layer on the way to `sources`, or in the whole graph."""
    above = {source.partition(".")[0] for source in sources}
    queue = list(above)
    while queue:
        for edge in graph.into(queue.pop()):
            if edge.source_node not in above:
                above.add(edge.source_node)
                queue.append(edge.source_node)
    indices = [
        params_of(node)["index"]
        for node in graph.nodes
        if node.type == "encoder_layer/1" and (not sources or node.id in above)
    ]
    last = max((index for index in indices if isinstance(index, int)), default=0)
    return min(last + 1, describe_backbone(graph.backbone).layers)


def _connect(graph: Graph, op: Op) -> Outcome:
    start, end = text(op, "start"), text(op, "end")
    return Outcome(edit.connect(graph, start, end), f"connect {start} to {end}")


def _disconnect(graph: Graph, op: Op) -> Outcome:
    start, end = text(op, "start"), text(op, "end")
    return Outcome(edit.disconnect(graph, start, end), f"disconnect {start} from {end}")


def _reconnect(graph: Graph, op: Op) -> Outcome:
    start, end = text(op, "start"), text(op, "end")
    graph = edit.disconnect(graph, text(op, "old_start"), text(op, "old_end"))
    return Outcome(edit.connect(graph, start, end), f"reconnect {start} to {end}")


def _bridge(graph: Graph, op: Op) -> Outcome:
    start, end = text(op, "start"), text(op, "end")
    through = bridge(graph, start, end)
    if through is None:
        raise GraphError(f"Nothing fits between {start} and {end}. Connect {start} to another node.")
    return Outcome(through[1], through[0].lower())


def _delete(graph: Graph, op: Op) -> Outcome:
    nodes, edges = texts(op, "nodes"), texts(op, "edges")
    for edge in edges:
        start, _, end = edge.partition(">")
        graph = edit.disconnect(graph, start, end)
    name = _several(nodes) if nodes else _several(edges, "wire")
    return Outcome(edit.remove_nodes(graph, nodes), f"delete {name}", ())


def _move(graph: Graph, op: Op) -> Outcome:
    places = op.get("positions")
    if not isinstance(places, dict) or not places:
        raise GraphError("The operation moves nothing.")
    moved = edit.move(graph, {name: _pair(at) for name, at in places.items()})
    return Outcome(moved, f"move {_several(list(places))}")


def _splice(graph: Graph, op: Op) -> Outcome:
    start, _, end = text(op, "edge").partition(">")
    node_id = text(op, "id")
    graph = _move(graph, op).graph
    return Outcome(
        edit.splice(graph, start, end, node_id), f"insert {node_id} between {start} and {end}", (node_id,)
    )


def _rename(graph: Graph, op: Op) -> Outcome:
    old, new = text(op, "id"), re.sub(r"[\s-]+", "_", text(op, "name").strip().lower())
    return Outcome(edit.rename_node(graph, old, new), f"rename {old} to {new}", (new,))


def _params(graph: Graph, op: Op) -> Outcome:
    params, node_id = op.get("params"), text(op, "id")
    if not isinstance(params, dict) or not all(isinstance(name, str) for name in params):
        raise GraphError("The operation's 'params' is not an object of names and values.")
    names = ", ".join(f"{node_id}.{name}" for name in params)
    return Outcome(edit.set_params(graph, node_id, **params), f"set {names}")


def _branches(graph: Graph, op: Op) -> Outcome:
    """The branches of a router in another order, with more or with fewer."""
    order, node_id = op.get("order"), text(op, "id")
    if not isinstance(order, list) or not all(isinstance(n, int) and not isinstance(n, bool) for n in order):
        raise GraphError("The operation's 'order' is not a list of branches.")
    before = branches.branch_count(graph.node(node_id))
    what = "add a branch to" if len(order) > before else "remove a branch of" if len(order) < before else "sort"
    return Outcome(branches.reorder(graph, node_id, order), f"{what} {node_id}")


def _weight(graph: Graph, op: Op) -> Outcome:
    """The fixed weight of an edge; None takes it away."""
    start, end, value = text(op, "start"), text(op, "end"), op.get("weight")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < FAR):
        raise GraphError("The operation's 'weight' is not a number.")
    return Outcome(edit.set_weight(graph, start, end, value), f"weigh {start} to {end}")


def _tuning(graph: Graph, op: Op) -> Outcome:
    nodes, tuning = texts(op, "nodes"), op.get("tuning")
    if not isinstance(tuning, str | None):
        raise GraphError("The operation's 'tuning' is not a word.")
    return Outcome(edit.set_tuning(graph, nodes, tuning), f"tune {_several(nodes)} as {tuning or 'default'}")


def _duplicate(graph: Graph, op: Op) -> Outcome:
    nodes = texts(op, "nodes")
    graph, names = edit.duplicate(graph, nodes)
    return Outcome(graph, f"duplicate {_several(nodes)}", tuple(names.values()))


def _layout(graph: Graph, op: Op) -> Outcome:
    return Outcome(layout(graph), "lay out")


def _settings(graph: Graph, op: Op) -> Outcome:
    """The graph's own name, backbone and task."""
    name, backbone, task = (op.get(key, getattr(graph, key)) for key in ("name", "backbone", "task"))
    if not isinstance(name, str) or not name.strip() or len(name) > 200:
        raise GraphError("A graph's name has 1 to 200 characters.")
    if task not in TASKS:
        raise GraphError(f"The task is {task!r}. {choices(TASKS)}")
    if not isinstance(backbone, str):
        raise GraphError("The backbone is not a name.")
    describe_backbone(backbone)
    changed = [key for key in ("name", "backbone", "task") if key in op]
    return Outcome(
        replace(graph, name=name.strip(), backbone=backbone, task=task), f"set {', '.join(changed)}"
    )


def _open(graph: Graph, op: Op) -> Outcome:
    """Another graph in place of this one, as JSON."""
    value = op.get("json")
    if not isinstance(value, str):
        raise GraphError("The operation's 'json' is not a text.")
    new = placed(from_json(value))
    return Outcome(new, f"open {new.name[:60]}", ())


def _several(names: Sequence[str], word: str = "node") -> str:
    return names[0] if len(names) == 1 else f"{len(names)} {word}s"


def _stem(name: str) -> str:
    """A name without its number: "expert_2" -> "expert"."""
    return name.rstrip("0123456789").rstrip("_") or name


OPERATIONS: dict[str, Callable[[Graph, Op], Outcome]] = {
    "add": _add,
    "connect": _connect,
    "disconnect": _disconnect,
    "reconnect": _reconnect,
    "bridge": _bridge,
    "delete": _delete,
    "move": _move,
    "splice": _splice,
    "rename": _rename,
    "params": _params,
    "branches": _branches,
    "weight": _weight,
    "tuning": _tuning,
    "duplicate": _duplicate,
    "layout": _layout,
    "settings": _settings,
    "open": _open,
}
