"""What follows from a graph: order, types, widths, rows, gates, costs, the static part.

Pure functions graph -> data, tolerant of unfinished graphs: what cannot be known is left out and said in
`faults`. Knows nothing of torch or Streamlit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import networkx as nx

from fgdesign.graph import rows as r
from fgdesign.graph.backbones import BackboneInfo, describe_backbone
from fgdesign.graph.catalogue import CATALOGUE
from fgdesign.graph.spec import Edge, Graph, Node
from fgdesign.graph.types import LOGITS, Cost, NodeType, ShapeError, Site, Value, with_outputs


@dataclass(frozen=True)
class Fault:
    """A node whose inputs do not fit: why, and what to do."""

    node: str
    message: str
    fix: str


@dataclass(frozen=True)
class Inference:
    """All that follows from a graph. Ports are named `"node.port"`.

    order: node ids, sources first. values: what each output carries. node_rows / rows: which rows a node
    runs on / a port holds. gates: learned routers whose gate weight still rides on a port. static: ports
    that are the same for a text every time. frontier: static ports that other nodes read. answer: the port
    that is the graph's result.
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
    """Totals of a graph; layers that share weights count once. Expected costs assume even routers."""

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
    """The node's tuning, or its type's default; types without parameters are frozen."""
    entry = CATALOGUE[node.type]
    return (node.tuning or entry.default_tuning) if entry.tunings else "frozen"


def ways_of(graph: Graph) -> r.Ways:
    """The choices that routers and exits offer."""
    branches, taken = {}, {}
    for node in graph.nodes:
        entry = known_type(node)
        if entry is None or entry.role not in ("router", "exit"):
            continue
        params = entry.with_defaults(node.params)
        branches[node.id] = entry.output_names(params)
        every = len(branches[node.id]) if params.get("method") == "soft" else params.get("k", 1)
        taken[node.id] = every if isinstance(every, int) else 1
    return r.Ways(branches, taken)


def wiring(graph: Graph) -> nx.MultiDiGraph:
    """The edges between nodes that exist, as a networkx graph."""
    net = nx.MultiDiGraph()
    net.add_nodes_from(graph.ids)
    for edge in graph.edges:
        if net.has_node(edge.source_node) and net.has_node(edge.target_node):
            net.add_edge(edge.source_node, edge.target_node)
    return net


def infer(graph: Graph, classes: int = 0) -> Inference:
    """Infer everything about a graph.

    Args: classes: number of classes or targets; 0 while unknown.
    Raises: BackboneError when the graph's backbone cannot be described.
    """
    backbone = describe_backbone(graph.backbone)
    return _Pass(graph, backbone, classes).run()


class _Pass:
    """One walk over a graph in order; the results gather in its dictionaries."""

    def __init__(self, graph: Graph, backbone: BackboneInfo, classes: int) -> None:
        self.graph, self.backbone, self.classes = graph, backbone, classes
        self.ways = ways_of(graph)
        self.incoming: dict[str, list[Edge]] = {node.id: [] for node in graph.nodes}
        for edge in graph.edges:
            if edge.target_node in self.incoming:
                self.incoming[edge.target_node].append(edge)
        self.values: dict[str, Value] = {}
        self.costs: dict[str, Cost] = {}
        self.node_rows: dict[str, r.Rows] = {}
        self.rows: dict[str, r.Rows] = {}
        self.gates: dict[str, frozenset[str]] = {}
        self.static: set[str] = set()
        self.faults: list[Fault] = []

    def run(self) -> Inference:
        net = wiring(self.graph)
        order = tuple(nx.topological_sort(net)) if nx.is_directed_acyclic_graph(net) else ()
        nodes = {node.id: node for node in self.graph.nodes}
        for node_id in order:
            entry = known_type(nodes[node_id])
            if entry is not None:
                self._visit(nodes[node_id], entry)
        return Inference(
            order, self.values, self.costs, self.node_rows, self.rows, self.gates, self.ways,
            frozenset(self.static), self._frontier(), answer_port(self.graph, self.values), tuple(self.faults),
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
        except ShapeError as error:
            self.faults.append(Fault(node.id, str(error), error.fix))
            return
        except (TypeError, KeyError, ValueError, ZeroDivisionError):
            return  # a parameter of a wrong kind; `validate` reports it
        self.costs[node.id] = cost
        for port, value in outputs.items():
            self.values[f"{node.id}.{port}"] = value
        self._place_rows(node.id, entry)
        self._mark_static(node, entry, cost)

    def _arriving(self, node: Node, entry: NodeType) -> dict[str, Sequence[Value]] | None:
        """Values per input port, or None where one is missing or of a type the port does not take."""
        arriving: dict[str, Sequence[Value]] = {}
        for port in entry.inputs:
            sources = [edge.source for edge in self.incoming[node.id] if edge.target_port == port.name]
            values = [self.values[source] for source in sources if source in self.values]
            if len(values) < len(sources) or (not values and not port.optional):
                return None
            if any(value.type not in port.types for value in values):
                return None
            arriving[port.name] = values
        return arriving

    def _place_rows(self, node_id: str, entry: NodeType) -> None:
        sources = [edge.source for edge in self.incoming[node_id]]
        held = [self.rows[source] for source in sources]
        unite = unites(self.graph.node(node_id))
        mine = r.either(held, self.ways) if unite else r.both(held, self.ways)
        self.node_rows[node_id] = mine
        gates = frozenset().union(*(self.gates[source] for source in sources))
        if unite or entry.role == "merge":
            gates = frozenset(gate for gate in gates if self._undivided(gate, sources))
        elif entry.role == "head":
            gates = frozenset()
        for port in self._outputs(node_id, entry):
            name = f"{node_id}.{port}"
            branching = entry.role in ("router", "exit")
            self.rows[name] = r.choose(mine, node_id, port) if branching else mine
            self.gates[name] = gates | {node_id} if entry.name.startswith("router/") else gates

    def _undivided(self, router: str, sources: list[str]) -> bool:
        """True where all sources came through the same single branch of the router."""
        through = {r.branches_of(self.rows[source], router) for source in sources}
        return len(through) == 1 and len(next(iter(through))) == 1

    def _outputs(self, node_id: str, entry: NodeType) -> tuple[str, ...]:
        return entry.output_names(entry.with_defaults(self.graph.node(node_id).params))

    def _mark_static(self, node: Node, entry: NodeType, cost: Cost) -> None:
        if entry.role == "exit":  # in training every row goes on, so the value that passes is unchanged
            if any(edge.source in self.static for edge in self.incoming[node.id] if edge.target_port == "in"):
                self.static.add(f"{node.id}.next")
            return
        if entry.role in ("router", "answer", "head", "lexical") or not entry.deterministic:
            return
        if cost.trained or node.params.get("layer_drop") or (entry.role == "merge" and cost.parameters):
            return
        if all(edge.source in self.static for edge in self.incoming[node.id]):
            self.static.update(f"{node.id}.{port}" for port in self._outputs(node.id, entry))

    def _frontier(self) -> tuple[str, ...]:
        """Static ports, tokens aside, that something not static reads."""
        read = []
        for edge in self.graph.edges:
            readers = [f"{edge.target_node}.{port}" for port in self._reader_ports(edge)]
            if edge.source in self.static and not all(name in self.static for name in readers):
                if self.values[edge.source].type not in ("tokens", LOGITS) and edge.source not in read:
                    read.append(edge.source)
        return tuple(read)

    def _reader_ports(self, edge: Edge) -> tuple[str, ...]:
        node = self.graph.node(edge.target_node)
        entry = known_type(node)
        if entry is None:
            return ()
        if entry.role == "exit":
            return ("next",) if edge.target_port == "in" else ("answer",)
        return entry.output_names(entry.with_defaults(node.params))


def answer_port(graph: Graph, values: Mapping[str, Value]) -> str | None:
    """The port that is the graph's result: an `answer` node, or the one logits port nobody reads."""
    collectors = [node.id for node in graph.nodes if (entry := known_type(node)) and entry.role == "answer"]
    if collectors:
        return f"{collectors[0]}.out" if len(collectors) == 1 else None
    read = {edge.source for edge in graph.edges}
    loose = [port for port, value in values.items()
             if value.type == LOGITS and port not in read and port.endswith(".out")]
    return loose[0] if len(loose) == 1 else None


def summarise(graph: Graph, classes: int = 0) -> Summary:
    """Totals for the summary line. Raises BackboneError as `infer` does."""
    found = infer(graph, classes)
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
