"""How much a run computes, by its graph, its settings and its rows: the stages of the planner, told without torch.

Estimates from a graph's costs, in multiply-adds. Knows nothing of time, devices or runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fgdesign.graph.catalogue import CATALOGUE
from fgdesign.graph.infer import Inference, infer, params_of, tuning_of
from fgdesign.graph.rows import Ways
from fgdesign.graph.spec import Graph, Node
from fgdesign.training.order import (
    STEP_WORK,
    TRIAL_STEPS,
    WARM_ROWS,
    rows_per_batch,
    steps_per_epoch,
    tune_epochs,
    warm_epochs,
)
from fgdesign.training.settings import Settings

PRETRAINED = ("encoder_layer/1", "embeddings/1")


@dataclass(frozen=True)
class Stage:
    """Of training: its name, passes over the rows, and the steps after which it may end, 0 for no trial."""

    name: str
    epochs: int
    trial: int
    work: float
    steps: int


@dataclass(frozen=True)
class Effort:
    """Multiply-adds. static: what is computed once for each row. stages: of all steps, their fixed cost included."""

    static: float
    stages: tuple[Stage, ...]

    @property
    def learned(self) -> float:
        """Of all stages."""
        return sum(stage.work for stage in self.stages)

    @property
    def least(self) -> float:
        """The same where every trial says that the stage does not pay."""
        return sum(stage.work * min(1.0, stage.trial / stage.steps) if stage.trial and stage.steps else stage.work
                   for stage in self.stages)


def effort(graph: Graph, settings: Settings, rows: int, tokens: float, classes: int) -> Effort:
    """What a run computes that learns from so many rows of a mean length. Raises BackboneError."""
    drawn, frozen = infer(graph, classes), infer(as_it_came(graph), classes)
    early = all(is_static(frozen, node.id) for node in graph.nodes if node.type in PRETRAINED)
    learners = [node.id for node in graph.nodes if node.type not in PRETRAINED and node.id in drawn.costs
                and drawn.costs[node.id].trained and _role(node) != "lexical"]
    probed = early and bool(learners) and all(_in_closed_form(graph, frozen, node) for node in learners)
    planned: list[tuple[str, Inference, int, int]] = []
    if learners and early:
        epochs = 0 if probed else warm_epochs(settings, rows, last=not tunes(graph))
        planned.append(("warm", frozen, epochs, rows_per_batch(settings, tokens, WARM_ROWS)))
    if tunes(graph) or (learners and not planned):
        planned.append(("tune", drawn, tune_epochs(settings, rows), rows_per_batch(settings, tokens)))
    has_exits = any(_role(node) == "exit" for node in graph.nodes)
    trial = settings.trial if settings.trial >= 0 else TRIAL_STEPS * (probed and not has_exits)
    return Effort(rows * _macs(graph, frozen, tokens, static=True), tuple(
        _stage(graph, settings, rows, tokens, (trial if one[0] == "tune" else 0), *one) for one in planned))


def tunes(graph: Graph) -> bool:
    """Whether pretrained layers are trained."""
    return any(node.type in PRETRAINED and tuning_of(node) != "frozen" for node in graph.nodes)


def as_it_came(graph: Graph) -> Graph:
    """The graph with its pretrained layers frozen."""
    return graph.with_nodes(replace(node, tuning="frozen") if node.type in PRETRAINED else node
                            for node in graph.nodes)


def is_static(found: Inference, node: str) -> bool:
    """Whether something that a node puts out is the same for a text every time."""
    return any(port.startswith(f"{node}.") for port in found.static)


def _stage(graph: Graph, settings: Settings, rows: int, tokens: float, trial: int, name: str, found: Inference,
           epochs: int, size: int) -> Stage:
    batches, steps = (epochs * steps_per_epoch(rows, size, summed) for summed in (1, settings.accumulate))
    row = 3 * _macs(graph, found, tokens, static=False)  # forwards, and twice that backwards
    return Stage(name, epochs, trial, epochs * rows * row + batches * STEP_WORK, steps)


def _in_closed_form(graph: Graph, frozen: Inference, node: str) -> bool:
    """Whether a node is a linear head that is fitted before the first step."""
    if _role(graph.node(node)) != "head" or params_of(graph.node(node))["hidden"]:
        return False
    sources: Sequence[str] = [edge.source for edge in graph.into(node, "in")]
    return all(source in frozen.static and not frozen.gates[source] for source in sources)


def _macs(graph: Graph, found: Inference, tokens: float, *, static: bool) -> float:
    """Multiply-adds for one row of what is, or is not, static: routers choose evenly, at exits every row goes on."""
    exits = {node.id: len(found.ways.branches[node.id]) for node in graph.nodes if node.id in found.ways.branches
             and _role(node) == "exit"}
    ways = Ways(found.ways.branches, {**found.ways.taken, **exits})
    return sum((cost.macs_per_token * tokens + cost.macs_per_text) * ways.share(found.node_rows[node])
               for node, cost in found.costs.items() if is_static(found, node) == static)


def _role(node: Node) -> str:
    entry = CATALOGUE.get(node.type)
    return entry.role if entry else ""
