"""Everything that is wrong with a graph, all at once: node, rule and fix.

Pure functions graph -> problems. Knows nothing of torch or Streamlit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, islice

import networkx as nx

from fgdesign.errors import GraphError, choices
from fgdesign.graph import rows as r
from fgdesign.graph.catalogue import CATALOGUE
from fgdesign.graph.catalogue.answers import HEAD_TYPES
from fgdesign.graph.infer import (
    Fault,
    Inference,
    infer,
    known_type,
    params_of,
    training_ways,
    tuning_of,
    weight_key,
    wiring,
)
from fgdesign.graph.spec import ID_RULE, Edge, Graph, Node, shown
from fgdesign.graph.types import LOGITS, Port, Value

MOST_OF_A_KIND = 100
SAME_WIRING = {"bad-parameter", "unknown-parameter", "bad-tuning", "shared-tuning", "shared-settings", "edge-weight"}

@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. `code` names the rule; `port` is set where one port is meant."""

    code: str
    message: str
    fix: str
    node: str | None = None
    port: str | None = None
    severity: str = "error"

    def __str__(self) -> str:
        return f"{self.message} {self.fix}"


def validate(graph: Graph, classes: int = 0, found: Inference | None = None) -> tuple[Problem, ...]:
    """All problems of a graph, errors first; empty for a graph that can be trained.

    Of one rule at most a hundred. Whether every row reaches the answer is asked once nodes and edges fit.
    found: what `infer` gave, where it is at hand. Raises: BackboneError where the backbone cannot be described.
    """
    found = found or infer(graph, classes)
    problems = _listed(_names(graph), _parameters(graph), _edges(graph), _ports(graph), _cycles(graph, found),
                       _types(graph, found), _shared_weights(graph))
    fits = _same_wiring(problems)
    problems += _listed(_met_without_merge(graph, found), _lost_branches(graph, found), _answers(graph, found),
                        _exits(graph, found), _missing_answer(graph))
    if fits:
        problems += _listed(_whole(graph, found, _same_wiring(problems)))
    return tuple(sorted(problems, key=lambda problem: problem.severity != "error"))


def _same_wiring(problems: list[Problem]) -> bool:
    """True where no problem hides how values flow."""
    return all(problem.code in SAME_WIRING for problem in problems)


def _listed(*rules: Iterable[Problem]) -> list[Problem]:
    return [problem for rule in rules for problem in islice(rule, MOST_OF_A_KIND)]


def errors(graph: Graph, classes: int = 0) -> tuple[Problem, ...]:
    """The problems that keep a graph from being trained."""
    return tuple(problem for problem in validate(graph, classes) if problem.severity == "error")


def require_valid(graph: Graph, classes: int = 0) -> None:
    """Raises GraphError with every problem, one a line, where there is one."""
    problems = errors(graph, classes)
    if problems:
        lines = "\n".join(f"- {problem}" for problem in problems)
        raise GraphError(f"Graph '{graph.name}' cannot be used yet ({len(problems)} problems):\n{lines}")


def connection_problem(graph: Graph, edge: Edge) -> Problem | None:
    """Why this edge cannot be added to the graph, or None. The canvas asks before a drop."""
    problem = next(iter([*_edge_ends(graph, edge), *_fed_twice(graph, edge), *_closes_cycle(graph, edge)]), None)
    return problem or next(_misfit(graph.with_edges((*graph.edges, edge)), edge), None)


def _misfit(graph: Graph, edge: Edge) -> Iterator[Problem]:
    """Problems of type, width and rows at the end of a new edge."""
    found = infer(graph)
    yield from _edge_types(edge, graph, found)
    for fault in found.faults:
        if fault.node == edge.target_node and fault.misfit:
            yield _fault_problem(graph, fault)
    yield from (problem for problem in _met_without_merge(graph, found) if problem.node == edge.target_node)


def _names(graph: Graph) -> Iterator[Problem]:
    seen: set[str] = set()
    for node in graph.nodes:
        if not ID_RULE.fullmatch(node.id):
            yield Problem("bad-id", f"Node id {shown(node.id)} is not a lower-case letter, then letters, digits or _.",
                          "Rename the node.", node.id)
        if node.id in seen:
            yield Problem("double-id", f"Two nodes are called '{node.id}'.", "Rename one of them.", node.id)
        seen.add(node.id)
        if known_type(node) is None:
            yield Problem("unknown-type", f"Node '{node.id}' has the unknown type {shown(node.type)}.",
                          choices(CATALOGUE, node.type[:80]), node.id)


def _parameters(graph: Graph) -> Iterator[Problem]:
    for node in graph.nodes:
        entry = known_type(node)
        if entry is None:
            continue
        for name, value in node.params.items():
            param = entry.param(name)
            if param is None:
                yield Problem("unknown-parameter", f"Node '{node.id}' ({entry.title}) has no parameter {shown(name)}.",
                              choices((p.name for p in entry.params), str(name)[:80]), node.id)
            elif reason := param.problem(value):
                yield Problem("bad-parameter", f"Node '{node.id}' ({entry.title}): {name}: {reason}.",
                              f"Change it, or remove it for the default {param.default!r}.", node.id)
        if node.tuning is not None and node.tuning not in entry.tunings:
            yield Problem("bad-tuning", f"Node '{node.id}' ({entry.title}) cannot be tuned as {shown(node.tuning)}.",
                          choices(entry.tunings) if entry.tunings else "It has nothing to train: remove its tuning.",
                          node.id)


def _edge_ends(graph: Graph, edge: Edge) -> Iterator[Problem]:
    source, target = graph.by_id.get(edge.source_node), graph.by_id.get(edge.target_node)
    for end, node in ((edge.source_node, source), (edge.target_node, target)):
        if node is None:
            yield Problem("unknown-node", f"The edge {edge.source} -> {edge.target} names '{end}', which is no node.",
                          choices(graph.ids, end[:80]))
    if source is not None and (entry := known_type(source)):
        names = entry.output_names(source.params)
        if edge.source_port not in names:
            yield Problem("unknown-port", f"Node '{source.id}' ({entry.title}) has no output '{edge.source_port}'.",
                          choices(names, edge.source_port), source.id, edge.source_port)
    if target is not None and (entry := known_type(target)) and entry.input(edge.target_port) is None:
        names = tuple(port.name for port in entry.inputs)
        yield Problem("unknown-port", f"Node '{target.id}' ({entry.title}) has no input '{edge.target_port}'.",
                      choices(names, edge.target_port), target.id, edge.target_port)


def _edges(graph: Graph) -> Iterator[Problem]:
    for edge in graph.edges:
        yield from _edge_ends(graph, edge)
        if edge.weight is not None:
            yield from _edge_weight(graph, edge)


def _edge_weight(graph: Graph, edge: Edge) -> Iterator[Problem]:
    target = graph.by_id.get(edge.target_node)
    if edge.weight is not None and not math.isfinite(edge.weight):
        yield Problem("edge-weight", f"The edge {edge.source} -> {edge.target} has the weight {edge.weight}, which is "
                      "not finite.", "Set a number, or remove the weight.", edge.target_node, edge.target_port)
    elif target is not None and target.type != "add/1":
        yield Problem("edge-weight", f"The edge {edge.source} -> {edge.target} has the weight {edge.weight:g}, which "
                      "has no effect: only add weighs its inputs.", "Remove it, or put a scale into the edge.",
                      edge.target_node, edge.target_port, "warning")


def _input(graph: Graph, edge: Edge) -> Port | None:
    target = graph.by_id.get(edge.target_node)
    entry = known_type(target) if target else None
    return entry.input(edge.target_port) if entry else None


def _fed_twice(graph: Graph, edge: Edge) -> Iterator[Problem]:
    port, present = _input(graph, edge), graph.into(edge.target_node, edge.target_port)
    if port is None or not present:
        return
    if not port.many:
        yield Problem("fed-twice", f"{edge.target} is already fed by {present[0].source}; it takes one value.",
                      "Disconnect it first, or join both with add, concat or merge.", edge.target_node, port.name)
    elif any(other.source == edge.source for other in present):
        yield Problem("fed-twice", f"{edge.source} already feeds {edge.target}.", "Nothing needs to be done.",
                      edge.target_node, port.name)


def _closes_cycle(graph: Graph, edge: Edge) -> Iterator[Problem]:
    if not graph.out_of(edge.target_node) and edge.target_node != edge.source_node:
        return
    net = wiring(graph)
    if edge.target_node in net and edge.source_node in net and nx.has_path(net, edge.target_node, edge.source_node):
        path = [*nx.shortest_path(net, edge.target_node, edge.source_node), edge.target_node]
        yield _cycle_problem(path)


def _cycle_problem(path: list[str]) -> Problem:
    return Problem("cycle", f"The nodes form a cycle: {' -> '.join(path)}. Values flow one way.",
                   f"Remove one of these edges, for instance {path[-2]} -> {path[-1]}.", path[0])


def _ports(graph: Graph) -> Iterator[Problem]:
    for node in graph.nodes:
        entry = known_type(node)
        for port in entry.inputs if entry else ():
            feeding = graph.into(node.id, port.name)
            if not feeding and not port.optional:
                yield Problem("missing-input", f"{node.id}.{port.name} is fed by nothing; it takes "
                              f"{' or '.join(port.types)}.", _who_makes(port), node.id, port.name)
            doubled = len({edge.source for edge in feeding}) < len(feeding)
            if doubled or (len(feeding) > 1 and not port.many):
                sources = ", ".join(edge.source for edge in feeding)
                yield Problem("fed-twice", f"{node.id}.{port.name} is fed {len(feeding)} times ({sources}).",
                              "Keep one edge, or join the values with add, concat or merge.", node.id, port.name)


def _who_makes(port: Port) -> str:
    makers = {"tokens": "text", "sequence": "embeddings or an encoder layer", "vector": "pool", "logits": "classifier"}
    return "Connect " + " or ".join(makers[kind] for kind in port.types) + "."


def _cycles(graph: Graph, found: Inference) -> Iterator[Problem]:
    if len(found.order) == len(graph.by_id):
        return
    net = wiring(graph)
    for group in nx.strongly_connected_components(net):
        start = min(group)
        if len(group) > 1 or net.has_edge(start, start):
            cycle = nx.find_cycle(net.subgraph(group), start)
            yield _cycle_problem([*(step[0] for step in cycle), cycle[0][0]])


def _types(graph: Graph, found: Inference) -> Iterator[Problem]:
    for edge in graph.edges:
        yield from _edge_types(edge, graph, found)
    yield from (_fault_problem(graph, fault) for fault in found.faults)


def _fault_problem(graph: Graph, fault: Fault) -> Problem:
    title = CATALOGUE[graph.node(fault.node).type].title
    return Problem("shape", f"Node '{fault.node}' ({title}): {fault.message}.", fault.fix, fault.node)


def _edge_types(edge: Edge, graph: Graph, found: Inference) -> Iterator[Problem]:
    port, value = _input(graph, edge), found.values.get(edge.source)
    if port is None or value is None or value.type in port.types:
        return
    yield Problem("type", f"Cannot connect {edge.source} ({value}) to {edge.target} ({' or '.join(port.types)}): types "
                  "differ.", _bridge(value, port), edge.target_node, port.name)


def _bridge(value: Value, port: Port) -> str:
    if value.type == "sequence" and "vector" in port.types:
        return "Insert pool between them."
    if value.type == "tokens" and "sequence" in port.types:
        return "Insert embeddings between them."
    if value.type == "vector" and "logits" in port.types:
        return "Insert classifier between them."
    takers = [entry.title.lower() for entry in CATALOGUE.values()
              if any(value.type in p.types for p in entry.inputs)][:6]
    return f"Connect {value} to one of: {', '.join(takers)}."


def _shared_weights(graph: Graph) -> Iterator[Problem]:
    seen: dict[tuple[object, ...], Node] = {}
    for node in graph.nodes:
        key = weight_key(node)
        if key[0] == "node":
            continue
        first = seen.setdefault(key, node)
        fix = "Set both alike" + ("." if key[0] == "embeddings" else ", or set weights = copy on one.")
        for name, mine, other in _unlike(node, first):
            yield Problem("shared-tuning" if name == "tuning" else "shared-settings",
                          f"'{first.id}' ({name} {other}) and '{node.id}' ({name} {mine}) share their weights but "
                          "differ in that.", fix, node.id)


def _unlike(node: Node, first: Node) -> Iterator[tuple[str, object, object]]:
    """Settings of the weights in which two nodes differ: name, value here, value there."""
    tuning, other = tuning_of(node), tuning_of(first)
    if tuning != other:
        yield "tuning", tuning, other
        return
    mine, others = params_of(node), params_of(first)
    for name in {"lora": ("rank", "alpha"), "adapter": ("bottleneck",)}.get(tuning, ()):
        if mine[name] != others[name]:
            yield name, mine[name], others[name]


def _missing_answer(graph: Graph) -> Iterator[Problem]:
    if not any((entry := known_type(node)) and entry.role in ("head", "lexical", "answer") for node in graph.nodes):
        yield Problem("no-answer", "The graph has no answer.",
                      "Add a classifier (or multi-label, regressor) at the end.")


def _whole(graph: Graph, found: Inference, sound: bool) -> Iterator[Problem]:
    """Rules about the way from the input to the answer, for graphs whose nodes and edges are in order.

    sound: no other problem was found, so that every row can be followed to the answer.
    """
    if found.answer is None:
        yield from _many_answers(graph, found, sound)
        return
    answer_node = found.answer.partition(".")[0]
    if sound:
        yield from _lost_rows(found, answer_node)
    useful = nx.ancestors(wiring(graph), answer_node) | {answer_node}
    for node in graph.nodes:
        if node.id not in useful:
            yield Problem("no-effect", f"Node '{node.id}' reaches no answer.", "Connect it onward, or remove it.",
                          node.id)


def _lost_rows(found: Inference, answer_node: str) -> Iterator[Problem]:
    try:
        missing = r.uncovered(found.node_rows[answer_node], found.ways)
    except r.TangledRows as error:
        yield Problem("tangled", f"Whether every row reaches '{answer_node}' cannot be told: {error}.",
                      "Merge the branches of each router before the next one.", answer_node)
        return
    if missing is not None:
        way = " and ".join(f"{router}.{branch}" for router, branch in missing)
        yield Problem("lost-rows", f"Rows that take {way} never reach the answer '{answer_node}'.",
                      "Connect the end of that branch to the merge or answer.", missing[0][0] if missing else None)


def _many_answers(graph: Graph, found: Inference, sound: bool) -> Iterator[Problem]:
    collectors = [f"{node.id}.out" for node in graph.nodes if node.type == "answer/1"]
    loose = [port for port, value in found.values.items() if value.type == LOGITS and port.endswith(".out")
             and not graph.out_of(*port.split("."))]
    several = collectors if len(collectors) > 1 else loose
    if len(several) > 1:
        yield Problem("many-answers", f"The graph has {len(several)} answers: {', '.join(several)}.",
                      "Collect exits and branches with one answer node, or unite them with merge.",
                      several[-1].partition(".")[0])
    elif not several and sound:
        yield Problem("no-answer", "No logits are left at the end for an answer.",
                      "Add a classifier (or multi-label, regressor) at the end, or collect the exits with an answer "
                      "node.")


def _met_without_merge(graph: Graph, found: Inference) -> Iterator[Problem]:
    for node in graph.nodes:
        if found.node_rows.get(node.id) == r.NONE and not _above_is_empty(graph, found, node.id):
            sources = ", ".join(edge.source for edge in graph.into(node.id))
            yield Problem("unmerged", f"Node '{node.id}' joins values of different branches ({sources}), so it would "
                          "have no rows.", "Unite the branches with a merge.", node.id)


def _above_is_empty(graph: Graph, found: Inference, node_id: str) -> bool:
    return any(found.rows.get(edge.source) == r.NONE for edge in graph.into(node_id))


def _lost_branches(graph: Graph, found: Inference) -> Iterator[Problem]:
    for router, branches in found.ways.branches.items():
        is_exit = graph.node(router).type.startswith("exit/")
        for branch in branches:
            if graph.out_of(router, branch):
                continue
            fix = ("Connect it to an answer node." if branch == "answer" else
                   "Connect it onward; straight into the merge makes it the identity.")
            what = "rows that exit" if is_exit and branch == "answer" else "rows that take it"
            yield Problem("lost-rows", f"{router}.{branch} leads nowhere: {what} would be lost.", fix, router, branch)


def _answers(graph: Graph, found: Inference) -> Iterator[Problem]:
    """One answer a row: inputs of an answer node must not hold the same row twice."""
    ways = training_ways(graph, found.ways)
    for node in graph.nodes:
        if node.type != "answer/1":
            continue
        feeding = [edge.source for edge in graph.into(node.id, "in") if edge.source in found.rows]
        for one, other in combinations(feeding, 2):
            if r.overlap(found.rows[one], found.rows[other], ways):
                yield Problem("answered-twice", f"Some rows reach '{node.id}' both from {one} and from {other}.",
                              "Unite these two with a merge first.", node.id)


def _exits(graph: Graph, found: Inference) -> Iterator[Problem]:
    """Exits need a confidence, which a number has not."""
    numbers: set[str] = set()
    for node_id in found.order:
        node = graph.node(node_id)
        entry, regression = known_type(node), graph.task == "regression"
        if entry is None:
            continue
        if entry.role == "exit" and (regression or _reads(graph, node_id, "logits", numbers)):
            yield Problem("unsure-exit", f"Exit '{node_id}' reads a number, which has no confidence.",
                          "Use a classifier, or leave the exit out.", node_id)
        if node.type == HEAD_TYPES["regression"] or _reads(graph, node_id, "in", numbers):
            numbers.update(f"{node_id}.{port}" for port in entry.output_names(node.params))


def _reads(graph: Graph, node_id: str, port: str, sources: set[str]) -> bool:
    return any(edge.source in sources for edge in graph.into(node_id, port))
