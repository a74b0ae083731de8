"""Cards and wires of a graph while it is edited: made anew only where something they show has changed.

What a card shows is decided in `views.canvas`; this module only knows what it depends on. Knows nothing of Streamlit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fgdesign.graph.infer import Inference
from fgdesign.graph.spec import Edge, Graph, Node
from fgdesign.graph.validate import Problem
from fgdesign.views.canvas import Facts, card, price, share, slim_edge, slim_node, wire

Made = tuple[Any, dict[str, Any]]


@dataclass
class Cards:
    """The cards and wires of the last picture, each with all that it was made of. Made cards are never changed."""

    cards: dict[str, Made] = field(default_factory=dict)
    wires: dict[str, Made] = field(default_factory=dict)

    def draw(self, graph: Graph, found: Inference, problems: Sequence[Problem]) -> dict[str, Any]:
        """`nodes` and `edges` as `slim(canvas_data(...))` has them; every node of the graph has a position."""
        marked: dict[str, list[Problem]] = {}
        for problem in problems:
            marked.setdefault(problem.node or "", []).append(problem)
        facts = Facts(found, marked, {}, sum(map(price, found.costs.values())))
        made_of = _makings(graph, facts)
        self.cards = {
            node.id: self._card(graph, node, facts, makings)
            for node, makings in zip(graph.nodes, made_of, strict=True)
        }
        self.wires = {
            f"{edge.source}>{edge.target}": self._wire(edge, facts)
            for edge in graph.edges
            if edge.source_node in graph.by_id and edge.target_node in graph.by_id
        }
        return {
            "nodes": [drawn for _, drawn in self.cards.values()],
            "edges": [drawn for _, drawn in self.wires.values()],
        }

    def _card(self, graph: Graph, node: Node, facts: Facts, made_of: Any) -> Made:
        known = self.cards.get(node.id)
        if known is not None and known[0] == made_of:
            return known
        return made_of, slim_node({"id": node.id, **card(graph, node, facts)})

    def _wire(self, edge: Edge, facts: Facts) -> Made:
        value = facts.found.values.get(edge.source)
        made_of = (edge, value and value.type, edge.source in facts.found.static)
        known = self.wires.get(f"{edge.source}>{edge.target}")
        if known is not None and known[0] == made_of:
            return known
        return made_of, slim_edge(wire(edge, facts, None))


def _makings(graph: Graph, facts: Facts) -> Iterable[Any]:
    """For each node all that its card is made of."""
    found = facts.found
    own: dict[str, list[Any]] = {}
    for port, value in found.values.items():
        own.setdefault(port.partition(".")[0], []).append((port, value))
    static = {port.partition(".")[0] for port in found.static}
    for node in graph.nodes:
        into = graph.into(node.id)
        yield (
            node,
            into,
            graph.out_of(node.id),
            [found.values.get(edge.source) for edge in into],
            own.get(node.id),
            _price(found, node.id, facts.total_cost),
            node.id in static,
            facts.problems.get(node.id),
        )


def _price(found: Inference, node_id: str, total: float) -> tuple[Any, float] | None:
    cost = found.costs.get(node_id)
    return (cost, share(cost, total)) if cost else None


def same(one: Mapping[str, Any], other: Mapping[str, Any] | None) -> bool:
    """True where two cards or wires are equal; at once where they are one."""
    return one is other or one == other
