"""Choices about a graph's structure that a search can make: how many experts, where exits sit, what is tuned.

Each is a number in, a graph out, and a function that tells which numbers there are. Pure functions of a graph.
Knows nothing of searches, torch or Streamlit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from fgdesign.errors import GraphError
from fgdesign.graph.branches import NEW, branch_count, reorder
from fgdesign.graph.edit import connect, duplicate, remove_nodes, set_params, set_tuning
from fgdesign.graph.infer import params_of, tuning_of
from fgdesign.graph.spec import Edge, Graph, Node

LAYER, EXIT, ROUTER = "encoder_layer/1", "exit/1", "router/1"
OUT = 0  # instead of a layer: the exit is left out


def experts(graph: Graph, router: str) -> tuple[str, ...]:
    """The equal functions, each alone on a branch of a router, that a search may make more or fewer of."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for number in range(1, branch_count(graph.node(router)) + 1):
        edges = graph.out_of(router, f"branch_{number}")
        node = graph.node(edges[0].target_node) if len(edges) == 1 else None
        if node is not None and len(graph.into(node.id)) == 1 and graph.out_of(node.id):
            alike = (node.type, str(params_of(node)), tuning_of(node),
                     tuple(edge.target for edge in graph.out_of(node.id)))
            groups.setdefault(alike, []).append(node.id)
    largest = max(groups.values(), key=len, default=[])
    return tuple(largest) if len(largest) > 1 else ()


def set_experts(graph: Graph, router: str, count: int) -> Graph:
    """Have so many experts behind a router: copies of the last are added, or the last removed.

    Other branches stay; a router calls no more branches than there are. Raises GraphError.
    """
    there = experts(graph, router)
    if not there or count < 1:
        raise GraphError(f"'{router}' cannot have {count} experts: a router needs one, and two alike to begin with.")
    branches = list(range(1, branch_count(graph.node(router)) + 1))
    gone = {graph.into(node)[0].source_port for node in there[count:]}
    kept = [number for number in branches if f"branch_{number}" not in gone]
    graph = remove_nodes(graph, there[count:])
    graph = reorder(graph, router, [*kept, *[NEW] * (count - len(there))])
    targets = [edge.target for edge in graph.out_of(there[0])]
    for number in range(len(kept) + 1, len(kept) + 1 + count - len(there)):
        graph, names = duplicate(graph, [there[0]])
        new = names[there[0]]
        graph = connect(graph, f"{router}.branch_{number}", f"{new}.in")
        for target in targets:
            graph = connect(graph, f"{new}.out", target)
    return graph


def set_calls(graph: Graph, router: str, count: int) -> Graph:
    """Let a router call so many branches for each row, as far as there are."""
    return set_params(graph, router, k=min(count, branch_count(graph.node(router))))


def layers(graph: Graph) -> tuple[int, ...]:
    """The numbers of the encoder layers, from the lowest; layers that share weights count once."""
    return tuple(sorted({_index(node) for node in graph.nodes if node.type == LAYER}))


def tuned_depth(graph: Graph) -> int:
    """How many of the topmost layers learn: down to the lowest that does."""
    lowest = min((_index(node) for node in graph.nodes if node.type == LAYER and tuning_of(node) != "frozen"),
                 default=None)
    return 0 if lowest is None else sum(index >= lowest for index in layers(graph))


def tuned_kind(graph: Graph) -> str:
    """How the layers that learn do so; "full" where none does."""
    kinds = [tuning_of(node) for node in graph.nodes if node.type == LAYER]
    return next((kind for kind in reversed(kinds) if kind != "frozen"), "full")


def set_tuned(graph: Graph, depth: int, kind: str) -> Graph:
    """Let the topmost `depth` layers learn, the others stay as they came."""
    upper = set(layers(graph)[len(layers(graph)) - depth:]) if depth else set()
    for wanted, inside in ((kind, True), (None, False)):  # None: frozen, as a layer is where nobody says
        nodes = [node.id for node in graph.nodes if node.type == LAYER and (_index(node) in upper) == inside]
        graph = set_tuning(graph, nodes, wanted)
    return graph


def exit_layers(graph: Graph) -> dict[str, tuple[int, ...]]:
    """For each exit that can be moved, the layers after which it may sit; each layer belongs to the nearest exit."""
    chain, found = _chain(graph), {}
    placed = {node.id: base for node in graph.nodes if node.type == EXIT and (base := _base(graph, node.id))}
    at = {name: chain.index(base) + 1 for name, base in placed.items() if base in chain}
    for name in at:
        if not _side(graph, name):
            continue
        mine = [place for place in range(1, len(chain))
                if min(at, key=lambda other: (abs(at[other] - place), at[other])) == name]
        found[name] = tuple(_index(graph.node(chain[place - 1])) for place in mine)
    return found


def exit_layer(graph: Graph, exit_: str) -> int:
    """The layer after which an exit sits; OUT where the graph has it no more."""
    base = _base(graph, exit_) if exit_ in graph.ids else ""
    return _index(graph.node(base)) if base else OUT


def place_exit(graph: Graph, exit_: str, layer: int) -> Graph:
    """Let an exit, with what it asks, sit after another layer of its chain; OUT takes it away.

    Raises GraphError where there is no such layer.
    """
    chain, base = _chain(graph), _base(graph, exit_)
    target = next((node for node in chain if _index(graph.node(node)) == layer), "")
    if not base or (layer != OUT and not target):
        raise GraphError(f"'{exit_}' cannot sit after layer {layer}. Its layers: "
                         f"{', '.join(str(_index(graph.node(node))) for node in chain)}; {OUT} takes it away.")
    if target == base:
        return graph
    side, came = _side(graph, exit_), graph.into(exit_, "in")[0].source
    through = {edge.source for edge in graph.edges if edge.target_node in side and edge.source_node not in side}
    bypassed = [replace(edge, source=came) if edge.source == f"{exit_}.next" else edge
                for edge in graph.edges if edge.target != f"{exit_}.in"]
    if layer == OUT:
        graph = graph.with_edges(edge for edge in bypassed if edge.source_node != exit_)
        return without_dead_ends(remove_nodes(graph, [exit_]), [*side])
    new = f"{target}.out"
    bypassed = [replace(edge, source=new) if edge.target_node in side and edge.source in through and edge.source in
                _ports_of(graph, base) else edge for edge in bypassed]
    onward = _onward(graph.with_edges(bypassed), target)
    return graph.with_edges([*(replace(edge, source=f"{exit_}.next") if edge == onward else edge for edge in bypassed),
                             Edge(new, f"{exit_}.in")])


def without_dead_ends(graph: Graph, among: Iterable[str]) -> Graph:
    """Remove those of some nodes that feed nothing any more."""
    left = set(among) & set(graph.ids)
    while dead := {node for node in left if not graph.out_of(node)}:
        graph, left = remove_nodes(graph, dead), left - dead
    return graph


def _index(node: Node) -> int:
    return int(str(params_of(node)["index"]))


def _base(graph: Graph, exit_: str) -> str:
    """The encoder layer whose output, perhaps by other exits, an exit passes on; "" for none."""
    seen: set[str] = set()
    node = exit_
    while node not in seen and graph.node(node).type == EXIT and graph.into(node, "in"):
        seen.add(node)
        node = graph.into(node, "in")[0].source_node
    return node if graph.node(node).type == LAYER else ""


def _chain(graph: Graph) -> list[str]:
    """Encoder layers one after another, by exits or straight, from the first to the last."""
    first = next((node.id for node in graph.nodes if node.type == LAYER and not _below(graph, node.id)), "")
    found = [first] if first else []
    while found and (edge := _onward(graph, found[-1])) is not None:
        node = edge.target_node
        while graph.node(node).type == EXIT:
            node = graph.out_of(node, "next")[0].target_node
        if node in found or graph.node(node).type != LAYER:
            break
        found.append(node)
    return found


def _below(graph: Graph, layer: str) -> bool:
    """Whether a layer stands above another."""
    edges = graph.into(layer, "in")
    while edges and graph.node(edges[0].source_node).type == EXIT:
        edges = graph.into(edges[0].source_node, "in")
    return bool(edges) and graph.node(edges[0].source_node).type == LAYER


def _onward(graph: Graph, layer: str) -> Edge | None:
    """The edge by which a layer's output goes on to the next layer, by an exit or straight."""
    for edge in graph.out_of(layer, "out"):
        node = graph.node(edge.target_node)
        if node.type == LAYER or (node.type == EXIT and edge.target_port == "in" and graph.out_of(node.id, "next")):
            return edge
    return None


def _ports_of(graph: Graph, layer: str) -> set[str]:
    """The ports that hold a layer's output: its own, and those of exits behind it."""
    ports, behind = {f"{layer}.out"}, graph.out_of(layer, "out")
    while step := [edge for edge in behind if graph.node(edge.target_node).type == EXIT and edge.target_port == "in"]:
        ports |= {f"{edge.target_node}.next" for edge in step}
        behind = tuple(out for edge in step for out in graph.out_of(edge.target_node, "next"))
    return ports


def _side(graph: Graph, exit_: str) -> tuple[str, ...]:
    """What stands between a layer and an exit's question, for this exit alone; empty where others use it too."""
    base = _base(graph, exit_)
    ports = _ports_of(graph, base) if base else set()
    side: dict[str, None] = {}
    ask: Sequence[Edge] = graph.into(exit_, "logits")
    while ask:
        ask = [edge for edge in ask if edge.source not in ports and _reads(graph, edge.source_node, ports)]
        side |= dict.fromkeys(edge.source_node for edge in ask)
        ask = [edge for node in dict.fromkeys(edge.source_node for edge in ask) for edge in graph.into(node)]
    alone = all(edge.target_node in side or edge.target_node == exit_ for node in side for edge in graph.out_of(node))
    return tuple(side) if alone else ()


def _reads(graph: Graph, node: str, ports: set[str], depth: int = 50) -> bool:
    """Whether a node computes from one of some ports."""
    return depth > 0 and any(edge.source in ports or _reads(graph, edge.source_node, ports, depth - 1)
                             for edge in graph.into(node) if graph.node(node).type not in (LAYER, EXIT))
