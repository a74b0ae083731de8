"""Which run last trained a node of the graph, and what it reported. Knows nothing of widgets."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from fgdesign.errors import GraphError
from fgdesign.graph.spec import Node, load_file
from fgdesign.runs.folder import RunFolder, list_runs
from fgdesign.views.numbers import percent, plain

MOST_RUNS = 50


def last_run(node: Node) -> RunFolder | None:
    """The newest of the last fifty runs whose graph has a node of this name and type, or None."""
    for run in list_runs()[:MOST_RUNS]:
        file = run.path / "graph.json"
        if file.is_file() and (node.id, node.type) in _nodes(file, file.stat().st_mtime_ns):
            return run
    return None


def last_report(node: Node) -> dict[str, Any]:
    """What the last run of a node reported; empty where there is none, or it has not ended."""
    run = last_run(node)
    return (run.report() if run else None) or {}


def exit_line(node: Node) -> str:
    """What the last run says of an exit: the share of rows that left there, how deep, how many of them right."""
    told = next((told for told in last_report(node).get("exits") or () if told.get("node") == node.id), None)
    if told is None:
        return ""
    parts = [f"Last run: {percent(told['share'])} of the rows left here"]
    if told.get("depth") is not None:
        parts.append(f"after {plain(told['depth'])} layers")
    if told.get("accuracy") is not None:
        parts.append(f"{percent(told['accuracy'])} of them right")
    return ", ".join(parts)


@lru_cache(maxsize=2 * MOST_RUNS)
def _nodes(file: Path, changed: int) -> frozenset[tuple[str, str]]:
    try:
        return frozenset((node.id, node.type) for node in load_file(file).nodes)
    except GraphError:
        return frozenset()
