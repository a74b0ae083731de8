"""Where nodes stand when nobody has placed them: columns by depth, order by neighbours, long chains in lines.

A layered drawing after Sugiyama et al. 1981: longest-path columns, barycentre sweeps. Where one line of
columns would be too small to read, it is broken like text, best in front of an encoder layer.
Knows nothing of types, shapes or Streamlit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import networkx as nx

from fgdesign.graph.infer import known_type, wiring
from fgdesign.graph.spec import Graph, Node

CARD_WIDTH = 140.0
CARD_HEAD = 54.0
PORT_ROW = 16.0
COLUMN = CARD_WIDTH + 48.0
GAP = 28.0
LINE_GAP = 44.0
VIEW = (1080.0, 660.0)
SWEEPS = 8
WIDEST = 24
BREAK_PENALTY = 0.02

Place = dict[str, tuple[float, float]]


def ports_of(graph: Graph, node: Node) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the inputs and outputs a card shows: the catalogue's, then those that only edges name."""
    entry = known_type(node)
    ins = [port.name for port in entry.inputs] if entry else []
    outs = [*entry.output_names(entry.with_defaults(node.params))] if entry else []
    ins += [edge.target_port for edge in graph.into(node.id)]
    outs += [edge.source_port for edge in graph.out_of(node.id)]
    return tuple(dict.fromkeys(ins)), tuple(dict.fromkeys(outs))


def card_height(graph: Graph, node: Node) -> float:
    """Height of a node's card: a head, and one row for each pair of ports."""
    return CARD_HEAD + PORT_ROW * max(1, *map(len, ports_of(graph, node)))


def layout(graph: Graph) -> Graph:
    """The graph with a position (its centre) for every node, left to right, lines top to bottom.

    A graph with a cycle is laid out without the edges that close it.
    """
    net = nx.DiGraph(wiring(graph))
    while not nx.is_directed_acyclic_graph(net):
        net.remove_edge(*nx.find_cycle(net)[-1])
    size = {node.id: card_height(graph, node) for node in graph.nodes}
    layers = {node.id for node in graph.nodes if node.type.startswith("encoder_layer/")}
    columns = [list(layer) for layer in nx.topological_generations(net)]
    costs = [_break_cost(net, columns, i, layers) for i in range(len(columns))]
    tries = {tuple(_breaks(costs, width)) for width in {*range(4, WIDEST), len(columns) or 1}}
    plans = [
        (_place(net, _lines(columns, breaks), size), sum(costs[b] for b in breaks))
        for breaks in sorted(tries)
    ]
    best, _ = max(plans, key=lambda plan: _legibility(plan[0], size) - BREAK_PENALTY * plan[1])
    return graph.with_nodes(replace(node, position=best[node.id]) for node in graph.nodes)


def placed(graph: Graph) -> Graph:
    """The graph itself where every node has a position, else laid out anew."""
    return graph if all(node.position is not None for node in graph.nodes) else layout(graph)


def _break_cost(net: nx.DiGraph, columns: Sequence[Sequence[str]], start: int, layers: set[str]) -> float:
    """How much it disturbs to begin a line with column `start`: wires cut, and a chain of layers torn."""
    if start == 0:
        return 0.0
    before = set(columns[start - 1])
    cut = sum(1 for node in columns[start] for source in net.predecessors(node) if source in before)
    torn = bool(layers & before) and any(node in layers for node in columns[start])
    opens = any(node in layers for node in columns[start]) and not torn
    return 1.0 + cut + (3.0 if torn else 0.0) - (1.0 if opens else 0.0)


def _breaks(costs: Sequence[float], width: int) -> list[int]:
    """Cheapest starts of lines (after the first) so that no line has more than `width` columns."""
    best: list[tuple[float, list[int]]] = [(0.0, [])]  # per number of columns already in finished lines
    for end in range(1, len(costs) + 1):
        options = []
        for start in range(max(0, end - width), end):
            cost, starts = best[start]
            options.append((cost + costs[start], [*starts, start] if start else starts))
        best.append(min(options))
    return best[-1][1]


def _lines(columns: Sequence[list[str]], breaks: Sequence[int]) -> list[list[list[str]]]:
    edges = [0, *breaks, len(columns)]
    return [[list(column) for column in columns[a:b]] for a, b in pairwise(edges)]


def _place(net: nx.DiGraph, lines: list[list[list[str]]], size: dict[str, float]) -> Place:
    place: Place = {}
    top = 0.0
    for columns in lines:
        height = _order(net, columns, size)
        first = min((height[node] - size[node] / 2 for node in height), default=0.0)
        last = max((height[node] + size[node] / 2 for node in height), default=0.0)
        for i, column in enumerate(columns):
            place |= {node: (i * COLUMN, round(top + height[node] - first, 1)) for node in column}
        top += last - first + LINE_GAP
    return place


def _legibility(place: Place, size: dict[str, float]) -> float:
    """The zoom at which the whole drawing fits a usual window, at most 1."""
    if not place:
        return 1.0
    width = max(x for x, _ in place.values()) + COLUMN
    height = max(y + size[node] / 2 for node, (_, y) in place.items()) + GAP
    return min(1.0, VIEW[0] / width, VIEW[1] / height)


def _order(net: nx.DiGraph, columns: list[list[str]], size: dict[str, float]) -> dict[str, float]:
    """A height for every node of a line: near its neighbours in the line, at a distance from its column."""
    height = {node: i * (size[node] + GAP) for column in columns for i, node in enumerate(column)}
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        neighbours: Callable[[str], list[str]] = net.predecessors if forward else net.successors
        for column in columns if forward else reversed(columns):
            wished = {
                node: _mean([height[n] for n in neighbours(node) if n in height], height[node])
                for node in column
            }
            column.sort(key=lambda node: (wished[node], height[node]))
            _spread(column, wished, height, size)
    return height


def _spread(
    column: list[str], wished: dict[str, float], height: dict[str, float], size: dict[str, float]
) -> None:
    """Nodes as near to their wish as their sizes allow, the column kept centred."""
    lowest = float("-inf")
    for node in column:
        height[node] = max(wished[node], lowest + size[node] / 2)
        lowest = height[node] + size[node] / 2 + GAP
    drift = sum(height[node] - wished[node] for node in column) / len(column)
    for node in column:
        height[node] -= drift


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def free_place(
    graph: Graph, wished: tuple[float, float], height: float = CARD_HEAD + PORT_ROW
) -> tuple[float, float]:
    """The wished position, or the nearest one below it where a card of this height covers no other."""
    x, y = wished
    near = [node for node in graph.nodes if node.position and abs(node.position[0] - x) < CARD_WIDTH + 8]
    for node in sorted(near, key=lambda node: node.position[1] if node.position else 0.0):
        at = node.position[1] if node.position else 0.0
        room = (card_height(graph, node) + height) / 2 + 12
        if abs(at - y) < room:
            y = at + room
    return (x, y)
