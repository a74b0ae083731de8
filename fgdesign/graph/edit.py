"""Edits: pure functions that take a graph and return a new one, or refuse with the reason.

Knows nothing of shapes beyond what `validate.connection_problem` says, nor of torch or Streamlit.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain, count
from typing import Any

from fgdesign.errors import GraphError, choices
from fgdesign.graph.catalogue import node_type
from fgdesign.graph.catalogue.answers import HEAD_TYPES
from fgdesign.graph.spec import ID_RULE, MAX_NODES, Edge, Graph, Node
from fgdesign.graph.validate import connection_problem

GRID = 24.0
LONGEST_STEM = 58  # room for a number behind it


def fresh_id(graph: Graph, stem: str) -> str:
    """An id that is not taken: the stem, or the stem with the next free number."""
    return _free_name(set(graph.ids), stem)


def _free_name(taken: set[str], stem: str) -> str:
    short = stem[:LONGEST_STEM]
    return next(name for name in chain((stem,), (f"{short}_{i}" for i in count(2))) if name not in taken)


def add_node(graph: Graph, kind: str, *, node_id: str | None = None, position: tuple[float, float] | None = None,
             tuning: str | None = None, **params: Any) -> Graph:
    """Add a node of type `kind`. Raises GraphError for an unknown type, parameter or tuning, or a taken id."""
    entry = node_type(kind)
    new = node_id or fresh_id(graph, kind.partition("/")[0])
    _free_id(graph, new)
    taken = {node.position for node in graph.nodes}
    while position is not None and position in taken:
        position = (position[0] + GRID, position[1] + GRID)
    node = Node(new, entry.name, {}, position)
    return set_tuning(set_params(_with_more(graph, [node]), new, **params), [new], tuning)


def remove_nodes(graph: Graph, node_ids: Iterable[str]) -> Graph:
    """Remove nodes and every edge that touches them. Raises GraphError for unknown ids."""
    gone = {graph.node(node_id).id for node_id in node_ids}
    return replace(
        graph,
        nodes=tuple(node for node in graph.nodes if node.id not in gone),
        edges=tuple(edge for edge in graph.edges if not gone & {edge.source_node, edge.target_node}),
    )


def rename_node(graph: Graph, old: str, new: str) -> Graph:
    """Give a node another id, on its edges too. Raises GraphError for a bad or taken id."""
    graph.node(old)
    if new == old:
        return graph
    _free_id(graph, new)
    return replace(
        graph,
        nodes=tuple(replace(node, id=new) if node.id == old else node for node in graph.nodes),
        edges=tuple(_renamed(edge, old, new) for edge in graph.edges),
    )


def connect(graph: Graph, source: str, target: str, *, weight: float | None = None) -> Graph:
    """Draw an edge from `"node.port"` to `"node.port"`. Raises GraphError where it cannot work."""
    edge = Edge(source, target, weight)
    problem = connection_problem(graph, edge)
    if problem is not None:
        raise GraphError(str(problem))
    return graph.with_edges((*graph.edges, edge))


def disconnect(graph: Graph, source: str, target: str) -> Graph:
    """Remove one edge. Raises GraphError where it is not there."""
    kept = tuple(edge for edge in graph.edges if (edge.source, edge.target) != (source, target))
    if len(kept) == len(graph.edges):
        known = (f"{edge.source} -> {edge.target}" for edge in graph.edges)
        raise GraphError(f"There is no edge {source} -> {target}. {choices(known, f'{source} -> {target}')}")
    return graph.with_edges(kept)


def set_weight(graph: Graph, source: str, target: str, weight: float | None) -> Graph:
    """Give an edge a fixed weight, or None. Raises GraphError where it is not there."""
    disconnect(graph, source, target)
    return graph.with_edges(replace(edge, weight=weight) if (edge.source, edge.target) == (source, target) else edge
                            for edge in graph.edges)


def set_params(graph: Graph, node_id: str, **params: Any) -> Graph:
    """Set parameters; None takes the default again. Edges on branches that vanish are removed.

    Raises GraphError for unknown names and values out of range.
    """
    node = graph.node(node_id)
    entry = node_type(node.type)
    merged = dict(node.params)
    for name, value in params.items():
        param = entry.param(name)
        if param is None:
            known = (p.name for p in entry.params)
            raise GraphError(f"{entry.title} has no parameter '{name}'. {choices(known, name)}")
        reason = None if value is None else param.problem(value)
        if reason:
            raise GraphError(f"{node_id}.{name}: {reason}. {param.help}")
        if value is None or value == param.default:
            merged.pop(name, None)
        else:
            merged[name] = copy.deepcopy(value)
    outputs = entry.output_names(merged)
    edges = (edge for edge in graph.edges if edge.source_node != node_id or edge.source_port in outputs)
    return _replace_nodes(graph.with_edges(edges), [replace(node, params=merged)])


def set_tuning(graph: Graph, node_ids: Iterable[str], tuning: str | None) -> Graph:
    """Set how nodes are trained; None takes the type's default. Raises GraphError for a wrong word."""
    nodes = [graph.node(node_id) for node_id in node_ids]
    for node in nodes:
        entry = node_type(node.type)
        if tuning is not None and tuning not in entry.tunings:
            fix = choices(entry.tunings, tuning) if entry.tunings else "It has nothing to train."
            raise GraphError(f"{entry.title} '{node.id}' cannot be tuned as '{tuning}'. {fix}")
    return _replace_nodes(graph, (replace(node, tuning=tuning) for node in nodes))


def move(graph: Graph, positions: Mapping[str, tuple[float, float]]) -> Graph:
    """Place nodes. Raises GraphError for unknown ids."""
    return _replace_nodes(
        graph, (replace(graph.node(node_id), position=(float(x), float(y))) for node_id, (x, y) in positions.items())
    )


def duplicate(graph: Graph, node_ids: Iterable[str]) -> tuple[Graph, dict[str, str]]:
    """Copy nodes and the edges among them. Returns the graph and old id -> new id."""
    names: dict[str, str] = {}
    taken, nodes = set(graph.ids), []
    for node in map(graph.node, dict.fromkeys(node_ids)):
        names[node.id] = _free_name(taken, node.id.rstrip("0123456789").rstrip("_") or node.id)
        taken.add(names[node.id])
        place = node.position and (node.position[0] + 2 * GRID, node.position[1] + 2 * GRID)
        nodes.append(replace(node, id=names[node.id], position=place))
    copies = tuple(
        Edge(f"{names[edge.source_node]}.{edge.source_port}", f"{names[edge.target_node]}.{edge.target_port}",
             edge.weight)
        for edge in graph.edges if edge.source_node in names and edge.target_node in names
    )
    return _with_more(graph, nodes).with_edges((*graph.edges, *copies)), names


def splice(graph: Graph, source: str, target: str, node_id: str) -> Graph:
    """Put an existing node, by its ports `in` and `out`, into an edge. Raises GraphError as `connect`."""
    graph = disconnect(graph, source, target)
    return connect(connect(graph, source, f"{node_id}.in"), f"{node_id}.out", target)


def main_edge(graph: Graph, node_id: str) -> Edge | None:
    """The wire by which a node's `out` goes on: to an encoder layer where there is one, else the first drawn."""
    edges = graph.out_of(node_id, "out")
    return next((edge for edge in edges if graph.node(edge.target_node).type == "encoder_layer/1"),
                next(iter(edges), None))


def fit_task(graph: Graph, kind: str) -> Graph:
    """The same graph with the heads that a task of this kind needs (single, multi or regression)."""
    heads = set(HEAD_TYPES.values())
    nodes = (replace(node, type=HEAD_TYPES[kind]) if node.type in heads else node for node in graph.nodes)
    return replace(graph, nodes=tuple(nodes), task=kind)


def _free_id(graph: Graph, node_id: str) -> None:
    if not ID_RULE.fullmatch(node_id):
        raise GraphError(f"'{node_id}' cannot be an id: it is a lower-case letter, then letters, digits or _ (64 at "
                         "most).")
    if node_id in graph.ids:
        raise GraphError(f"A node is already called '{node_id}'. A free name is '{fresh_id(graph, node_id)}'.")


def _with_more(graph: Graph, nodes: Iterable[Node]) -> Graph:
    more = graph.with_nodes((*graph.nodes, *nodes))
    if len(more.nodes) > MAX_NODES:
        raise GraphError(f"The graph would have {len(more.nodes):,} nodes; the limit is {MAX_NODES:,}. Remove some.")
    return more


def _replace_nodes(graph: Graph, nodes: Iterable[Node]) -> Graph:
    new = {node.id: node for node in nodes}
    return graph.with_nodes(new.get(node.id, node) for node in graph.nodes)


def _renamed(edge: Edge, old: str, new: str) -> Edge:
    source = f"{new}.{edge.source_port}" if edge.source_node == old else edge.source
    target = f"{new}.{edge.target_port}" if edge.target_node == old else edge.target
    return replace(edge, source=source, target=target)
