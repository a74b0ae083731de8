"""What two graphs differ in: nodes and edges that came, went or changed, and one graph that holds both.

Places do not count. A renamed node is one that went and one that came. Knows nothing of Streamlit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from fgdesign.graph.layout import card_height, free_place, placed
from fgdesign.graph.spec import Edge, Graph, Node, shown

ADDED, REMOVED, CHANGED = "added", "removed", "changed"
MOST_NAMES = 4


@dataclass(frozen=True)
class Comparison:
    """`graph`: the new graph and, where there is room, what went. `changes`: "added", "removed" or "changed" by
    node id and by "source>target"; what is the same is left out. `details`: what changed of a node, in words.
    """

    graph: Graph
    changes: Mapping[str, str]
    details: Mapping[str, str]

    def names(self, change: str) -> tuple[str, ...]:
        """What was added, removed or changed."""
        return tuple(name for name, word in self.changes.items() if word == change)

    def __str__(self) -> str:
        parts = [
            f"{word} {', '.join(names[:MOST_NAMES])}"
            + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")
            for word in (ADDED, REMOVED, CHANGED)
            if (names := self.names(word))
        ]
        return "; ".join(parts) or "no difference"


def compare(old: Graph, new: Graph) -> Comparison:
    """What turns `old` into `new`."""
    old, new = placed(old), placed(new)
    changes: dict[str, str] = {}
    details: dict[str, str] = {}
    for node in new.nodes:
        before = old.by_id.get(node.id)
        words = "; ".join(_node_changes(before, node)) if before else ""
        if before is None:
            changes[node.id] = ADDED
        elif words:
            changes[node.id], details[node.id] = CHANGED, words
    changes |= {node.id: REMOVED for node in old.nodes if node.id not in new.by_id}
    changes |= _edge_changes(old, new)
    return Comparison(_union(old, new), changes, details)


def _node_changes(old: Node, new: Node) -> Iterator[str]:
    if old.type != new.type:
        yield f"type: {shown(old.type)} → {shown(new.type)}"
    if old.tuning != new.tuning:
        yield f"tuning: {old.tuning or 'default'} → {new.tuning or 'default'}"
    for name in dict.fromkeys((*old.params, *new.params)):
        before, after = (shown(node.params[name]) if name in node.params else "default" for node in (old, new))
        if old.params.get(name) != new.params.get(name) or before != after:
            yield f"{name}: {before} → {after}"


def _edge_changes(old: Graph, new: Graph) -> dict[str, str]:
    before, after = ({_name(edge): edge.weight for edge in graph.edges} for graph in (old, new))
    found = {name: ADDED for name in after if name not in before}
    found |= {name: REMOVED for name in before if name not in after}
    return found | {name: CHANGED for name in after if name in before and after[name] != before[name]}


def _union(old: Graph, new: Graph) -> Graph:
    whole = new
    for node in old.nodes:
        if node.id not in new.by_id:
            place = free_place(whole, node.position or (0.0, 0.0), card_height(old, node))
            whole = whole.with_nodes((*whole.nodes, replace(node, position=place)))
    kept = {_name(edge) for edge in new.edges}
    return whole.with_edges((*new.edges, *(edge for edge in old.edges if _name(edge) not in kept)))


def _name(edge: Edge) -> str:
    return f"{edge.source}>{edge.target}"
