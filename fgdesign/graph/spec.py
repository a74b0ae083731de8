"""What a graph is: nodes, edges, a backbone and a task, as frozen plain data with a JSON form.

Knows nothing of node types, shapes, torch or Streamlit: `catalogue` says what a type means,
`validate` whether a graph is right.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import re
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from fgdesign.errors import GraphError, choices

FORMAT = "fgdesign.graph/1"
DEFAULT_BACKBONE = "all-MiniLM-L6-v2"
TASKS = ("auto", "single", "multi", "regression")
ID_RULE = re.compile(r"[a-z][a-z0-9_]{0,63}")
MAX_BYTES = 1_000_000
MAX_NODES = 2_000
MAX_EDGES = 20_000
MAX_DEPTH = 12


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

    @cached_property
    def source_node(self) -> str:
        return self.source.partition(".")[0]

    @cached_property
    def source_port(self) -> str:
        return self.source.partition(".")[2]

    @cached_property
    def target_node(self) -> str:
        return self.target.partition(".")[0]

    @cached_property
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
        if node_id not in self.by_id:
            raise GraphError(f"No node '{node_id}' in graph '{self.name}'. {choices(self.ids, node_id)}")
        return self.by_id[node_id]

    @cached_property
    def by_id(self) -> Mapping[str, Node]:
        """Node id -> node; the first where an id is there twice."""
        return {node.id: node for node in reversed(self.nodes)}

    @cached_property
    def ids(self) -> tuple[str, ...]:
        return tuple(node.id for node in self.nodes)

    @cached_property
    def _into(self) -> Mapping[str, tuple[Edge, ...]]:
        return _grouped((edge.target_node, edge) for edge in self.edges)

    @cached_property
    def _out_of(self) -> Mapping[str, tuple[Edge, ...]]:
        return _grouped((edge.source_node, edge) for edge in self.edges)

    def into(self, node_id: str, port: str | None = None) -> tuple[Edge, ...]:
        """Edges that feed a node (or one of its ports), in drawing order."""
        edges = self._into.get(node_id, ())
        return edges if port is None else tuple(edge for edge in edges if edge.target_port == port)

    def out_of(self, node_id: str, port: str | None = None) -> tuple[Edge, ...]:
        """Edges that leave a node (or one of its ports), in drawing order."""
        edges = self._out_of.get(node_id, ())
        return edges if port is None else tuple(edge for edge in edges if edge.source_port == port)

    def with_nodes(self, nodes: Iterable[Node]) -> Graph:
        return replace(self, nodes=tuple(nodes))

    def with_edges(self, edges: Iterable[Edge]) -> Graph:
        return replace(self, edges=tuple(edges))

    @property
    def identity(self) -> str:
        """SHA-256 of the canonical form: the same for graphs that compute the same, wherever drawn."""
        return hashlib.sha256(canonical(self).encode()).hexdigest()


def to_dict(graph: Graph) -> dict[str, Any]:
    """The JSON form as plain data of its own. Optional fields that are not set are left out."""
    data = _as_dict(graph)
    for node in data["nodes"]:
        if "params" in node:
            node["params"] = copy.deepcopy(node["params"])
    return data


def _as_dict(graph: Graph) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "name": graph.name,
        "backbone": graph.backbone,
        "task": graph.task,
        "nodes": [_node_dict(node) for node in graph.nodes],
        "edges": [_edge_dict(edge) for edge in graph.edges],
    }


def to_json(graph: Graph, indent: int | None = 1) -> str:
    """JSON as written to files; on one line where `indent` is None, which is several times faster."""
    return json.dumps(_as_dict(graph), indent=indent, ensure_ascii=False) + "\n"


def canonical(graph: Graph) -> str:
    """JSON with sorted keys, nodes and edges, without positions and the graph's name.

    Edges keep their order within one target port: it is the order in which values are joined.
    """
    data = _as_dict(graph)
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
        data = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise GraphError(f"This is not a JSON file: {error}. Export a graph from the Design page, or "
                         "print a starter with: fgdesign starters NAME") from None
    return from_dict(data)


def from_dict(data: Any) -> Graph:
    """Read the JSON form from plain data, of which it keeps a copy. Raises GraphError as `from_json` does."""
    _require_plain(data)
    data = copy.deepcopy(_mapping(data, "The graph", {"format", "name", "backbone", "task", "nodes", "edges"}))
    if data.get("format") != FORMAT:
        raise GraphError(f"The graph has format {shown(data.get('format'))}; this version reads '{FORMAT}'.")
    task = data.get("task", "auto")
    if task not in TASKS:
        raise GraphError(f"The graph's task is {shown(task)}. {choices(TASKS)}")
    for key, most in (("nodes", MAX_NODES), ("edges", MAX_EDGES)):
        if len(_list(data, key)) > most:
            raise GraphError(f"The graph has {len(data[key]):,} {key}; the limit is {most:,}.")
    nodes = [_read_node(item, f"nodes[{i}]") for i, item in enumerate(_list(data, "nodes"))]
    edges = [_read_edge(item, f"edges[{i}]") for i, item in enumerate(_list(data, "edges"))]
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
        with Path(path).open("rb") as file:
            return from_json(file.read(MAX_BYTES + 1))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise GraphError(f"Cannot read the graph file '{path}': {reason}.") from None


def shown(value: object) -> str:
    """A value as messages show it: as Python writes it, cut where it is long or deep."""
    return _SHORT.repr(value)


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60
_SHORT.maxlevel = 3


def _grouped(edges: Iterable[tuple[str, Edge]]) -> dict[str, tuple[Edge, ...]]:
    groups: dict[str, list[Edge]] = {}
    for node_id, edge in edges:
        groups.setdefault(node_id, []).append(edge)
    return {node_id: tuple(group) for node_id, group in groups.items()}


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
        raise GraphError(f"{where} has id {shown(node_id)}; an id is a lower-case letter, then letters, digits or "
                         "_ (64 at most).")
    if not isinstance(kind, str):
        raise GraphError(f"Node '{node_id}' has type {shown(kind)}; a type is a text such as 'linear/1'.")
    params, tuning, position = item.get("params", {}), item.get("tuning"), item.get("position")
    if not isinstance(params, dict):
        raise GraphError(f"Node '{node_id}' has params {shown(params)}; they are an object of names and values.")
    if not isinstance(tuning, str | None):
        raise GraphError(f"Node '{node_id}' has tuning {shown(tuning)}; it is a text such as 'frozen'.")
    if position is not None:
        if not (isinstance(position, list) and len(position) == 2 and all(map(_is_number, position))):
            raise GraphError(f"Node '{node_id}' has position {shown(position)}; it is a pair of numbers.")
        position = (float(position[0]), float(position[1]))
    return Node(node_id, kind, params, position, tuning)


def _read_edge(item: Any, where: str) -> Edge:
    item = _mapping(item, where, {"from", "to", "weight"})
    for key in ("from", "to"):
        end = item.get(key)
        if not isinstance(end, str) or not re.fullmatch(r"[a-z0-9_]+\.[a-z0-9_]+", end):
            raise GraphError(f"{where} has '{key}': {shown(end)}; an end is 'node.port', such as 'pool.out'.")
    weight = item.get("weight")
    if weight is not None and not _is_number(weight):
        raise GraphError(f"{where} has weight {shown(weight)}; a weight is a number.")
    return Edge(item["from"], item["to"], None if weight is None else float(weight))


def _mapping(item: Any, where: str, known: set[str]) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise GraphError(f"{where} is of kind {type(item).__name__}; it is an object with {', '.join(sorted(known))}.")
    for key in item:
        if key not in known:
            raise GraphError(f"{where} has an unknown field {shown(key)}. {choices(known, str(key)[:60])}")
    return item


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        keys = [key for key, _ in pairs]
        double = next(key for key in keys if keys.count(key) > 1)
        raise GraphError(f"The key {shown(double)} is there twice in one object of the graph file. Remove one.")
    return data


def _require_plain(data: Any) -> None:
    """Raises GraphError for what JSON cannot hold, and for lists and objects within each other too deep."""
    waiting = [(data, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise GraphError(f"The graph has objects or lists more than {MAX_DEPTH} deep within each other.")
        match value:
            case dict():
                waiting += [(item, depth + 1) for pair in value.items() for item in pair]
            case list():
                waiting += [(item, depth + 1) for item in value]
            case float() if not math.isfinite(value):
                raise GraphError(f"The graph has the number {value}; numbers are finite.")
            case str() if not value.isascii() and not _is_text(value):
                raise GraphError(f"The graph has a text that cannot be written as UTF-8: {shown(value)}.")
            case None | bool() | int() | float() | str():
                pass
            case _:
                raise GraphError(f"The graph has a {type(value).__name__}; it is made of objects, lists, texts, "
                                 "numbers, true, false and null.")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _list(data: dict[str, Any], key: str) -> list[Any]:
    value = data.get(key, [])
    if not isinstance(value, list):
        raise GraphError(f"The graph's '{key}' is of kind {type(value).__name__}; it is a list.")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
