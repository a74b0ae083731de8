"""Interventions: what a trained graph answers when a branch is forced, a node passed by, a threshold moved.

A gate weight is not importance; only what happens when the choice is another one shows that it mattered. Values that
a change cannot reach are computed once. Knows nothing of runs, files or screens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import networkx as nx
import numpy as np
import torch

from fgdesign.errors import GraphError, choices
from fgdesign.graph.catalogue import CATALOGUE
from fgdesign.graph.infer import params_of, wiring
from fgdesign.graph.rows import ALL
from fgdesign.graph.types import TOKENS
from fgdesign.model.choosing import Exit, certainty
from fgdesign.model.device import fast_dtype, precision
from fgdesign.model.flows import Flow
from fgdesign.model.inputs import Inputs
from fgdesign.model.network import FunctionGraph
from fgdesign.model.steer import RANDOM, UNIFORM, Steer
from fgdesign.training.evaluate import Answers, answer_rows, as_outputs

GATES = ("one", "kept", "own")
ALWAYS, NEVER = 0.0, 2.0
MARGIN = 0.05


@dataclass(frozen=True)
class Change:
    """What is done otherwise.

    force: per router the branch that all rows take, per exit "answer" or "next". gates: what a forced branch weighs:
    "one", as in a graph rebuilt without the other branches; "kept", as the router's own choice; "own", its own
    probability. bypass: nodes that hand their input on. thresholds: per exit. top_k: per learned router.
    routing: per router "random" or "uniform". seed: of what is drawn.
    """

    force: Mapping[str, str] = field(default_factory=dict)
    bypass: frozenset[str] = frozenset()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    top_k: Mapping[str, int] = field(default_factory=dict)
    routing: Mapping[str, str] = field(default_factory=dict)
    gates: str = "one"
    seed: int = 0

    @property
    def is_none(self) -> bool:
        """True where nothing is changed."""
        return not (self.force or self.bypass or self.thresholds or self.top_k or self.routing)


def branches_of(network: FunctionGraph, node: str) -> tuple[str, ...]:
    """The branches that can be forced at a router, or "answer" and "next" of an exit."""
    drawn = network.plan.graph.node(node)
    return CATALOGUE[drawn.type].output_names(params_of(drawn))


def bypassable(network: FunctionGraph) -> list[str]:
    """Nodes that can be passed by: functions and layers whose output is of the type and width of their input."""
    found, graph = network.plan.found, network.plan.graph
    kept = []
    for node in found.order:
        entry, edges = CATALOGUE[graph.node(node).type], graph.into(node)
        if entry.role in ("router", "exit", "source", "merge", "answer", "head", "lexical") or len(edges) != 1:
            continue
        outputs = entry.output_names(params_of(graph.node(node)))
        if len(outputs) == 1 and found.values[edges[0].source] == found.values[f"{node}.{outputs[0]}"]:
            kept.append(node)
    return kept


def steer_of(network: FunctionGraph, change: Change) -> Steer | None:
    """The change as a network takes it; None for none. Raises GraphError for what this graph cannot do."""
    if change.is_none:
        return None
    routers, exits = network.nodes_of_role("router"), network.nodes_of_role("exit")
    learned = [node for node in routers if network.plan.graph.node(node).type == "router/1"]
    branches, thresholds = {}, dict(change.thresholds)
    for node, branch in change.force.items():
        _among("router or exit", node, [*routers, *exits])
        _among(f"branch of '{node}'", branch, branches_of(network, node))
        if node in exits:
            thresholds[node] = ALWAYS if branch == "answer" else NEVER
        else:
            branches[node] = branches_of(network, node).index(branch)
    for name, known, given in (("exit", exits, change.thresholds), ("learned router", learned, change.top_k),
                               ("router", routers, change.routing),
                               ("node that can be passed by", bypassable(network), change.bypass)):
        for node in given:
            _among(name, node, known)
    for node, how in change.routing.items():
        _among(f"routing of '{node}'", how, (RANDOM, UNIFORM) if node in learned else (RANDOM,))
    _among("weight of a forced branch", change.gates, GATES)
    return Steer(branches, change.gates, thresholds, change.top_k, change.routing, change.bypass, change.seed)


def answers(model: Any, inputs: Inputs, change: Change = Change(), *, batch_rows: int = 64) -> Answers:
    """What N rows are answered under a change.

    Args: model: a trained run, or anything with its `network` and `device`. inputs: rows made ready for it; static
        values in it that the change cannot reach are used.
    Raises: GraphError for a change this graph cannot do.
    """
    network = model.network
    steer = steer_of(network, change)
    known = tuple(port for port in inputs.static if steer is None or port in out_of_reach(network, steer))
    return answer_rows(network, replace(inputs, steer=steer), model.device, known=known, batch_rows=batch_rows)


def out_of_reach(network: FunctionGraph, steer: Steer) -> frozenset[str]:
    """Ports whose value the change cannot alter: no changed node is above them."""
    return _unreached(network, steer.touched)


def _unreached(network: FunctionGraph, nodes: Iterable[str]) -> frozenset[str]:
    wires, nodes = wiring(network.plan.graph), set(nodes)
    changed = nodes.union(*(nx.descendants(wires, node) for node in nodes))
    return frozenset(port for port in network.plan.found.values if port.partition(".")[0] not in changed)


@dataclass(frozen=True)
class Verdict:
    """What one answer is: a name and its probability, or a number; outputs: (C,) or ()."""

    prediction: str
    confidence: float | None
    outputs: np.ndarray


@dataclass(frozen=True)
class Alternative:
    """What would have been answered had a router or exit chosen `branch`. taken: it did choose it.

    shift: how far the answer moved: the change of the first answer's probability, or of the number.
    """

    node: str
    branch: str
    taken: bool
    verdict: Verdict
    flips: bool
    shift: float


@dataclass(frozen=True)
class Badge:
    """Whether the choice of one router mattered for one input. why: in a sentence."""

    node: str
    decisive: bool
    why: str
    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True)
class Depth:
    """What one exit would answer. layers: run to get there. sure: 0..1, beside its threshold."""

    node: str
    layers: int
    verdict: Verdict
    sure: float
    threshold: float


class OneText:
    """One input under changes. What no change can reach is computed once.

    Args: model: a trained run, or anything with its network, device, labels and task. inputs: holds the row.
    """

    def __init__(self, model: Any, inputs: Inputs, row: int = 0) -> None:
        self.model, self.network = model, model.network.eval()
        self.batch = inputs.batch(np.array([row]), model.device)
        found, graph = self.network.plan.found, self.network.plan.graph
        read = {edge.source for edge in graph.edges} | {self.network.answer}
        wanted = [port for port, value in found.values.items() if value.type != TOKENS and port in read]
        with torch.inference_mode(), precision(model.device, fast_dtype(model.device)):
            outcome = self.network(self.batch, wanted=tuple(wanted), open_exits=True)
        self.open_values: dict[str, Flow] = outcome.flows
        selectors = self.network.nodes_of_role("router", "exit")
        above = _unreached(self.network, selectors)
        self.known = {port: flow for port, flow in self.open_values.items()
                      if port in above and found.rows[port] == ALL}
        self.first = self.verdict(Change())

    def verdict(self, change: Change) -> Verdict:
        """The answer under a change. Raises GraphError."""
        steer = steer_of(self.network, change)
        reach = self.known.keys() if steer is None else self.known.keys() & out_of_reach(self.network, steer)
        held = {port: self.known[port] for port in reach if port != self.network.answer}
        with torch.inference_mode(), precision(self.model.device, fast_dtype(self.model.device)):
            outcome = self.network(replace(self.batch, given=held, steer=steer))
            logits = self.network.logits(outcome, 1).float().cpu()
        self.record = outcome.record
        return self._named(as_outputs(logits, self.model.task)[0])

    def badge(self, node: str, margin: float = MARGIN) -> Badge | None:
        """Decisive where another branch changes the label or moves the answer by more than `margin`; else redundant.

        Every branch is forced at the weight that the router's own choice had, so that only the function differs.
        None where the input did not come to this router or exit.
        """
        self.verdict(Change())
        taken = self._taken(node)
        if taken is None:
            return None
        tried = []
        for branch in branches_of(self.network, node):
            other = self.first if branch in taken and len(taken) == 1 else self.verdict(
                Change(force={node: branch}, gates="kept"))
            tried.append(Alternative(node, branch, branch in taken, other, other.prediction != self.first.prediction
                                     and self.model.task != "regression", self._shift(other)))
        others = [a for a in tried if not a.taken or len(taken) > 1]
        flips = [a for a in others if a.flips]
        far = max(others, key=lambda a: abs(a.shift), default=None)
        if flips:
            why = f"{flips[0].branch} would have answered {flips[0].verdict.prediction}."
        elif far is None:
            why = "It has one branch."
        else:
            moved = "would move the answer's probability by" if self.model.task != "regression" else \
                "would move the answer by"
            why = f"Every branch gives the same answer; {far.branch} {moved} {far.shift:+.3f}."
        return Badge(node, bool(flips) or (far is not None and abs(far.shift) > margin), why, tuple(tried))

    def badges(self, margin: float = MARGIN) -> dict[str, Badge]:
        """The badge of every router and exit that the input came to, in running order."""
        found = {node: self.badge(node, margin) for node in self.network.nodes_of_role("router", "exit")}
        return {node: badge for node, badge in found.items() if badge is not None}

    def depths(self) -> list[Depth]:
        """What each exit would answer, from the first to the last, whether the input came there or not."""
        told = []
        graph = self.network.plan.graph
        for node in self.network.nodes_of_role("exit"):
            source, module = graph.into(node, "logits")[0].source, self.network.module_of(node)
            assert isinstance(module, Exit)
            if source not in self.open_values:
                continue
            logits = self.open_values[source].value.float().cpu()
            layers = self.network.needed((source,), (), True).layers
            sure = float(certainty(logits, module.measure, several=module.several)[0])
            told.append(Depth(node, layers, self._named(as_outputs(logits, self.model.task)[0]), sure,
                              float(module.threshold)))
        return told

    def _taken(self, node: str) -> set[str] | None:
        names, record = branches_of(self.network, node), self.record
        if node in record.choices:
            return {names[i] for i in record.choices[node][1].called[0].nonzero().flatten().tolist()}
        if node in record.decisions:
            return {names[record.decisions[node][1][0].branch - 1]}
        if node in record.exits:
            module = self.network.module_of(node)
            return {"answer" if float(record.exits[node][1][0]) >= float(module.threshold) else "next"}
        return None

    def _named(self, outputs: np.ndarray) -> Verdict:
        if self.model.task == "regression":
            return Verdict(f"{float(outputs):.4g}", None, outputs)
        if self.model.task == "multi":
            given = outputs >= float(self.network.decision)
            names = "|".join(label for label, yes in zip(self.model.labels, given, strict=True) if yes)
            return Verdict(names, float(np.maximum(outputs, 1 - outputs).mean()), outputs)
        best = int(outputs.argmax())
        return Verdict(self.model.labels[best], float(outputs[best]), outputs)

    def _shift(self, other: Verdict) -> float:
        """Change of the first answer's probability, of the number, or of the label that moved most."""
        if self.model.task == "single":
            best = int(self.first.outputs.argmax())
            return float(other.outputs[best] - self.first.outputs[best])
        moved = np.atleast_1d(other.outputs - self.first.outputs)
        return float(moved[np.abs(moved).argmax()])


def one_text(run: Any, text: str, text_b: str | None = None, columns: Mapping[str, str] | None = None) -> OneText:
    """One text of a trained run under changes. columns: cells that rules read. Raises DataError for an empty text."""
    return OneText(run, run.one(text, text_b, columns))


def _among(what: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise GraphError(f"There is no {what} '{name}' in this graph. {choices(known, name)}")
