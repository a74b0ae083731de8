"""Branches of a router in the inspector: where each leads, its share in the last run, sorted and removed by a click.

Knows nothing of scores or rules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from fgdesign.graph.branches import FEWEST, NEW, branch_count
from fgdesign.graph.catalogue import node_type
from fgdesign.graph.spec import Graph, Node
from fgdesign.ui.design_runs import last_report
from fgdesign.views.numbers import percent

Do = Callable[[dict[str, Any]], None]


def branches_form(graph: Graph, node: Node, do: Do) -> None:
    """One line for each branch in order, and a button that adds one."""
    order = list(range(1, branch_count(node) + 1))
    load = (last_report(node).get("routers", {}).get(node.id) or {}).get("load", {})
    st.markdown("Branches", help="A branch that goes straight to a merge is the identity function. "
                                 "Edges and rules follow a branch that is moved.")
    for number in order:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            share = f" ({percent(load[name])})" if (name := f"branch_{number}") in load else ""
            st.text(f"{number} → {leads_to(graph, node, number)}{share}", width="stretch")
            swapped = [n for n in order if n != number]
            swapped.insert(max(0, number - 2), number)
            _button(node, f"up|{number}", ":material/arrow_upward:", f"Branch {number} before branch {number - 1}",
                    swapped, do, disabled=number == 1, type="tertiary")
            _button(node, f"remove|{number}", ":material/close:", f"Remove branch {number}",
                    [n for n in order if n != number], do, disabled=len(order) <= FEWEST, type="tertiary")
    param = node_type(node.type).param("branches")
    most = int(param.high) if param and param.high else len(order)
    _button(node, "add", ":material/add: Add a branch", "A new branch, the last", [*order, NEW], do,
            disabled=len(order) >= most, width="stretch")


def leads_to(graph: Graph, node: Node, number: int) -> str:
    """What a branch calls, by name: the nodes that it feeds, or that it is the identity or leads nowhere."""
    fed = [graph.by_id.get(edge.target_node) for edge in graph.out_of(node.id, f"branch_{number}")]
    names = [f"{found.id}, identity" if "merge" in found.type else found.id for found in fed if found is not None]
    return " + ".join(names) or "nothing yet"


def _button(node: Node, ident: str, text: str, tip: str, order: list[int], do: Do, **options: Any) -> None:
    st.button(text, key=f"branch|{node.id}|{ident}", help=tip, on_click=do,
              args=({"op": "branches", "id": node.id, "order": order},), **options)
