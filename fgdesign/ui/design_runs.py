"""Which run last trained a node of the graph. Knows nothing of widgets."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from fgdesign.errors import GraphError
from fgdesign.graph.spec import Node, load_file
from fgdesign.runs.folder import list_runs

MOST_RUNS = 50


def last_run(node: Node) -> str | None:
    """Name of the newest of the last fifty runs whose graph has a node of this name and type, or None."""
    for run in list_runs()[:MOST_RUNS]:
        file = run.path / "graph.json"
        if file.is_file() and (node.id, node.type) in _nodes(file, file.stat().st_mtime_ns):
            return run.name
    return None


@lru_cache(maxsize=2 * MOST_RUNS)
def _nodes(file: Path, changed: int) -> frozenset[tuple[str, str]]:
    try:
        return frozenset((node.id, node.type) for node in load_file(file).nodes)
    except GraphError:
        return frozenset()
