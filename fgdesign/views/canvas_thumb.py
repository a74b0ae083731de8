"""A graph as a small SVG picture, and as a large one with names. Knows nothing of Streamlit."""

from __future__ import annotations

from html import escape

from fgdesign.graph.infer import known_type
from fgdesign.graph.layout import CARD_HEAD, CARD_WIDTH, PORT_ROW, card_height, placed, ports_of
from fgdesign.graph.spec import Edge, Graph, Node
from fgdesign.views.canvas import HUES, note

MARGIN = 24.0


def thumbnail(graph: Graph) -> str:
    """A picture without words, for cards and lists: SVG text."""
    return _svg(graph, named=False)


def picture(graph: Graph) -> str:
    """A picture with names and types, for documents: SVG text; every name is escaped."""
    return _svg(graph, named=True)


def _svg(graph: Graph, *, named: bool) -> str:
    graph = placed(graph)
    boxes = {node.id: _box(graph, node) for node in graph.nodes}
    left = min((x for x, _, _ in boxes.values()), default=0.0) - MARGIN
    top = min((y for _, y, _ in boxes.values()), default=0.0) - MARGIN
    right = max((x + CARD_WIDTH for x, _, _ in boxes.values()), default=200.0) + MARGIN
    bottom = max((y + h for _, y, h in boxes.values()), default=100.0) + MARGIN
    wires = "".join(_wire(graph, edge, boxes) for edge in graph.edges)
    cards = "".join(_card(node, boxes[node.id], named) for node in graph.nodes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" '
        f'viewBox="{left:g} {top:g} {right - left:g} {bottom - top:g}" '
        f'role="img" aria-label="{_words(graph.name, 200)}" font-family="sans-serif">{wires}{cards}</svg>'
    )


def _box(graph: Graph, node: Node) -> tuple[float, float, float]:
    """Left, top and height of a node's card."""
    x, y = node.position or (0.0, 0.0)
    height = card_height(graph, node)
    return (x - CARD_WIDTH / 2, y - height / 2, height)


def _wire(graph: Graph, edge: Edge, boxes: dict[str, tuple[float, float, float]]) -> str:
    if edge.source_node not in boxes or edge.target_node not in boxes:
        return ""
    (x1, y1, _), (x2, y2, _) = boxes[edge.source_node], boxes[edge.target_node]
    out = ports_of(graph, graph.node(edge.source_node))[1].index(edge.source_port)
    into = ports_of(graph, graph.node(edge.target_node))[0].index(edge.target_port)
    start = (x1 + CARD_WIDTH, y1 + CARD_HEAD - 12 + PORT_ROW * (out + 0.5))
    end = (x2, y2 + CARD_HEAD - 12 + PORT_ROW * (into + 0.5))
    reach = 40 + min(80.0, abs(end[0] - start[0]) / 4)
    return (
        f'<path d="M{start[0]:g} {start[1]:g}C{start[0] + reach:g} {start[1]:g} '
        f'{end[0] - reach:g} {end[1]:g} '
        f'{end[0]:g} {end[1]:g}" fill="none" stroke="#8A94A3" stroke-width="3"/>'
    )


def _card(node: Node, box: tuple[float, float, float], named: bool) -> str:
    x, y, height = box
    entry = known_type(node)
    hue = HUES[entry.category if entry else "unknown"]
    if not named:
        return f'<rect x="{x:g}" y="{y:g}" width="{CARD_WIDTH:g}" height="{height:g}" rx="12" fill="{hue}"/>'
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{CARD_WIDTH:g}" height="{height:g}" rx="8" fill="#fff" '
        f'stroke="{hue}" '
        f'stroke-width="2"/><rect x="{x:g}" y="{y:g}" width="{CARD_WIDTH:g}" height="5" rx="2" fill="{hue}"/>'
        f'<text x="{x + 10:g}" y="{y + 22:g}" font-size="13" font-weight="600">{_words(node.id, 20)}</text>'
        f'<text x="{x + 10:g}" y="{y + 40:g}" font-size="11" fill="#667">{_words(note(node), 24)}</text>'
    )


def _words(text: str, most: int) -> str:
    """Text for an XML file: cut, without control characters, escaped."""
    return escape("".join(char for char in text[:most] if char.isprintable()))
