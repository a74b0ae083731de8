"""How a trained graph answers a set of rows: metrics, routers, exits, layers. Knows nothing of files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fgdesign.graph.catalogue import CATALOGUE
from fgdesign.graph.infer import params_of
from fgdesign.graph.rows import ALL
from fgdesign.model.inputs import Inputs
from fgdesign.model.network import FunctionGraph, Outcome
from fgdesign.training.metrics import evaluate as measure
from fgdesign.training.rows import answered

DEAD_SHARE = 0.01


@dataclass
class Answers:
    """What N rows were answered, and how.

    outputs: (N, C) probabilities, or (N,) values of a regression. exits: (N,) place in `exit_names`, -1 for the
    last answer. layers: (N,) encoder layers run. called: per router (N, branches) bool. probabilities: per
    learned router (N, branches) float32, NaN where a row did not reach it. decision: of several labels, each is
    given from this probability on.
    """

    outputs: np.ndarray
    exits: np.ndarray
    layers: np.ndarray
    exit_names: tuple[str, ...] = ()
    called: dict[str, np.ndarray] = field(default_factory=dict)
    probabilities: dict[str, np.ndarray] = field(default_factory=dict)
    branches: dict[str, tuple[str, ...]] = field(default_factory=dict)
    decision: float = 0.5

    def route(self, row: int) -> str:
        """The branches one row took, in running order: "router:branch_2 > exit_3"."""
        parts = []
        for router, called in self.called.items():
            names = [self.branches[router][b] for b in np.flatnonzero(called[row])]
            if names:
                parts.append(f"{router}:{'+'.join(names)}")
        if self.exits[row] >= 0:
            parts.append(self.exit_names[self.exits[row]])
        return " > ".join(parts)


def answer_rows(network: FunctionGraph, inputs: Inputs, device: torch.device, *, known: Sequence[str] = (),
                batch_rows: int = 64, progress: Callable[[int, int], None] | None = None) -> Answers:
    """Run rows as they would be answered in use: exits closed, branches chosen.

    Args: progress: told after each batch how many rows are answered, and how many there are.
    """
    size, task = len(inputs), network.plan.task
    made = no_answers(network, size)
    logits: Tensor | None = None
    done = 0
    known = ahead_of_exits(network, known)
    for rows, outcome in answered(network, inputs, device, known=known, batch_rows=batch_rows):
        note_routes(made, outcome, rows)
        flow = outcome.flows.get(network.answer)
        if flow is not None:
            part = flow.value.float().cpu()
            logits = torch.full((size, part.shape[1]), float("nan")) if logits is None else logits
            logits[torch.from_numpy(rows if flow.rows is None else rows[flow.rows.cpu().numpy()])] = part
            done += len(part)
            if progress:
                progress(done, size)
    made.outputs = as_outputs(logits if logits is not None else torch.zeros(0, network.plan.classes), task)
    return made


def ahead_of_exits(network: FunctionGraph, known: Sequence[str]) -> tuple[str, ...]:
    """Known ports that hold every row even when exits are closed; the others would bring back rows that left."""
    return tuple(port for port in known if network.plan.found.rows[port] == ALL)


def no_answers(network: FunctionGraph, size: int) -> Answers:
    """Answers of N rows before any is known, for `note_routes` to fill."""
    graph = network.plan.graph
    made = Answers(np.zeros(0), np.full(size, -1), np.zeros(size, np.int64), tuple(network.nodes_of_role("exit")),
                   decision=float(network.decision))
    for router in network.nodes_of_role("router"):
        made.branches[router] = CATALOGUE[graph.node(router).type].output_names(params_of(graph.node(router)))
        made.called[router] = np.zeros((size, len(made.branches[router])), bool)
        if graph.node(router).type == "router/1":
            made.probabilities[router] = np.full(made.called[router].shape, np.nan, np.float32)
    return made


def as_outputs(logits: Tensor, task: str) -> np.ndarray:
    """(N, C) logits -> (N, C) probabilities, or (N,) values of a regression."""
    if task == "regression":
        return logits[:, 0].numpy()
    return (logits.softmax(-1) if task == "single" else logits.sigmoid()).numpy()


def report(answers: Answers, targets: Tensor, task: str, labels: Sequence[str],
           agreement: dict[str, float] | None = None) -> dict[str, Any]:
    """metrics, routers, exits and mean_layers as `report.json` holds them."""
    right = _right(answers, targets, task)
    return {
        "metrics": measure(task, answers.outputs, targets.numpy(), labels, threshold=answers.decision),
        "routers": {name: router_report(answers, name, (agreement or {}).get(name)) for name in answers.called},
        "exits": exit_report(answers, right),
        "mean_layers": float(answers.layers.mean()) if len(answers.layers) else 0.0,
    }


def router_report(answers: Answers, router: str, agreement: float | None = None) -> dict[str, Any]:
    """load: share of the reached rows per branch. entropy: mean of a row's choice, 0..1. dead: branches under 1 %.

    agreement: share of training rows whose noisy route is the one without noise.
    """
    called = answers.called[router]
    reached = called.any(1)
    load = called[reached].mean(0) if reached.any() else np.zeros(called.shape[1])
    result: dict[str, Any] = {
        "load": {name: float(share) for name, share in zip(answers.branches[router], load, strict=True)},
        "rows": int(reached.sum()), "agreement": agreement, "entropy": None,
        "dead": [name for name, share in zip(answers.branches[router], load, strict=True) if share < DEAD_SHARE],
    }
    if router in answers.probabilities and reached.any():
        p = answers.probabilities[router][reached].astype(np.float64)
        entropy = -(p * np.log(np.clip(p, 1e-12, None))).sum(1).mean() / np.log(p.shape[1])
        result["entropy"] = float(max(0.0, entropy))
    return result


def exit_report(answers: Answers, right: np.ndarray | None) -> list[dict[str, Any]]:
    """Per exit that answered, and the last answer: layers run, share of rows, accuracy there."""
    found: list[dict[str, Any]] = []
    if not answers.exit_names or not len(answers.exits):
        return found
    for place, name in [*enumerate(answers.exit_names), (-1, "answer")]:
        mine = answers.exits == place
        found.append({
            "node": name, "depth": float(answers.layers[mine].mean()) if mine.any() else None,
            "share": float(mine.mean()), "rows": int(mine.sum()),
            "accuracy": float(right[mine].mean()) if right is not None and mine.any() else None,
        })
    return found


def _right(answers: Answers, targets: Tensor, task: str) -> np.ndarray | None:
    truth = targets.numpy()
    if task == "regression":
        return None
    if task == "single":
        best: np.ndarray = answers.outputs.argmax(1) == truth
        return best
    whole: np.ndarray = ((answers.outputs >= answers.decision) == (truth > 0.5)).all(1)
    return whole


def note_routes(made: Answers, outcome: Outcome, rows: np.ndarray) -> None:
    """Write down what one batch did: layers, branches, probabilities, exits."""
    record = outcome.record
    if record.layers is not None:
        made.layers[rows] += record.layers.cpu().numpy()
    for router, (held, choice) in record.choices.items():
        places = rows if held is None else rows[held.cpu().numpy()]
        made.called[router][places] = choice.called.cpu().numpy()
        made.probabilities[router][places] = choice.probabilities.cpu().numpy()
    for router, (held, decisions) in record.decisions.items():
        places = rows if held is None else rows[held.cpu().numpy()]
        made.called[router][places, [decision.branch - 1 for decision in decisions]] = True
    for sources in record.branches.values():
        for port, held in sources.items():
            node = port.partition(".")[0]
            if node in made.exit_names:
                made.exits[rows if held is None else rows[held.cpu().numpy()]] = made.exit_names.index(node)
