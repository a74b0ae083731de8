"""Repairs: for a problem of a graph, the usual ways out of it, each a new graph and a few words.

Pure functions graph, problem -> graphs. Knows nothing of torch or Streamlit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import networkx as nx

from fgdesign.errors import GraphError
from fgdesign.graph.backbones import describe_backbone
from fgdesign.graph.catalogue import CATALOGUE
from fgdesign.graph.edit import add_node, connect, disconnect, fresh_id, remove_nodes, set_params, set_tuning
from fgdesign.graph.infer import Inference, infer, known_type, params_of, tuning_of, weight_key, wiring
from fgdesign.graph.layout import COLUMN, free_place
from fgdesign.graph.spec import Edge, Graph
from fgdesign.graph.types import LOGITS, SEQUENCE, TOKENS, VECTOR, Value
from fgdesign.graph.validate import Problem, validate

Repair = tuple[str, Graph]

BRIDGES: dict[tuple[str, str], tuple[str, ...]] = {
    (SEQUENCE, VECTOR): ("pool",),
    (TOKENS, SEQUENCE): ("embeddings",),
    (TOKENS, VECTOR): ("embeddings", "pool"),
    (VECTOR, LOGITS): ("classifier",),
    (SEQUENCE, LOGITS): ("pool", "classifier"),
    (TOKENS, LOGITS): ("lexical",),
}
MOST_FEEDERS = 2


def repairs(graph: Graph, problem: Problem, found: Inference | None = None) -> list[Repair]:
    """Ways to repair one problem, the likeliest first; empty where only a person can know.

    Args: found: what `infer(graph)` gave, where it is at hand.
    """
    make = _REPAIRS.get(problem.code)
    if make is None:
        return []
    ways: list[Repair] = []
    with suppress(GraphError):  # the graph is broken in more than one way here; another problem comes first
        ways.extend(make(graph, problem, found or infer(graph)))
    return ways


def bridge(graph: Graph, source: str, target: str) -> Repair | None:
    """Connect two ports that do not fit through nodes that make them fit; None where none do."""
    edge = Edge(source, target)
    value = infer(graph).values.get(source)
    entry = known_type(graph.node(edge.target_node))
    port = entry.input(edge.target_port) if entry else None
    if value is None or port is None:
        return None
    if value.type not in port.types:
        kinds = next((BRIDGES[value.type, kind] for kind in port.types if (value.type, kind) in BRIDGES), ())
        with suppress(GraphError):  # the port is fed already, or it would close a cycle
            return (f"Insert {' and '.join(kinds)}", _insert(graph, source, target, kinds)) if kinds else None
        return None
    drawn = graph.with_edges((*graph.edges, edge))
    misfit = next((problem for problem in validate(drawn) if problem.node == edge.target_node
                   and problem.code in ("shape", "unmerged")), None)
    return next(iter(repairs(drawn, misfit)), None) if misfit else None


def _insert(graph: Graph, source: str, target: str, kinds: Sequence[str], **params: Any) -> Graph:
    """New nodes in a chain from `source` to `target`. `params` go to the last of them."""
    for i, kind in enumerate(kinds):
        extra = params if i == len(kinds) - 1 else {}
        graph, new = _after(graph, source, kind, **extra)
        source = f"{new}.out"
    return connect(graph, source, target)


def _after(graph: Graph, source: str, kind: str, **params: Any) -> tuple[Graph, str]:
    """A new node of a kind to the right of `source`, fed by it."""
    new = fresh_id(graph, kind)
    at = graph.node(source.partition(".")[0]).position
    place = free_place(graph, (at[0] + COLUMN, at[1])) if at else None
    graph = add_node(graph, f"{kind}/1", node_id=new, position=place, **params)
    return connect(graph, source, f"{new}.in"), new


def _type(graph: Graph, problem: Problem, found: Inference) -> Iterator[Repair]:
    entry = CATALOGUE[graph.node(problem.node or "").type]
    port = entry.input(problem.port or "")
    for edge in graph.into(problem.node or "", problem.port):
        value = found.values.get(edge.source)
        if port is None or value is None or value.type in port.types:
            continue
        cut = disconnect(graph, edge.source, edge.target)
        through = bridge(cut, edge.source, edge.target)
        if through:
            yield through
        yield (f"Remove {edge.source} to {edge.target}", cut)


def _missing_input(graph: Graph, problem: Problem, found: Inference) -> Iterator[Repair]:
    node, port = graph.node(problem.node or ""), problem.port
    entry = CATALOGUE[node.type]
    takes = next(p.types for p in entry.inputs if p.name == port)
    target = f"{node.id}.{port}"
    feeders = [source for source in _feeders(graph, node.id, found) if found.values[source].type in takes]
    yield from ((f"Connect {source}", connect(graph, source, target)) for source in feeders[:MOST_FEEDERS])
    if feeders:
        return
    for source in _feeders(graph, node.id, found):
        through = bridge(graph, source, target)
        if through:
            yield (f"{through[0]} after {source.partition('.')[0]}", through[1])
            return
    if TOKENS in takes:
        at = node.position
        new = fresh_id(graph, "text")
        place = free_place(graph, (at[0] - COLUMN, at[1])) if at else None
        yield (
            "Add a text",
            connect(add_node(graph, "text/1", node_id=new, position=place), f"{new}.out", target),
        )


def _feeders(graph: Graph, node_id: str, found: Inference) -> list[str]:
    """Ports that may feed a node without a cycle: unread ones first, then the nearest before it."""
    below = nx.descendants(wiring(graph), node_id) | {node_id}
    read = {edge.source for edge in graph.edges}
    at = graph.node(node_id).position or (0.0, 0.0)

    def far(port: str) -> tuple[bool, float]:
        x, y = graph.node(port.partition(".")[0]).position or (0.0, 0.0)
        return (port in read, abs(at[0] - x) + abs(at[1] - y) + (2000 if x > at[0] else 0))

    return sorted((port for port in found.values if port.partition(".")[0] not in below), key=far)


def _shape(graph: Graph, problem: Problem, found: Inference) -> Iterator[Repair]:
    """Brings the inputs of a node to one type and width."""
    node = graph.node(problem.node or "")
    feeding = [edge for edge in graph.into(node.id, "in") if edge.source in found.values]
    values = [found.values[edge.source] for edge in feeding]
    if not values:
        return
    if node.type == "encoder_layer/1":
        yield from _project(graph, feeding, values, describe_backbone(graph.backbone).width)
        yield from _index(graph, node.id)
    elif len({(value.type, value.length) for value in values}) > 1 and {v.type for v in values} <= {
        SEQUENCE,
        VECTOR,
    }:
        sequences = [edge for edge, value in zip(feeding, values, strict=True) if value.type == SEQUENCE]
        yield ("Pool the sequences", _reroute(graph, sequences, "pool"))
    elif len({value.width for value in values}) > 1 and values[0].type in (SEQUENCE, VECTOR):
        yield from _project(graph, feeding, values, values[0].width)


def _project(graph: Graph, feeding: Sequence[Edge], values: Sequence[Value], width: int) -> Iterator[Repair]:
    other = [edge for edge, value in zip(feeding, values, strict=True) if value.width != width]
    if other:
        yield (f"Insert project to {width}", _reroute(graph, other, "project", width=width))


def _index(graph: Graph, node_id: str) -> Iterator[Repair]:
    last = describe_backbone(graph.backbone).layers
    if params_of(graph.node(node_id))["index"] not in range(1, last + 1):
        yield (f"Set index to {last}", set_params(graph, node_id, index=last))


def _reroute(graph: Graph, edges: Sequence[Edge], kind: str, **params: Any) -> Graph:
    """Each edge goes through a new node of a kind; edges keep their order at their target."""
    for edge in edges:
        place = graph.edges.index(edge)
        graph, new = _after(disconnect(graph, edge.source, edge.target), edge.source, kind, **params)
        moved = replace(edge, source=f"{new}.out")
        graph = graph.with_edges((*graph.edges[:place], moved, *graph.edges[place:]))
    return graph


def _unmerged(graph: Graph, problem: Problem, found: Inference) -> Iterator[Repair]:
    node = graph.node(problem.node or "")
    feeding = graph.into(node.id, "in")
    cut = graph.with_edges(edge for edge in graph.edges if edge not in feeding)
    yield (
        "Insert merge",
        connect(_united(cut, feeding, "merge"), f"{fresh_id(cut, 'merge')}.out", f"{node.id}.in"),
    )


def _united(graph: Graph, edges: Sequence[Edge], kind: str, **params: Any) -> Graph:
    """A new node of a kind fed by the sources of these edges."""
    new = fresh_id(graph, kind)
    for i, edge in enumerate(edges):
        if i == 0:
            graph, new = _after(graph, edge.source, kind, **params)
        else:
            graph = connect(graph, edge.source, f"{new}.in")
    return graph


def _lost_rows(graph: Graph, problem: Problem, found: Inference) -> Iterator[Repair]:
    """Connects a branch that leads nowhere to the merges and answers below its router."""
    if problem.port is None:
        return
    source = f"{problem.node}.{problem.port}"
    below = nx.descendants(wiring(graph), problem.node)
    places = [
        node for node in graph.nodes if (entry := known_type(node)) and entry.role in ("merge", "answer")
    ]
    for node in sorted(places, key=lambda node: node.id not in below)[:MOST_FEEDERS]:
        try:
            yield (f"Connect to {node.id}", connect(graph, source, f"{node.id}.in"))
        except GraphError:
            continue


def _no_effect(graph: Graph, problem: Problem, found: Inference) -> Iterator[Repair]:
    yield (f"Remove {problem.node}", remove_nodes(graph, [problem.node or ""]))


def _no_answer(graph: Graph, problem: Problem, found: Inference) -> Iterator[Repair]:
    read = {edge.source for edge in graph.edges}
    for kind, chain in (
        (VECTOR, ("classifier",)),
        (SEQUENCE, ("pool", "classifier")),
        (TOKENS, ("lexical",)),
    ):
        loose = [port for port, value in found.values.items() if value.type == kind and port not in read]
        for source in loose[-1:]:
            for step in chain:
                graph, new = _after(graph, source, step)
                source = f"{new}.out"
            yield (f"Add {' and '.join(chain)}", graph)
            return


def _many_answers(graph: Graph, problem: Problem, found: Inference) -> Iterator[Repair]:
    """One answer node where the answers are of different rows, else a merge of opinions."""
    read = {edge.source for edge in graph.edges}
    loose = [
        Edge(port, port) for port, value in found.values.items() if value.type == LOGITS and port not in read
    ]
    collected = _united(graph, loose, "answer")
    if any(item.code == "answered-twice" for item in validate(collected)):
        yield ("Insert merge", _united(graph, loose, "merge", rows="shared"))
    else:
        yield ("Collect with answer", collected)


def _answered_twice(graph: Graph, problem: Problem, found: Inference) -> Iterator[Repair]:
    feeding = graph.into(problem.node or "", "in")
    cut = graph.with_edges(edge for edge in graph.edges if edge not in feeding)
    merged = _united(cut, feeding, "merge")
    yield ("Insert merge", connect(merged, f"{fresh_id(cut, 'merge')}.out", f"{problem.node}.in"))


def _bad_edges(graph: Graph, problem: Problem, found: Inference) -> Iterator[Repair]:
    by_id = {node.id: node for node in graph.nodes}

    def sound(edge: Edge) -> bool:
        source, target = by_id.get(edge.source_node), by_id.get(edge.target_node)
        if source is None or target is None:
            return False
        out, into = known_type(source), known_type(target)
        outputs = out.output_names(out.with_defaults(source.params)) if out else (edge.source_port,)
        return edge.source_port in outputs and (into is None or into.input(edge.target_port) is not None)

    yield ("Remove broken wires", graph.with_edges(filter(sound, graph.edges)))


def _fed_twice(graph: Graph, problem: Problem, found: Inference) -> Iterator[Repair]:
    first, *others = graph.into(problem.node or "", problem.port)
    kept = list(graph.edges)
    for edge in others:
        kept.reverse()
        kept.remove(edge)  # the later of two equal edges goes
        kept.reverse()
    yield (f"Keep {first.source} alone", graph.with_edges(kept))
    if others and all(edge.source != first.source for edge in others) and problem.port == "in":
        cut = graph.with_edges(edge for edge in graph.edges if edge not in (first, *others))
        added = _united(cut, (first, *others), "add")
        yield ("Insert add", connect(added, f"{fresh_id(cut, 'add')}.out", first.target))


def _bad_parameter(graph: Graph, problem: Problem, found: Inference) -> Iterator[Repair]:
    node = graph.node(problem.node or "")
    entry = CATALOGUE[node.type]
    good = {
        name: value
        for name, value in node.params.items()
        if (param := entry.param(name)) and param.problem(value) is None
    }
    nodes = (replace(other, params=good) if other.id == node.id else other for other in graph.nodes)
    yield ("Take the default", graph.with_nodes(nodes))


def _bad_tuning(graph: Graph, problem: Problem, found: Inference) -> Iterator[Repair]:
    yield ("Take the default", set_tuning(graph, [problem.node or ""], None))


def _cycle(graph: Graph, problem: Problem, found: Inference) -> Iterator[Repair]:
    source, target, *_ = nx.find_cycle(wiring(graph), problem.node)[-1]
    for edge in graph.into(target):
        if edge.source_node == source:
            yield (f"Remove {edge.source} to {edge.target}", disconnect(graph, edge.source, edge.target))
            return


def _shared_tuning(graph: Graph, problem: Problem, found: Inference) -> Iterator[Repair]:
    node = graph.node(problem.node or "")
    first = next(other for other in graph.nodes if weight_key(other) == weight_key(node))
    yield (f"Tune as {first.id}", set_tuning(graph, [node.id], tuning_of(first)))
    if CATALOGUE[node.type].param("weights"):
        yield ("Use own weights", set_params(graph, node.id, weights="copy"))


_REPAIRS: dict[str, Callable[[Graph, Problem, Inference], Iterator[Repair]]] = {
    "type": _type,
    "missing-input": _missing_input,
    "shape": _shape,
    "unmerged": _unmerged,
    "lost-rows": _lost_rows,
    "no-effect": _no_effect,
    "unknown-type": _no_effect,
    "no-answer": _no_answer,
    "many-answers": _many_answers,
    "answered-twice": _answered_twice,
    "unknown-node": _bad_edges,
    "unknown-port": _bad_edges,
    "fed-twice": _fed_twice,
    "bad-parameter": _bad_parameter,
    "unknown-parameter": _bad_parameter,
    "bad-tuning": _bad_tuning,
    "cycle": _cycle,
    "shared-tuning": _shared_tuning,
}
