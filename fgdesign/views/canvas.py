"""The canvas as data: a graph becomes a networkx graph, then a pyvis network, then plain JSON.

What a card, a port and a wire show is decided here; how they are drawn is decided in `ui/canvas_*.js`.
Knows nothing of Streamlit, nor of how an edit is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import networkx as nx
import pyvis
from pyvis.network import Network

from fgdesign.errors import BackboneError
from fgdesign.graph.catalogue import CATALOGUE, CATEGORIES
from fgdesign.graph.compare import Comparison
from fgdesign.graph.infer import Inference, infer, known_type, params_of, tuning_of
from fgdesign.graph.layout import CARD_HEAD, CARD_WIDTH, PORT_ROW, placed, ports_of
from fgdesign.graph.spec import Edge, Graph, Node
from fgdesign.graph.types import Cost, NodeType, Port, Value
from fgdesign.graph.validate import Problem
from fgdesign.views.numbers import short

HUES = {  # Okabe-Ito, one for each category; the same in charts
    "input": "#7A7A7A",
    "pretrained": "#0072B2",
    "function": "#009E73",
    "combine": "#5B6B7F",
    "shape": "#5B6B7F",
    "select": "#E69F00",
    "merge": "#CC79A7",
    "answer": "#D55E00",
    "unknown": "#B00020",
}
TYPE_HUES = {"tokens": "#7A7A7A", "sequence": "#0072B2", "vector": "#009E73", "logits": "#D55E00"}
SHORT_TYPES = {"tokens": "tokens", "sequence": "seq", "vector": "vec", "logits": "logits"}
TYPICAL_TOKENS = 32


@dataclass(frozen=True)
class Facts:
    """What is known of a graph while its cards are written: inference, problems per node, a trace, a comparison."""

    found: Inference
    problems: Mapping[str, Sequence[Problem]]
    traced: Mapping[str, Mapping[str, Any]]
    total_cost: float
    changes: Comparison | None = None


def canvas_data(
    graph: Graph,
    *,
    problems: Sequence[Problem] = (),
    trace: Mapping[str, Any] | None = None,
    selected: Iterable[str] = (),
    classes: int = 0,
    found: Inference | None = None,
    changes: Comparison | None = None,
) -> dict[str, Any]:
    """All that the canvas draws, as plain JSON data.

    Args:
        problems: from `validate`; each is marked on its node.
        trace: a record as `run.trace` returns it; nodes and edges then carry `state` and `gate`.
        selected: ids of selected nodes. classes: number of classes, 0 while unknown.
        found: what `infer` gave for the graph, where it is at hand.
        changes: marks what was added, removed or changed; the graph is the comparison's.
    """
    graph = placed(graph)
    if found is None:
        try:
            found = infer(graph, classes)
        except BackboneError:
            found = Inference()
    marked: dict[str, list[Problem]] = {}
    for problem in problems:
        marked.setdefault(problem.node or "", []).append(problem)
    traced = {item["id"]: item for item in (trace or {}).get("nodes", ())}
    facts = Facts(found, marked, traced, sum(map(price, found.costs.values())), changes)
    network = to_pyvis(to_networkx(graph, facts, trace))
    return {
        "title": graph.name,
        "nodes": network.nodes,
        "edges": network.edges,
        "selected": {"nodes": [node for node in selected if node in graph.ids], "edges": []},
        "traced": trace is not None,
    }


def slim(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data without what the canvas knows by itself (catalogue, names in ids), as sent to it."""
    return {
        **data,
        "nodes": [slim_node(node) for node in data["nodes"]],
        "edges": [slim_edge(edge) for edge in data["edges"]],
    }


def slim_node(node: Mapping[str, Any]) -> dict[str, Any]:
    """A card as sent."""
    known = node["type"] in CATALOGUE
    kept = {key: value for key, value in node.items() if key not in ("color", "shape", "label", "w", "hue")}
    return kept | {"inputs": [_slim_port(port, known) for port in node["inputs"]]}


def slim_edge(edge: Mapping[str, Any]) -> dict[str, Any]:
    """A wire as sent."""
    return {key: value for key, value in edge.items() if key not in ("arrows", "id", "from", "to")}


def _slim_port(port: Mapping[str, Any], known: bool) -> dict[str, Any]:
    skipped = ("types", "many", "optional") if known else ()
    return {key: value for key, value in port.items() if key not in skipped}


def price(cost: Cost) -> float:
    """Multiply-adds of a node for one text of typical length."""
    return cost.macs_per_token * TYPICAL_TOKENS + cost.macs_per_text


def to_networkx(graph: Graph, facts: Facts, trace: Mapping[str, Any] | None = None) -> nx.MultiDiGraph:
    """Cards as node attributes, wires as edges keyed "source>target"; edges to unknown nodes are left out."""
    net = nx.MultiDiGraph(name=graph.name)
    for node in graph.nodes:
        net.add_node(node.id, **card(graph, node, facts))
    lit = {(item["source"], item["target"]): item for item in (trace or {}).get("edges", ())}
    for edge in graph.edges:
        if edge.source_node in net and edge.target_node in net:
            drawn = wire(edge, facts, lit.get((edge.source, edge.target)))
            net.add_edge(edge.source_node, edge.target_node, key=drawn["id"], **drawn)
    return net


def to_pyvis(net: nx.MultiDiGraph) -> Network:
    """The same network in the vocabulary of vis-network. Its HTML template is never used."""
    network = Network(directed=True, cdn_resources="in_line")
    for node_id, card in net.nodes(data=True):
        network.add_node(node_id, label=node_id, shape="custom", **card)
    for source, target, wire in net.edges(data=True):
        network.add_edge(source, target, **wire)
    return network


def card(graph: Graph, node: Node, facts: Facts) -> dict[str, Any]:
    """All that the card of a node shows."""
    entry = known_type(node)
    ins, outs = ports_of(graph, node)
    x, y = node.position or (0.0, 0.0)
    drawn: dict[str, Any] = {
        "type": node.type,
        "x": x,
        "y": y,
        "w": CARD_WIDTH,
        "h": CARD_HEAD + PORT_ROW * max(1, len(ins), len(outs)),
        "kind": entry.category if entry else "unknown",
        "note": note(node),
        "inputs": [_input(graph, node, port, facts.found) for port in _inputs(entry, ins)],
        "outputs": [_output(f"{node.id}.{port}", facts.found) for port in outs],
    }
    drawn["hue"] = HUES[drawn["kind"]]
    if entry and entry.tunings:
        drawn["tuning"] = tuning_of(node)
    if node.id in facts.found.costs:
        drawn |= _cost(facts.found.costs[node.id], facts.total_cost)
    if any(f"{node.id}.{port}" in facts.found.static for port in outs):
        drawn["static"] = True
    if facts.problems.get(node.id):
        drawn["problems"] = [
            {"severity": p.severity, "text": str(p), "port": p.port} for p in facts.problems[node.id]
        ]
    if facts.changes and node.id in facts.changes.changes:
        drawn |= {"change": facts.changes.changes[node.id], "details": facts.changes.details.get(node.id, "")}
    if facts.traced:
        step = facts.traced.get(node.id, {})
        drawn |= {"state": step.get("state", "not reached"), "gate": step.get("gate"), "ms": step.get("ms")}
    return drawn


def note(node: Node) -> str:
    """One line under a node's name: its type and the setting that matters most."""
    entry = known_type(node)
    if entry is None:
        return node.type
    params = params_of(node)
    match entry.name:
        case "encoder_layer/1":
            return f"Encoder layer {params['index']}"
        case "router/1":
            return f"Router, top {params['k']} of {params['branches']}"
        case "rule_router/1":
            rules = params["rules"]
            return f"Rules: {len(rules) if isinstance(rules, list) else 0}"
        case "exit/1":
            return "Exit, fitted" if params["automatic"] else f"Exit at {params['threshold']}"
        case "pool/1" | "normalise/1":
            return f"{entry.title}, {params['method']}"
        case "activation/1":
            return f"Activation, {params['function']}"
    return entry.title


def _inputs(entry: NodeType | None, names: Iterable[str]) -> list[Port]:
    return [(entry.input(name) if entry else None) or Port(name, ()) for name in names]


def _input(graph: Graph, node: Node, port: Port, found: Inference) -> dict[str, Any]:
    fed = [
        found.values[edge.source] for edge in graph.into(node.id, port.name) if edge.source in found.values
    ]
    data: dict[str, Any] = {"name": port.name, "types": list(port.types)}
    if fed:
        data |= {"type": fed[0].type, "text": value_text(fed[0])}
    if port.many:
        data["many"] = True
    if port.optional:
        data["optional"] = True
    return data


def _output(port: str, found: Inference) -> dict[str, Any]:
    value, name = found.values.get(port), port.partition(".")[2]
    return {"name": name} | ({"type": value.type, "text": value_text(value)} if value else {})


def value_text(value: Value) -> str:
    """A port's value in few letters: "seq 384"."""
    return f"{SHORT_TYPES[value.type]} {value.width}" if value.width else SHORT_TYPES[value.type]


def _cost(cost: Cost, total: float) -> dict[str, Any]:
    return {"share": share(cost, total), "cost": cost_text(cost)}


def share(cost: Cost, total: float) -> float:
    """A node's part of the price of its graph."""
    return round(price(cost) / total, 4) if total else 0.0


@lru_cache(maxsize=4096)
def cost_text(cost: Cost) -> str:
    """Parameters and multiply-adds of a node in words."""
    parts = [f"{short(cost.parameters)} parameters"] if cost.parameters else ["no parameters"]
    if cost.trained:
        parts.append(f"{short(cost.trained)} trained")
    if cost.macs_per_token:
        parts.append(f"{short(cost.macs_per_token)} multiply-adds per token")
    if cost.macs_per_text:
        parts.append(f"{short(cost.macs_per_text)} multiply-adds per text")
    return ", ".join(parts)


def wire(edge: Edge, facts: Facts, lit: Mapping[str, Any] | None) -> dict[str, Any]:
    """All that the wire of an edge shows."""
    drawn: dict[str, Any] = {"id": f"{edge.source}>{edge.target}", "start": edge.source, "end": edge.target}
    found = facts.found
    if facts.changes and drawn["id"] in facts.changes.changes:
        drawn["change"] = facts.changes.changes[drawn["id"]]
    if edge.source in found.values:
        drawn["type"] = found.values[edge.source].type
    if edge.source in found.static:
        drawn["static"] = True
    if edge.weight is not None:
        drawn["weight"] = edge.weight
    if lit is not None:
        drawn |= {"state": lit["state"], "gate": lit.get("gate")}
    return drawn


def vis_network() -> str:
    """The script of vis-network 9.1.2 that pyvis ships; it sets `globalThis.vis`."""
    folder = Path(pyvis.__file__).parent / "templates" / "lib" / "vis-9.1.2"
    return (folder / "vis-network.min.js").read_text("utf-8")


def palette() -> list[dict[str, Any]]:
    """The catalogue as the canvas shows it: what can be added, with ports, colour and one line of help."""
    return [
        {
            "type": entry.name,
            "title": entry.title,
            "kind": entry.category,
            "hue": HUES[entry.category],
            "help": entry.summary,
            "tunings": list(entry.tunings),
            "tuning": entry.default_tuning,
            "inputs": [
                {"name": p.name, "types": list(p.types), "many": p.many, "optional": p.optional}
                for p in entry.inputs
            ],
            "outputs": [{"name": name} for name in entry.output_names(entry.with_defaults({}))],
        }
        for entry in sorted(CATALOGUE.values(), key=lambda entry: CATEGORIES.index(entry.category))
    ]
