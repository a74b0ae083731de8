"""Which stages a graph needs, and what is known in each: the planner, from cheap to dear.

Pure functions of a network and its settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fgdesign.graph.infer import infer
from fgdesign.model.build import Plan
from fgdesign.model.network import PRETRAINED, FunctionGraph
from fgdesign.training.calibrate import logit_ports
from fgdesign.training.closed_form import closed_form_heads
from fgdesign.training.loop import Stage
from fgdesign.training.losses import Objective
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

WARM_VALIDATIONS, TUNE_VALIDATIONS = 2, 4  # per epoch


def frontier_before_tuning(what: Plan) -> tuple[str, ...]:
    """The frontier while the backbone is as it came: deeper than the drawn one where layers are trained."""
    nodes = (replace(node, tuning="frozen") if node.type in PRETRAINED else node for node in what.graph.nodes)
    return infer(what.graph.with_nodes(nodes), what.classes).frontier


def plan_stages(network: FunctionGraph, goal: Objective, settings: Settings, rows: int, validated: int,
                tokens: float) -> list[Stage]:
    """The stages in order; none for a graph of word functions alone.

    Args: rows: to learn from. validated: rows of a validation. tokens: mean of a row.
    """
    learned = tuple(name for name, parameter in network.named_parameters() if parameter.requires_grad)
    if not goal.heads or not learned:
        return []
    ports = tuple(dict.fromkeys((*goal.ports, *logit_ports(network))))
    tuned = {network.keys[node] for node in network.pretrained_nodes()}
    upper = tuple(name for name in learned if name.split(".")[1] not in tuned)
    early = network.needed(ports, frontier_before_tuning(network.plan), open_exits=True)
    drawn = network.needed(ports, network.plan.found.frontier, open_exits=True)
    stages: list[Stage] = []
    probed = False
    if upper and not early.runs_backbone:
        epochs = warm_epochs(settings, rows, last=not tuned)
        fitted = {network.keys[node] for node in closed_form_heads(network, early.given)}
        if all(name.split(".")[1] in fitted for name in upper):
            epochs, probed = 0, True  # these heads are fitted in closed form; nothing else learns here
        stages.append(Stage("warm", early.given, upper, epochs, rows_per_batch(settings, tokens, WARM_ROWS),
                            validations_of(settings, WARM_VALIDATIONS, rows, validated)))
    if tuned or not stages:
        epochs = tune_epochs(settings, rows)
        probed = probed and not network.nodes_of_role("exit")
        trial = settings.trial if settings.trial >= 0 else TRIAL_STEPS * probed
        stages.append(Stage("tune", drawn.given, learned, epochs, rows_per_batch(settings, tokens),
                            validations_of(settings, TUNE_VALIDATIONS, rows, validated), trial=trial))
    for stage in stages:
        steps = stage.epochs * steps_per_epoch(rows, stage.batch_size)
        row = 3 * work_per_row(network, goal.ports, stage.known, tokens)  # forwards, and twice that backwards
        stage.work = stage.epochs * rows * row + steps * STEP_WORK
    return stages


def validations_of(settings: Settings, most: int, rows: int, validated: int) -> int:
    """Validations per epoch: as set, or as many as take a quarter of the steps' time, a step being three forwards."""
    return settings.validations if settings.validations > 0 else max(1, min(most, 3 * rows // (4 * max(1, validated))))


def work_per_row(network: FunctionGraph, wanted: Sequence[str], known: Sequence[str], tokens: float) -> float:
    """Multiply-adds that compute some ports for one row of so many tokens, when others are known."""
    costs = [network.plan.found.costs[step.node] for step in network.needed(wanted, known, open_exits=True).steps]
    return sum(cost.macs_per_token * tokens + cost.macs_per_text for cost in costs)
