"""What a graph is: nodes, edges, a backbone and a task, as frozen plain data with a JSON form.

Knows nothing of node types, shapes, torch or Streamlit: `catalogue` says what a type means,
`validate` whether a graph is right.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fgdesign.errors import GraphError, choices

FORMAT = "fgdesign.graph/1"
DEFAULT_BACKBONE = "all-MiniLM-L6-v2"
TASKS = ("auto", "single", "multi", "regression")
ID_RULE = re.compile(r"[a-z][a-z0-9_]{0,63}")
MAX_BYTES = 1_000_000
MAX_NODES = 2_000


@dataclass(frozen=True)
class Node:
    """One function call. `params` holds only what differs from the catalogue's defaults."""

    id: str
    type: str
    params: Mapping[str, Any] = field(default_factory=dict)
    position: tuple[float, float] | None = None
    tuning: str | None = None


@dataclass(frozen=True)
class Edge:
    """A value on its way: `source` and `target` are `"node.port"`; `weight` scales it in an `add`."""

    source: str
    target: str
    weight: float | None = None

    @property
    def source_node(self) -> str:
        return self.source.partition(".")[0]

    @property
    def source_port(self) -> str:
        return self.source.partition(".")[2]

    @property
    def target_node(self) -> str:
        return self.target.partition(".")[0]

    @property
    def target_port(self) -> str:
        return self.target.partition(".")[2]


@dataclass(frozen=True)
class Graph:
    """A function graph. Immutable: `graph.edit` has the operations that return a new one."""

    name: str
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    backbone: str = DEFAULT_BACKBONE
    task: str = "auto"

    def node(self, node_id: str) -> Node:
        """The node with this id. Raises GraphError with the known ids."""
        for node in self.nodes:
            if node.id == node_id:
                return node
        raise GraphError(f"No node '{node_id}' in graph '{self.name}'. {choices(self.ids, node_id)}")

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(node.id for node in self.nodes)

    def into(self, node_id: str, port: str | None = None) -> tuple[Edge, ...]:
        """Edges that feed a node (or one of its ports), in drawing order."""
        return tuple(e for e in self.edges if e.target_node == node_id and port in (None, e.target_port))

    def out_of(self, node_id: str, port: str | None = None) -> tuple[Edge, ...]:
        """Edges that leave a node (or one of its ports), in drawing order."""
        return tuple(e for e in self.edges if e.source_node == node_id and port in (None, e.source_port))

    def with_nodes(self, nodes: Iterable[Node]) -> Graph:
        return replace(self, nodes=tuple(nodes))

    def with_edges(self, edges: Iterable[Edge]) -> Graph:
        return replace(self, edges=tuple(edges))

    @property
    def identity(self) -> str:
        """SHA-256 of the canonical form: the same for graphs that compute the same, wherever drawn."""
        return hashlib.sha256(canonical(self).encode()).hexdigest()


def to_dict(graph: Graph) -> dict[str, Any]:
    """The JSON form as plain data. Optional fields that are not set are left out."""
    return {
        "format": FORMAT,
        "name": graph.name,
        "backbone": graph.backbone,
        "task": graph.task,
        "nodes": [_node_dict(node) for node in graph.nodes],
        "edges": [_edge_dict(edge) for edge in graph.edges],
    }


def to_json(graph: Graph) -> str:
    """Indented JSON, as written to files."""
    return json.dumps(to_dict(graph), indent=1, ensure_ascii=False) + "\n"


def canonical(graph: Graph) -> str:
    """JSON with sorted keys, nodes and edges, without positions and the graph's name.

    Edges keep their order within one target port: it is the order in which values are joined.
    """
    data = to_dict(graph)
    del data["name"]
    for node in data["nodes"]:
        node.pop("position", None)
    data["nodes"].sort(key=lambda node: node["id"])
    data["edges"].sort(key=lambda edge: edge["to"])
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def from_json(text: str | bytes) -> Graph:
    """Read the JSON form.

    Raises:
        GraphError: not JSON, too large, a wrong format, or a field of the wrong kind. Unknown node
            types, ports and parameters are left to `validate`, which lists them all at once.
    """
    if len(text) > MAX_BYTES:
        raise GraphError(f"The graph file has {len(text):,} bytes; the limit is {MAX_BYTES:,}.")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GraphError(f"This is not a JSON file: {error}. Export a graph from the Design page, or "
                         "print a starter with: fgdesign starters NAME") from None
    return from_dict(data)


def from_dict(data: Any) -> Graph:
    """Read the JSON form from plain data. Raises GraphError as `from_json` does."""
    data = _mapping(data, "graph", {"format", "name", "backbone", "task", "nodes", "edges"})
    if data.get("format") != FORMAT:
        raise GraphError(f"The graph has format {data.get('format')!r}; this version reads '{FORMAT}'.")
    task = data.get("task", "auto")
    if task not in TASKS:
        raise GraphError(f"The graph's task is {task!r}. {choices(TASKS)}")
    nodes = [_read_node(item, f"nodes[{i}]") for i, item in enumerate(_list(data, "nodes"))]
    edges = [_read_edge(item, f"edges[{i}]") for i, item in enumerate(_list(data, "edges"))]
    if len(nodes) > MAX_NODES:
        raise GraphError(f"The graph has {len(nodes):,} nodes; the limit is {MAX_NODES:,}.")
    seen: set[str] = set()
    for node in nodes:
        if node.id in seen:
            raise GraphError(f"Two nodes are called '{node.id}'; ids are unique. Rename one of them.")
        seen.add(node.id)
    name, backbone = data.get("name", "untitled"), data.get("backbone", DEFAULT_BACKBONE)
    if not isinstance(name, str) or not isinstance(backbone, str):
        raise GraphError("The graph's name and backbone must be texts.")
    return Graph(name, tuple(nodes), tuple(edges), backbone, task)


def load_file(path: str | Path) -> Graph:
    """Read a graph file. Raises GraphError when it is missing or not a graph."""
    try:
        return from_json(Path(path).read_bytes())
    except OSError as error:
        raise GraphError(f"Cannot read the graph file '{path}': {error.strerror}.") from None


def _node_dict(node: Node) -> dict[str, Any]:
    data: dict[str, Any] = {"id": node.id, "type": node.type}
    if node.params:
        data["params"] = dict(node.params)
    if node.position is not None:
        data["position"] = list(node.position)
    if node.tuning is not None:
        data["tuning"] = node.tuning
    return data


def _edge_dict(edge: Edge) -> dict[str, Any]:
    data: dict[str, Any] = {"from": edge.source, "to": edge.target}
    if edge.weight is not None:
        data["weight"] = edge.weight
    return data


def _read_node(item: Any, where: str) -> Node:
    item = _mapping(item, where, {"id", "type", "params", "position", "tuning"})
    node_id, kind = item.get("id"), item.get("type")
    if not isinstance(node_id, str) or not ID_RULE.fullmatch(node_id):
        raise GraphError(f"{where} has id {node_id!r}; an id is a lower-case letter, then letters, digits or "
                         "_ (64 at most).")
    if not isinstance(kind, str):
        raise GraphError(f"Node '{node_id}' has type {kind!r}; a type is a text such as 'linear/1'.")
    params, tuning, position = item.get("params", {}), item.get("tuning"), item.get("position")
    if not isinstance(params, dict):
        raise GraphError(f"Node '{node_id}' has params {params!r}; they are an object of names and values.")
    if not isinstance(tuning, str | None):
        raise GraphError(f"Node '{node_id}' has tuning {tuning!r}; it is a text such as 'frozen'.")
    if position is not None:
        if not (isinstance(position, list) and len(position) == 2 and all(map(_is_number, position))):
            raise GraphError(f"Node '{node_id}' has position {position!r}; it is a pair of numbers.")
        position = (float(position[0]), float(position[1]))
    return Node(node_id, kind, params, position, tuning)


def _read_edge(item: Any, where: str) -> Edge:
    item = _mapping(item, where, {"from", "to", "weight"})
    for key in ("from", "to"):
        end = item.get(key)
        if not isinstance(end, str) or not re.fullmatch(r"[a-z0-9_]+\.[a-z0-9_]+", end):
            raise GraphError(f"{where} has '{key}': {end!r}; an end is 'node.port', such as 'pool.out'.")
    weight = item.get("weight")
    if weight is not None and not _is_number(weight):
        raise GraphError(f"{where} has weight {weight!r}; a weight is a number.")
    return Edge(item["from"], item["to"], None if weight is None else float(weight))


def _mapping(item: Any, where: str, known: set[str]) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise GraphError(f"{where} is {type(item).__name__}; it is an object with {', '.join(sorted(known))}.")
    for key in item:
        if key not in known:
            raise GraphError(f"{where} has an unknown field '{key}'. {choices(known, key)}")
    return item


def _list(data: dict[str, Any], key: str) -> list[Any]:
    value = data.get(key, [])
    if not isinstance(value, list):
        raise GraphError(f"The graph's '{key}' is {type(value).__name__}; it is a list.")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
