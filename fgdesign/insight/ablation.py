"""What functions and branches are worth: each is passed by or forced in turn, and the answers are compared by row.

Values below everything that is changed are computed once. Knows nothing of pictures or runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fgdesign.data import Dataset
from fgdesign.errors import DataError
from fgdesign.graph.infer import params_of
from fgdesign.graph.rows import ALL
from fgdesign.insight.answered_set import Model, Progress, inputs_of, losses_of, right_of
from fgdesign.insight.intervene import Change, answers, branches_of, bypassable
from fgdesign.insight.statistics import Estimate, benjamini_hochberg, estimate, resampled
from fgdesign.model.inputs import Inputs, Vectors
from fgdesign.training.rows import collect

MOST_ROWS = 1000


@dataclass(frozen=True)
class Score:
    """How N rows were answered under a change. right: (N,) 0..1; for numbers minus the absolute error. loss: (N,)."""

    right: NDArray[np.float64]
    loss: NDArray[np.float64]
    layers: float


class Bench:
    """Rows on which changes are tried; what no change reaches is computed once.

    Args: data: must have labels. most: rows used, spread evenly. Raises: DataError without labels or rows.
    """

    def __init__(self, model: Model, data: Dataset, most: int = MOST_ROWS) -> None:
        if data.targets is None or not len(data):
            raise DataError("What a function is worth shows on rows with labels only. Give rows with labels.")
        places = np.unique(np.linspace(0, len(data) - 1, min(most, len(data))).astype(int))
        self.model, self.data = model, data.subset(places)
        self.targets: NDArray[Any] = np.asarray(self.data.targets)
        self.inputs: Inputs = inputs_of(model, self.data)
        ports = self._kept()
        if ports:
            held = collect(model.network, self.inputs, model.device, ports)
            self.inputs.static.update({port: Vectors(value) for port, value in held.items()})

    def _kept(self) -> list[str]:
        """Vectors that every row has and that something reads."""
        found, graph = self.model.network.plan.found, self.model.network.plan.graph
        read = {edge.source for edge in graph.edges}
        return [port for port, value in found.values.items()
                if value.type == "vector" and found.rows[port] == ALL and port in read]

    def score(self, change: Change) -> Score:
        """Answer all rows under a change. Raises GraphError."""
        found = answers(self.model, self.inputs, change)
        task, outputs = self.model.task, np.asarray(found.outputs, np.float64)
        right = right_of(outputs, self.targets, task, found.decision)
        value = -np.abs(outputs - self.targets) if right is None else right.astype(np.float64)
        return Score(value, losses_of(outputs, self.targets, task), float(found.layers.mean()))


def compared(one: Score, other: Score) -> tuple[Estimate, Estimate]:
    """How much better `one` is right, and how much lower its loss is: means over rows with paired intervals."""
    differences = np.stack([one.right - other.right, other.loss - one.loss], 1)
    samples = resampled(differences)
    means = differences.mean(0)
    return estimate(float(means[0]), samples[:, 0]), estimate(float(means[1]), samples[:, 1])


def importance(model: Model, data: Dataset, *, most: int = MOST_ROWS, progress: Progress | None = None) -> pd.DataFrame:
    """What is lost when a function is passed by, or when a router's branch or an exit's side is forced on all rows.

    Columns: node, change ("pass by", or the forced branch), lost (share of right answers, or mean absolute error of
    numbers), lost_low and lost_high (95 %, paired bootstrap over rows), loss, loss_low and loss_high (rise of the mean
    log-loss), p and q (of `loss`, Benjamini and Hochberg). The dearest first.

    Raises: DataError without labels.
    """
    bench = Bench(model, data, most)
    changes = all_changes(model)
    base, found = bench.score(Change()), []
    for place, (node, name, change) in enumerate(changes, 1):
        right, loss = compared(base, bench.score(change))
        found.append({"node": node, "change": name, "lost": right.value, "lost_low": right.low,
                      "lost_high": right.high, "loss": loss.value, "loss_low": loss.low, "loss_high": loss.high,
                      "p": loss.p})
        if progress:
            progress(place, len(changes))
    names = ["node", "change", "lost", "lost_low", "lost_high", "loss", "loss_low", "loss_high", "p"]
    table = pd.DataFrame(found, columns=names)
    table["q"] = benjamini_hochberg(table["p"].to_numpy(float))
    return table.sort_values(["lost", "loss"], ascending=False, ignore_index=True)


def all_changes(model: Model) -> Sequence[tuple[str, str, Change]]:
    """(node, what is done to it, the change), for every function that can be passed by and every branch."""
    network = model.network
    found = [(node, "pass by", Change(bypass=frozenset({node}))) for node in bypassable(network)]
    for node in network.nodes_of_role("router", "exit"):
        if params_of(network.plan.graph.node(node)).get("method") == "soft":
            continue
        found += [(node, branch, Change(force={node: branch})) for branch in branches_of(network, node)]
    return found
