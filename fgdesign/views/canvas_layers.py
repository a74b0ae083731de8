"""Runs of encoder layers as one card each: folded in what the canvas draws, unfolded in what it sends back.

The graph itself stays as it is. A run is layers that follow each other directly; taps between them become outputs of
the card. Knows nothing of Streamlit, nor of what an edit does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fgdesign.errors import GraphError
from fgdesign.graph.layout import CARD_HEAD, PORT_ROW
from fgdesign.graph.spec import Graph

LAYER = "encoder_layer/1"
JOINT, TAP = "__", "~"  # in a card's name: between its first and last layer; in a port's: between layer and port
ENDS = ("start", "end", "old_start", "old_end", "instead")
WORST = ("error", "warning")


def runs(graph: Graph) -> dict[str, tuple[str, ...]]:
    """The layers of each run of two or more, by the name of its card."""
    layers = {node.id for node in graph.nodes if node.type == LAYER}
    after = {edge.source_node: edge.target_node for edge in graph.edges
             if edge.source_node in layers and edge.target_node in layers}
    fed = Counter(edge.target_node for edge in graph.edges if edge.target_node in layers)
    firsts = [node for node in layers if node not in after.values()]
    found = {}
    for first in sorted(firsts, key=graph.ids.index):
        run = [first]
        while run[-1] in after and fed[after[run[-1]]] == 1 and after[run[-1]] not in run:
            run.append(after[run[-1]])
        if len(run) > 1:
            found[f"{run[0]}{JOINT}{run[-1]}"] = tuple(run)
    return found


def folded(data: Mapping[str, Any], graph: Graph) -> dict[str, Any]:
    """The canvas's data with every run of layers as one card."""
    found = runs(graph)
    card_of = {layer: card for card, run in found.items() for layer in run}
    cards = {node["id"]: node for node in data["nodes"]}
    edges = [_folded_edge(edge, card_of) for edge in data["edges"] if not _inside(edge, card_of)]
    nodes = [node for node in data["nodes"] if node["id"] not in card_of]
    nodes += [_block(card, [cards[layer] for layer in run], edges) for card, run in found.items()]
    chosen = data["selected"]["nodes"]
    shown = [card for card, run in found.items() if set(run) <= set(chosen)]
    selected = {**data["selected"], "nodes": [n for n in chosen if n not in card_of] + shown}
    return {**data, "nodes": nodes, "edges": edges, "selected": selected}


def unfolded(op: Mapping[str, Any], graph: Graph) -> dict[str, Any]:
    """An operation of the canvas with the layers in place of their card. Raises GraphError where it needs one layer."""
    found = runs(graph)
    real = dict(op)
    for key in ENDS:
        if isinstance(op.get(key), str):
            real[key] = _real_port(op[key], found)
    for key in ("edge", "edges"):
        if key in op:
            real[key] = [_real_edge(e, found) for e in op[key]] if key == "edges" else _real_edge(op[key], found)
    if isinstance(op.get("nodes"), list):
        real["nodes"] = [layer for name in op["nodes"] for layer in found.get(name, (name,))]
    if isinstance(op.get("after"), list):
        real["after"] = [found[name][-1] if name in found else name for name in op["after"]]
    if op.get("onto") in found:
        real["onto"] = found[op["onto"]][-1]
    if isinstance(op.get("positions"), dict):
        real["positions"] = _places(op["positions"], found, graph)
    if op.get("id") in found:
        raise GraphError(f"'{op['id']}' stands for {len(found[op['id']])} layers. Expand the layers first (B).")
    return real


def _block(card: str, members: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first, last = members[0], members[-1]
    read = {edge["start"].partition(".")[2] for edge in edges if edge["start"].startswith(f"{card}.")}
    outputs = [{**port, "name": f"{member['id']}{TAP}{port['name']}"} for member in members
               for port in member["outputs"] if member is last or f"{member['id']}{TAP}{port['name']}" in read]
    tunings = Counter(member.get("tuning", "frozen") for member in members)
    block = {**first, "id": card, "title": f"{first['id']} – {last['id']}", "outputs": outputs,
             "h": CARD_HEAD + PORT_ROW * max(1, len(outputs)), "tuning": tunings.most_common(1)[0][0],
             "note": ", ".join(f"{count} {name}" for name, count in tunings.items()),
             "share": round(sum(member.get("share", 0.0) for member in members), 4)}
    problems = [problem for member in members for problem in member.get("problems", ())]
    if problems:
        block["problems"] = sorted(problems, key=lambda problem: WORST.index(problem["severity"]))
    if not all(member.get("static") for member in members):
        block.pop("static", None)
    return block


def _inside(edge: Mapping[str, Any], card_of: Mapping[str, str]) -> bool:
    start, end = (edge[key].partition(".")[0] for key in ("start", "end"))
    return start in card_of and card_of[start] == card_of.get(end)


def _folded_edge(edge: Mapping[str, Any], card_of: Mapping[str, str]) -> dict[str, Any]:
    start, end = edge["start"], edge["end"]
    node, _, port = start.partition(".")
    if node in card_of:
        start = f"{card_of[node]}.{node}{TAP}{port}"
    node, _, port = end.partition(".")
    if node in card_of:
        end = f"{card_of[node]}.{port}"
    if (start, end) == (edge["start"], edge["end"]):
        return dict(edge)
    return {**edge, "start": start, "end": end, "id": f"{start}>{end}", "from": start.partition(".")[0],
            "to": end.partition(".")[0]}


def _real_port(port: str, found: Mapping[str, Sequence[str]]) -> str:
    card, _, name = port.partition(".")
    if card not in found:
        return port
    layer, tap, inner = name.partition(TAP)
    return f"{layer}.{inner}" if tap else f"{found[card][0]}.{name}"


def _real_edge(edge: object, found: Mapping[str, Sequence[str]]) -> object:
    if not isinstance(edge, str):
        return edge
    start, _, end = edge.partition(">")
    return f"{_real_port(start, found)}>{_real_port(end, found)}"


def _places(positions: Mapping[str, Any], found: Mapping[str, Sequence[str]], graph: Graph) -> dict[str, Any]:
    """Each layer of a moved card moves as far as the card did."""
    places: dict[str, Any] = {}
    for name, at in positions.items():
        if name not in found:
            places[name] = at
            continue
        x, y = graph.node(found[name][0]).position or (0.0, 0.0)
        for layer in found[name]:
            old = graph.node(layer).position or (0.0, 0.0)
            places[layer] = [old[0] + at[0] - x, old[1] + at[1] - y]
    return places
