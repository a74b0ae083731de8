"""A good space for a graph: what a search may change when nobody says. Every choice is tried on the graph first.

Knows nothing of torch, nor of what searches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import takewhile
from typing import Any

from fgdesign.errors import FgdesignError
from fgdesign.graph import errors, vary
from fgdesign.graph.branches import branch_count
from fgdesign.graph.catalogue import node_type
from fgdesign.graph.infer import params_of, tuning_of
from fgdesign.graph.spec import Graph, Node
from fgdesign.graph.types import Param
from fgdesign.runs.space import Choice, Space, setting_now, varied, with_drawn
from fgdesign.training.settings import Settings

SETTINGS: dict[str, Choice] = {
    "rate": Choice(low=3e-4, high=3e-3, log=True),
    "warm_rate": Choice(low=5e-4, high=8e-3, log=True),
    "layer_rate": Choice(low=3e-5, high=1e-3, log=True),
    "label_smoothing": Choice((0.0, 0.05, 0.1)),
    "batch_size": Choice((16, 32, 64)),
    "weight_decay": Choice((0.0, 0.01, 0.1)),
    "warm_up": Choice((0.0, 0.1, 0.2)),
    "schedule": Choice(("linear", "cosine")),
    "class_weights": Choice((False, True)),
    "clip": Choice((0.5, 1.0, 5.0)),
}
PARAMS: dict[str, Choice] = {  # where the range of a parameter is wider than what is worth a try
    "dropout": Choice(low=0.0, high=0.4), "rate": Choice(low=0.0, high=0.4), "layer_drop": Choice((0.0, 0.1, 0.2)),
    "temperature": Choice(low=0.3, high=3.0, log=True), "mutual_information": Choice((0.0, 0.03, 0.1, 0.3)),
    "balance": Choice((0.0, 0.01, 0.1)), "z_loss": Choice((0.0, 0.001, 0.01)), "cost_penalty": Choice((0.0, 0.01, 0.1)),
    "noise": Choice((-1.0, 0.1, 0.5)), "loss_weight": Choice((-1.0, 0.3, 1.0)), "distil": Choice(low=0.0, high=1.0),
    "tolerance": Choice((0.0, 0.003, 0.01)), "strength": Choice(low=1.0, high=100.0, log=True),
    "min_count": Choice(low=1, high=4), "max_terms": Choice((10_000, 50_000, 200_000)), "ngrams": Choice(low=1, high=3),
    "depth": Choice(low=1, high=3), "alpha": Choice((8.0, 16.0, 32.0)), "rank": Choice((4, 8, 16, 32)),
    "threshold": Choice(low=0.5, high=0.99),
}
FIRST = ("settings.rate", "settings.warm_rate", "settings.layer_rate", "settings.label_smoothing", "tuned.depth")
FIRST_PARAMS = ("dropout", "k", "mutual_information", "temperature")
NOT_SEARCHED = ("index", "weights", "column", "branches", "rows", "default", "automatic", "links")
OF_TUNING = {"rank": "lora", "alpha": "lora", "bottleneck": "adapter", "layer_drop": "full"}


def good_space(graph: Graph, settings: Settings, *, everything: bool = False) -> Space:
    """What is worth a search in this graph; with `everything`, all that can be searched. Raises GraphError."""
    return {name: choice for name, choice in _possible(graph, settings)
            if everything or name in FIRST or name.startswith(("experts.", "exit."))
            or (name.startswith("node.") and name.rpartition(".")[2] in FIRST_PARAMS)}


def _possible(graph: Graph, settings: Settings) -> Iterator[tuple[str, Choice]]:
    """All that can be searched, each with the values that leave the graph right."""
    layers = len(vary.layers(graph))
    for name, choice in SETTINGS.items():
        if name != "layer_rate" or layers:
            yield f"settings.{name}", with_drawn(choice, setting_now(name, graph, settings))
    for name, choice in _structure(graph, layers):
        if (fitting := _fitting(graph, settings, name, choice)) is not None:
            yield name, fitting
    for name, choice in _params(graph):
        if (fitting := _fitting(graph, settings, name, choice)) is not None:
            yield name, fitting


def _structure(graph: Graph, layers: int) -> Iterator[tuple[str, Choice]]:
    if layers:
        yield "tuned.depth", Choice(low=0, high=layers)
        kinds = node_type(vary.LAYER).tunings
        yield "tuned.kind", Choice(tuple(kind for kind in kinds if kind != "frozen"))
    for node in graph.nodes:
        if node.type == vary.ROUTER and (there := len(vary.experts(graph, node.id))):
            yield f"experts.{node.id}", Choice(tuple(sorted({2, 4, 8, there})))
    for name, places in vary.exit_layers(graph).items():
        yield f"exit.{name}", Choice((vary.OUT, *places))


def _params(graph: Graph) -> Iterator[tuple[str, Choice]]:
    """Parameters of nodes; one choice for all nodes of a type, as they were drawn alike."""
    kinds: dict[str, list[Node]] = {}
    for node in graph.nodes:
        kinds.setdefault(node.type, []).append(node)
    for kind, nodes in kinds.items():
        for param in node_type(kind).params:
            choice = None if param.name in NOT_SEARCHED else _choice(param, nodes[0])
            if choice is not None:
                yield f"node.{_names(graph, nodes)}.{param.name}", choice


def _choice(param: Param, node: Node) -> Choice | None:
    """What a parameter may be, the value that is drawn among it."""
    full = params_of(node)
    now: Any = full[param.name]
    if node.type == vary.LAYER and tuning_of(node) != OF_TUNING.get(param.name, "full"):
        return None
    if param.name == "k":
        return Choice(low=1, high=min(4, branch_count(node)))
    if param.name == "threshold" and full["automatic"]:
        return None
    if param.name in PARAMS:
        return with_drawn(PARAMS[param.name], now)
    if param.kind in ("bool", "choice"):
        return Choice((False, True) if param.kind == "bool" else param.choices)
    if param.kind not in ("int", "float") or not now:
        return Choice((0, 64, 256)) if param.name == "hidden" else None
    around = (now // 2, now, now * 2) if param.kind == "int" else (now / 2, now, now * 2)
    return Choice(tuple(value for value in around if param.problem(value) is None))


def _names(graph: Graph, nodes: Sequence[Node]) -> str:
    """One name that fits these nodes and no other: the only one's, a common beginning, or all with commas."""
    ids = [node.id for node in nodes]
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*ids, strict=False))
    stem = "".join(letters[0] for letters in alike) + "*"
    if len(ids) > 1 and len(stem) > 1 and sum(fnmatchcase(node, stem) for node in graph.ids) == len(ids):
        return stem
    return ",".join(ids)


def _fitting(graph: Graph, settings: Settings, name: str, choice: Choice) -> Choice | None:
    """The choice, less the values with which the graph has errors; None where fewer than two are left."""
    right = [value for value in choice.some() if _is_right(graph, settings, name, value)]
    if len(right) == len(choice.some()):
        return choice if len(right) > 1 else None
    return Choice(tuple(right)) if len(right) > 1 else None


def _is_right(graph: Graph, settings: Settings, name: str, value: Any) -> bool:
    try:
        return not errors(varied(graph, settings, {name: value})[0])
    except FgdesignError:
        return False
