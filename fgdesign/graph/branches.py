"""Branches of a router: added, removed and put in another order, with the edges and rules that name them.

A pure function graph -> graph. Knows nothing of scores, torch or Streamlit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fgdesign.errors import GraphError
from fgdesign.graph.catalogue import node_type
from fgdesign.graph.edit import set_params
from fgdesign.graph.spec import Edge, Graph, Node

NEW = 0  # in an order: a branch that was not there
FEWEST = 2


def branch_count(node: Node) -> int:
    """How many branches a node has; 0 where it is no router."""
    entry = node_type(node.type)
    return len(entry.output_names(node.params)) if entry.branches else 0


def reorder(graph: Graph, node_id: str, order: Sequence[int]) -> Graph:
    """Give a router the branches of `order`: numbers of its branches from 1, or NEW. What is left out is removed.

    Edges follow their branch, and so do rules and the default of a rule router; what leads to a removed branch goes.
    Raises GraphError where the order names a branch twice, or one that is not there, or leaves fewer than two.
    """
    node = graph.node(node_id)
    known = range(1, branch_count(node) + 1)
    kept = [number for number in order if number != NEW]
    if len(set(kept)) < len(kept) or not set(kept) <= set(known) or len(order) < FEWEST:
        raise GraphError(f"'{node_id}' cannot have the branches {list(order)[:9]}: name at least {FEWEST}, each once, "
                         f"from 1 to {len(known)}, or {NEW} for a new one.")
    new = {number: order.index(number) + 1 for number in kept}
    edges = (_moved(edge, new) if edge.source_node == node_id else edge for edge in graph.edges)
    graph = graph.with_edges(edge for edge in edges if edge is not None)
    return set_params(graph, node_id, **_params(node, new, len(order)))


def _moved(edge: Edge, new: Mapping[int, int]) -> Edge | None:
    number = new.get(int(edge.source_port.removeprefix("branch_")))
    return None if number is None else replace(edge, source=f"{edge.source_node}.branch_{number}")


def _params(node: Node, new: Mapping[int, int], count: int) -> dict[str, Any]:
    """The parameters that name or count branches."""
    entry = node_type(node.type)
    full = entry.with_defaults(node.params)
    changed: dict[str, Any] = {"branches": count}
    if "k" in full:
        changed["k"] = min(full["k"], count)
    if "rules" in full:
        rules = [rule for rule in full["rules"] if isinstance(rule, dict)]
        changed["rules"] = [{**rule, "to": new[rule["to"]]} for rule in rules if rule.get("to") in new]
        changed["default"] = new.get(full["default"], count)
    return changed
