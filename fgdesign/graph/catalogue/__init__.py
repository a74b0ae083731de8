"""The node catalogue: every node type there is, by its versioned name.

A new node type is one entry in a module of this folder and one block in `fgdesign/model/blocks`.
Knows nothing of torch or Streamlit.
"""

from __future__ import annotations

from fgdesign.errors import GraphError, choices
from fgdesign.graph.catalogue import answers, combine, functions, merges, selectors, sources
from fgdesign.graph.types import NodeType

CATEGORIES = ("input", "pretrained", "function", "combine", "shape", "select", "merge", "answer")

CATALOGUE: dict[str, NodeType] = {
    entry.name: entry
    for module in (sources, functions, combine, selectors, merges, answers)
    for entry in module.ENTRIES
}


def node_type(name: str) -> NodeType:
    """The entry called `name`. Raises GraphError with the known names."""
    if name not in CATALOGUE:
        raise GraphError(f"Unknown node type '{name}'. {choices(CATALOGUE, name)}")
    return CATALOGUE[name]
