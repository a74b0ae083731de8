"""What follows from a graph: order, types, widths, rows, gates, costs, the static part.

Pure functions graph -> data, tolerant of unfinished graphs: what cannot be known is left out and said in
`faults`. Knows nothing of torch or Streamlit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import networkx as nx

from fgdesign.graph import rows as r
from fgdesign.graph.backbones import BackboneInfo, describe_backbone
from fgdesign.graph.catalogue import CATALOGUE
from fgdesign.graph.spec import Edge, Graph, Node
from fgdesign.graph.types import LOGITS, TOKENS, Cost, MisfitError, NodeType, ShapeError, Site, Value, with_outputs


@dataclass(frozen=True)
class Fault:
    """A node whose inputs do not fit: why, and what to do. `misfit`: no setting of the node can mend it."""

    node: str
    message: str
    fix: str
    misfit: bool = False


@dataclass(frozen=True)
class Inference:
    """All that follows from a graph. Ports are named `"node.port"`.

    order: node ids, sources first; without those in or behind a cycle. values: what each output carries.
    node_rows / rows: which rows a node runs on / a port holds. gates: learned routers whose gate weight still
    rides on a port. static: ports that are the same for a text every time. frontier: static ports that other
    nodes read. answer: the port that is the graph's result.
    """

    order: tuple[str, ...] = ()
    values: Mapping[str, Value] = field(default_factory=dict)
    costs: Mapping[str, Cost] = field(default_factory=dict)
    node_rows: Mapping[str, r.Rows] = field(default_factory=dict)
    rows: Mapping[str, r.Rows] = field(default_factory=dict)
    gates: Mapping[str, frozenset[str]] = field(default_factory=dict)
    ways: r.Ways = field(default_factory=r.Ways)
    static: frozenset[str] = frozenset()
    frontier: tuple[str, ...] = ()
    answer: str | None = None
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Summary:
    """Totals of a graph; layers that share weights count once. Expected: routers and exits choose evenly."""

    nodes: int
    parameters: int
    trained: int
    macs_per_token: int
    macs_per_text: int
    expected_macs_per_token: float


def known_type(node: Node) -> NodeType | None:
    return CATALOGUE.get(node.type)


def unites(node: Node) -> bool:
    """True for nodes that hold the rows of any input, not only those that all inputs share."""
    return CATALOGUE[node.type].role in ("merge", "answer") and node.params.get("rows") != "shared"


def params_of(node: Node) -> dict[str, object]:
    """The node's parameters with the catalogue's defaults filled in."""
    return CATALOGUE[node.type].with_defaults(node.params)


def tuning_of(node: Node) -> str:
    """The node's tuning, or its type's default where it is not set or unknown; without parameters: frozen."""
    entry = CATALOGUE[node.type]
    if not entry.tunings:
        return "frozen"
    return node.tuning if node.tuning in entry.tunings else entry.default_tuning


def ways_of(graph: Graph) -> r.Ways:
    """The choices that routers and exits offer, as many as a trained graph takes."""
    branches, taken = {}, {}
    for node in graph.nodes:
        entry = known_type(node)
        if entry is None or entry.role not in ("router", "exit"):
            continue
        params = entry.with_defaults(node.params)
        branches[node.id] = entry.output_names(params)
        taken[node.id] = min(params.get("k", 1), len(branches[node.id]))
    return r.Ways(branches, taken)


def training_ways(graph: Graph, ways: r.Ways) -> r.Ways:
    """The same choices while training, when a soft router takes all its branches."""
    soft = {name: len(branches) for name, branches in ways.branches.items()
            if graph.node(name).params.get("method") == "soft"}
    return r.Ways(ways.branches, {**ways.taken, **soft})


def wiring(graph: Graph) -> nx.MultiDiGraph:
    """The edges between nodes that exist, as a networkx graph."""
    net = nx.MultiDiGraph()
    net.add_nodes_from(graph.ids)
    for edge in graph.edges:
        if net.has_node(edge.source_node) and net.has_node(edge.target_node):
            net.add_edge(edge.source_node, edge.target_node)
    return net


def in_order(graph: Graph) -> Iterator[str]:
    """Node ids, sources first, otherwise as drawn; without those in or behind a cycle."""
    by_id = graph.by_id
    open_edges = {node_id: sum(edge.source_node in by_id for edge in graph.into(node_id)) for node_id in by_id}
    ready = deque(node_id for node_id, count in open_edges.items() if not count)
    while ready:
        node_id = ready.popleft()
        yield node_id
        for edge in graph.out_of(node_id):
            if edge.target_node in open_edges:
                open_edges[edge.target_node] -= 1
                if not open_edges[edge.target_node]:
                    ready.append(edge.target_node)


def infer(
    graph: Graph, classes: int = 0, backbone: BackboneInfo | None = None, *, fresh: bool = False
) -> Inference:
    """Infer everything about a graph.

    The last graphs are remembered: of one that differs from them a little, only what follows from the difference is
    worked out. The result is the same.

    Args: classes: number of classes or targets; 0 while unknown. backbone: its facts, where they are at hand.
        fresh: work out everything, and do not remember it.
    Raises: BackboneError when the graph's backbone cannot be described.
    """
    backbone = backbone or describe_backbone(graph.backbone)
    ways = ways_of(graph)
    alike = (known for known in reversed(tuple(_recent)) if known.helps(graph, classes, backbone, ways))
    earlier = None if fresh else next(alike, None)
    found = _Pass(graph, backbone, classes, ways, earlier).run()
    if not fresh:
        _recent.append(_Earlier(graph, classes, backbone, found))
    return found


@dataclass(frozen=True)
class _Earlier:
    """A graph and what followed from it."""

    graph: Graph
    classes: int
    backbone: BackboneInfo
    found: Inference

    def helps(self, graph: Graph, classes: int, backbone: BackboneInfo, ways: r.Ways) -> bool:
        """True where parts of it can be taken over for another graph."""
        mine = (self.graph.name, self.graph.task, self.classes, self.backbone, self.found.ways)
        return mine == (graph.name, graph.task, classes, backbone, ways)

    @cached_property
    def ports(self) -> Mapping[str, list[str]]:
        """For each node that has run its ports."""
        groups: dict[str, list[str]] = {}
        for port in self.found.rows:
            groups.setdefault(port.partition(".")[0], []).append(port)
        return groups

    @cached_property
    def faults(self) -> Mapping[str, Fault]:
        return {fault.node: fault for fault in self.found.faults}

    def knows(self, graph: Graph, node: Node) -> bool:
        """True where the node and the edges into it are as they were; its place does not matter."""
        old = self.graph.by_id.get(node.id)
        if old is None or self.graph.into(node.id) != graph.into(node.id):
            return False
        return old is node or (old.type, old.params, old.tuning) == (node.type, node.params, node.tuning)


_recent: deque[_Earlier] = deque(maxlen=8)


class _Pass:
    """One walk over a graph in order; the results gather in its dictionaries."""

    def __init__(
        self, graph: Graph, backbone: BackboneInfo, classes: int, ways: r.Ways, earlier: _Earlier | None
    ) -> None:
        self.graph, self.backbone, self.ways, self.earlier = graph, backbone, ways, earlier
        self.classes = 1 if graph.task == "regression" else classes
        self.changed: set[str] = set()  # nodes whose ports hold something else than in the earlier graph
        self.values: dict[str, Value] = {}
        self.costs: dict[str, Cost] = {}
        self.node_rows: dict[str, r.Rows] = {}
        self.rows: dict[str, r.Rows] = {}
        self.gates: dict[str, frozenset[str]] = {}
        self.static: set[str] = set()
        self.faults: list[Fault] = []

    def run(self) -> Inference:
        order = tuple(in_order(self.graph))
        for node_id in order:
            node = self.graph.node(node_id)
            entry = known_type(node)
            if entry is not None and not self._taken_over(node):
                self._visit(node, entry)
                if self.earlier and not self._as_before(node_id, self.earlier):
                    self.changed.add(node_id)
        return Inference(
            order, self.values, self.costs, self.node_rows, self.rows, self.gates, self.ways,
            frozenset(self.static), self._frontier(), answer_port(self.graph, self.values), tuple(self.faults),
        )

    def _taken_over(self, node: Node) -> bool:
        """Take the node's results from the earlier graph, where nothing they depend on has changed."""
        earlier = self.earlier
        if earlier is None or not earlier.knows(self.graph, node):
            return False
        if any(edge.source_node in self.changed for edge in self.graph.into(node.id)):
            return False
        old = earlier.found
        for port in earlier.ports.get(node.id, ()):
            self.rows[port], self.gates[port] = old.rows[port], old.gates[port]
            if port in old.values:
                self.values[port] = old.values[port]
            if port in old.static:
                self.static.add(port)
        if node.id in old.node_rows:
            self.node_rows[node.id] = old.node_rows[node.id]
        if node.id in old.costs:
            self.costs[node.id] = old.costs[node.id]
        if node.id in earlier.faults:
            self.faults.append(earlier.faults[node.id])
        return True

    def _as_before(self, node_id: str, earlier: _Earlier) -> bool:
        """True where the node's ports hold what they held in the earlier graph."""
        old, ports = earlier.found, self.ways.branches.get(node_id) or CATALOGUE[self.graph.node(node_id).type].outputs
        names = [f"{node_id}.{port}" for port in ports]
        return earlier.ports.get(node_id, []) == [name for name in names if name in self.rows] and all(
            (self.rows.get(name), self.gates.get(name), self.values.get(name), name in self.static)
            == (old.rows.get(name), old.gates.get(name), old.values.get(name), name in old.static)
            for name in names
        )

    def _visit(self, node: Node, entry: NodeType) -> None:
        arriving = self._arriving(node, entry)
        if arriving is None:
            return
        params = entry.with_defaults(node.params)
        site = Site(params, arriving, self.backbone, tuning_of(node), self.classes)
        try:
            outputs = entry.shapes(site)
            cost = entry.costs(with_outputs(site, outputs))
            self._place_rows(node, entry)
        except ShapeError as error:
            self.faults.append(Fault(node.id, str(error), error.fix, isinstance(error, MisfitError)))
            return
        except r.TangledRows as error:
            self.faults.append(Fault(node.id, str(error), "Merge the branches of each router before the next one."))
            return
        self.costs[node.id] = cost
        for port, value in outputs.items():
            self.values[f"{node.id}.{port}"] = value
        self._mark_static(node, entry, cost)

    def _arriving(self, node: Node, entry: NodeType) -> dict[str, Sequence[Value]] | None:
        """Values per input port, or None where one is missing or of a type the port does not take."""
        arriving: dict[str, Sequence[Value]] = {}
        for port in entry.inputs:
            sources = [edge.source for edge in self.graph.into(node.id, port.name)]
            values = [self.values[source] for source in sources if source in self.values]
            if len(values) < len(sources) or (not values and not port.optional):
                return None
            if any(value.type not in port.types for value in values):
                return None
            arriving[port.name] = values
        return arriving

    def _sources(self, node: Node, entry: NodeType) -> list[str]:
        """Ports that feed inputs the node has."""
        return [edge.source for edge in self.graph.into(node.id) if entry.input(edge.target_port)]

    def _place_rows(self, node: Node, entry: NodeType) -> None:
        sources = self._sources(node, entry)
        held = [self.rows[source] for source in sources]
        unite = unites(node)
        mine = r.either(held, self.ways) if unite else r.both(held, self.ways)
        self.node_rows[node.id] = mine
        gates = frozenset().union(*(self.gates[source] for source in sources))
        if unite or entry.role == "merge":
            gates = frozenset(gate for gate in gates if self._undivided(gate, sources))
        elif entry.role == "head":
            gates = frozenset()
        for port in self.ways.branches.get(node.id, entry.outputs):
            name = f"{node.id}.{port}"
            self.rows[name] = r.choose(mine, node.id, port) if node.id in self.ways.branches else mine
            self.gates[name] = gates | {node.id} if entry.name.startswith("router/") else gates

    def _undivided(self, router: str, sources: list[str]) -> bool:
        """True where all sources came through the same single branch of the router."""
        through = {r.branches_of(self.rows[source], router) for source in sources}
        return len(through) == 1 and len(next(iter(through))) == 1

    def _mark_static(self, node: Node, entry: NodeType, cost: Cost) -> None:
        if entry.role == "exit":  # in training every row that has logits goes on, so the value passes unchanged
            one_choice = len({self.rows[source] for source in self._sources(node, entry)}) == 1
            if one_choice and any(edge.source in self.static for edge in self.graph.into(node.id, "in")):
                self.static.add(f"{node.id}.next")
            return
        if entry.role in ("router", "answer", "head", "lexical") or not entry.deterministic:
            return
        if cost.trained or node.params.get("layer_drop") or (entry.role == "merge" and cost.parameters):
            return
        if all(source in self.static for source in self._sources(node, entry)):
            self.static.update(f"{node.id}.{port}" for port in entry.outputs)

    def _frontier(self) -> tuple[str, ...]:
        """Static ports, tokens aside, that something not static reads."""
        read: dict[str, None] = {}
        for edge in self.graph.edges:
            if edge.source not in self.static or self.values[edge.source].type in (TOKENS, LOGITS):
                continue
            if not all(f"{edge.target_node}.{port}" in self.static for port in self._reader_ports(edge)):
                read[edge.source] = None
        return tuple(read)

    def _reader_ports(self, edge: Edge) -> tuple[str, ...]:
        node = self.graph.by_id.get(edge.target_node)
        entry = known_type(node) if node else None
        if node is None or entry is None:
            return ()
        if entry.role == "exit":
            return ("next",) if edge.target_port == "in" else ("answer",)
        return self.ways.branches.get(node.id, entry.outputs)


def answer_port(graph: Graph, values: Mapping[str, Value]) -> str | None:
    """The port that is the graph's result: an `answer` node, or the one logits port nobody reads."""
    collectors = [node.id for node in graph.nodes if (entry := known_type(node)) and entry.role == "answer"]
    if collectors:
        return f"{collectors[0]}.out" if len(collectors) == 1 else None
    read = {edge.source for edge in graph.edges}
    loose = [port for port, value in values.items()
             if value.type == LOGITS and port not in read and port.endswith(".out")]
    return loose[0] if len(loose) == 1 else None


def summarise(graph: Graph, classes: int = 0, found: Inference | None = None) -> Summary:
    """Totals for the summary line. found: what `infer` gave, where it is at hand. Raises BackboneError as `infer`."""
    found = found or infer(graph, classes)
    counted: set[tuple[object, ...]] = set()
    parameters = trained = 0
    for node_id, cost in found.costs.items():
        node = graph.node(node_id)
        key = weight_key(node)
        if key not in counted:
            counted.add(key)
            parameters += cost.parameters
            trained += cost.trained
    expected = sum(cost.macs_per_token * found.ways.share(found.node_rows[n]) for n, cost in found.costs.items())
    return Summary(
        len(graph.nodes), parameters, trained,
        sum(cost.macs_per_token for cost in found.costs.values()),
        sum(cost.macs_per_text for cost in found.costs.values()), expected,
    )


def weight_key(node: Node) -> tuple[object, ...]:
    """Nodes with equal keys use the same weights: encoder layers that share, and all embeddings."""
    if node.type == "embeddings/1":
        return ("embeddings",)
    if node.type == "encoder_layer/1":
        params = params_of(node)
        if params["weights"] == "shared":
            return ("layer", params["index"])
    return ("node", node.id)
