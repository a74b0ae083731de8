"""What is laid over a drawn graph: rows that call each function, gradients, or the order of one input's calls.

Adds to data from `views.canvas`; the canvas knows how to draw it. Knows nothing of Streamlit or of how it was counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fgdesign.views.numbers import percent, plain


def with_usage(data: Mapping[str, Any], nodes: Mapping[str, float], wires: Mapping[str, float]) -> dict[str, Any]:
    """Shares of the rows, 0..1, on cards and wires.

    Args: nodes: by id. wires: by output port of what chooses; these are written, the others are as their node.
    """
    return {
        **data,
        "nodes": [{**node, "usage": nodes.get(node["id"], 0.0), "tag": percent(nodes.get(node["id"], 0.0))}
                  for node in data["nodes"]],
        "edges": [{**edge, "usage": wires.get(edge["start"], nodes.get(edge["start"].partition(".")[0], 0.0)),
                   **({"tag": percent(wires[edge["start"]])} if edge["start"] in wires else {})}
                  for edge in data["edges"]],
    }


def with_gradients(data: Mapping[str, Any], norms: Mapping[str, float | None]) -> dict[str, Any]:
    """How strongly each function is pulled at: gradient norms on a logarithmic scale of 1 to 1000 below the largest.

    A norm of None is one that is no number any more, as the log of a run that diverged has it.
    """
    top = max((norm for norm in norms.values() if norm is not None), default=0.0)

    def heat(norm: float) -> float:
        return max(0.05, 1 + math.log10(norm / top) / 3) if norm and top else 0.0

    def lit(node: Mapping[str, Any]) -> dict[str, Any]:
        norm = norms.get(node["id"])
        if norm is None and node["id"] in norms:
            return {**node, "usage": 1.0, "tag": "∞", "about": "its gradient is no longer a number"}
        if norm is None:
            return {**node, "usage": 0.0, "about": "no gradient: nothing is learned here"}
        return {**node, "usage": heat(norm), "tag": plain(norm), "about": f"gradient norm {plain(norm)}"}

    return {**data, "nodes": [lit(node) for node in data["nodes"]]}


def with_replay(data: Mapping[str, Any], trace: Mapping[str, Any], *, step: int = 0,
                nearest: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The order of calls, which the canvas steps through.

    Args: step: the call that is shown, from 1; 0 for all of them. nearest: by node the class its value is nearest to.
    """
    called = [node for node in trace["nodes"] if node["state"] in ("called", "idle")]
    notes = [_note(node, trace, (nearest or {}).get(node["id"], "")) for node in called]
    return {**data, "replay": {"order": [node["id"] for node in called], "notes": notes,
                               "step": max(0, min(step, len(called)))}}


def _note(node: Mapping[str, Any], trace: Mapping[str, Any], nearest: str) -> str:
    """One call in a line."""
    parts = [f"{node['id']}: {node['state']}", f"{plain(node['ms'])} ms"]
    if node["gate"] is not None:
        parts.append(f"gate {plain(node['gate'])}")
    told = trace["routers"].get(node["id"])
    if told is not None:
        parts.append(told["reason"] or f"chose {', '.join(told['chosen'])}")
    if node["norm"] is not None:
        parts.append(f"length {plain(node['norm'])}")
    if node["change"] is not None:
        parts.append(f"moved by {percent(node['change'])}")
    if nearest:
        parts.append(f"nearest to {nearest}")
    return " · ".join(parts)
