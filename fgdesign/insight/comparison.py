"""Two runs on the same rows: which is better, how sure that is, where they differ, and at what compute.

Knows nothing of pictures or of where answers come from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fgdesign.errors import DataError
from fgdesign.graph.types import Cost
from fgdesign.insight.answered_set import AnsweredSet, Model
from fgdesign.insight.quality import MEASURES, Measure, require_labels, samples
from fgdesign.insight.statistics import DRAWS, Estimate, benjamini_hochberg, estimate, mcnemar, paired_bootstrap
from fgdesign.views.figures import metric_name

Floats = NDArray[np.float64]
ONLY_FIRST, ONLY_SECOND, BOTH_WRONG = "only the first is right", "only the second is right", "both wrong, differently"
SAME_COMPUTE = 0.02


@dataclass(frozen=True)
class Duel:
    """Two runs on the same rows.

    names: of the runs. table: per metric both values, the gain of the second and its 95 % interval (paired
    bootstrap). main: the gain in the task's main metric, positive where the second is better. better, worse: rows
    only the second, only the first is right on; p: exact McNemar, or of the bootstrap for numbers. compute: of the
    second as a share of the first's, None where unknown.
    """

    names: tuple[str, str]
    metric: str
    main: Estimate
    table: pd.DataFrame
    better: int
    worse: int
    p: float
    compute: float | None

    @property
    def verdict(self) -> str:
        """Which run is better, in a sentence."""
        scale, name = _scale(self.metric), metric_name(self.metric)
        low, high = self.main.low * scale, self.main.high * scale
        value = self.main.value * scale
        spent = "" if self.compute is None else f", {_compute(self.compute)}"
        if self.main.clear:
            winner = self.names[1] if value > 0 else self.names[0]
            if value < 0:
                low, high, value = -high, -low, -value
                spent = "" if not self.compute else f", {_compute(1 / self.compute)}"
            return f"{winner} is better: +{value:.2g} {name}, 95 % interval {low:.2g} to {high:.2g}{spent}."
        if value == low == high == 0:
            return f"{self.names[0]} and {self.names[1]} are equally good{spent}."
        return (f"Neither is clearly better: {value:+.2g} {name} for {self.names[1]}, 95 % interval {low:.2g} to "
                f"{high:.2g}{spent}.")

    @property
    def test(self) -> str:
        """What the test over rows says, in a sentence."""
        if self.better == self.worse == 0:
            return f"Paired bootstrap over rows: p {self.p:.3g}." if self.p < 1 else "They answer every row alike."
        return (f"{self.better:,} rows only {self.names[1]} gets right, {self.worse:,} only {self.names[0]}: "
                f"McNemar's exact test, p {self.p:.3g}.")


def compare_runs(first: AnsweredSet, second: AnsweredSet, names: tuple[str, str] = ("A", "B"),
                 compute: tuple[float, float] | None = None, *, draws: int = DRAWS) -> Duel:
    """Compare two runs' answers on the same labelled rows.

    Args: compute: mean multiply-adds of a text of each.
    Raises: DataError where rows, labels or tasks differ, or there are no labels.
    """
    require_same(first, second)
    require_labels(first)
    found, main = [], None
    for measure in MEASURES[first.task]:
        gain, values = _gain(first, second, measure, draws)
        main = main or gain
        found.append({"metric": measure.name, "first": values[0], "second": values[1], "gain": gain.value,
                      "low": gain.low, "high": gain.high, "p": gain.p})
    assert main is not None
    if first.right is not None and second.right is not None:
        better, worse = int((second.right & ~first.right).sum()), int((first.right & ~second.right).sum())
        p = mcnemar(better, worse)
    else:
        assert first.loss is not None and second.loss is not None
        better = worse = 0
        p = float(paired_bootstrap(np.sqrt(first.loss) - np.sqrt(second.loss)).p or 1.0)
    share = compute[1] / compute[0] if compute and compute[0] else None
    return Duel(names, MEASURES[first.task][0].name, main, pd.DataFrame(found), better, worse, p, share)


def compare_many(runs: dict[str, AnsweredSet], *, draws: int = DRAWS) -> pd.DataFrame:
    """Every run against the first by the main metric; p corrected for the number of runs.

    Columns: run, value, gain, low, high, p, q. Raises: DataError.
    """
    names = list(runs)
    duels = {name: compare_runs(runs[names[0]], runs[name], (names[0], name), draws=draws) for name in names[1:]}
    rows = [{"run": name, "value": float(duel.table["second"].iloc[0]), "gain": duel.main.value, "low": duel.main.low,
             "high": duel.main.high, "p": duel.p} for name, duel in duels.items()]
    base = next(iter(duels.values())).table["first"].iloc[0] if duels else np.nan
    first = {"run": names[0], "value": float(base), "gain": np.nan, "low": np.nan, "high": np.nan, "p": np.nan}
    table = pd.DataFrame([first, *rows])
    return table.assign(q=benjamini_hochberg(table["p"].to_numpy(float)))


def differing(first: AnsweredSet, second: AnsweredSet) -> dict[str, NDArray[np.int64]]:
    """Places of the rows they differ on, by who is right; of numbers the largest differences. Raises: DataError."""
    require_same(first, second)
    if first.task == "regression":
        apart = np.abs(first.outputs - second.outputs)
        return {"furthest apart": np.argsort(-apart, kind="stable")[:200]}
    other = np.asarray(first.prediction != second.prediction, bool)
    if first.right is None or second.right is None:
        return {"answered differently": np.flatnonzero(other)}
    return {ONLY_SECOND: np.flatnonzero(second.right & ~first.right),
            ONLY_FIRST: np.flatnonzero(first.right & ~second.right),
            BOTH_WRONG: np.flatnonzero(~first.right & ~second.right & other)}


def require_same(first: AnsweredSet, second: AnsweredSet) -> None:
    """Raises: DataError where two sets are not answers to the same rows."""
    if first.task != second.task:
        raise DataError(f"The runs answer different kinds of task: '{first.task}' and '{second.task}'. Compare runs of "
                        "one task.")
    if first.labels != second.labels:
        odd = sorted(set(first.labels) ^ set(second.labels))
        told = f"only one knows {', '.join(odd[:5])}" if odd else "their order differs"
        raise DataError(f"The runs learned different labels: {told}. Train both on files with the same labels.")
    if first.data.sha256 != second.data.sha256:
        raise DataError(f"The runs were measured on different rows ({len(first):,} and {len(second):,}). Pick a file "
                        "under Rows to measure both on, or train both on the same files.")


def node_gains(first: AnsweredSet, second: AnsweredSet) -> pd.DataFrame:
    """Per function of the second run's graph: what the rows that called it gained over the first run.

    Columns: node, rows, gain (share of right answers, or mean absolute error), low, high, p, q. Raises: DataError.
    """
    require_same(first, second)
    require_labels(first)
    if first.right is not None and second.right is not None:
        gain = second.right.astype(float) - first.right
    else:
        assert first.loss is not None and second.loss is not None
        gain = np.sqrt(first.loss) - np.sqrt(second.loss)
    found = []
    for place, node in enumerate(second.nodes):
        mine = second.called[:, place]
        if mine.any():
            made = paired_bootstrap(gain[mine])
            found.append({"node": node, "rows": int(mine.sum()), "gain": made.value, "low": made.low, "high": made.high,
                          "p": made.p})
    table = pd.DataFrame(found, columns=["node", "rows", "gain", "low", "high", "p"])
    return table.assign(q=benjamini_hochberg(table["p"].to_numpy(float)))


def compute_of(model: Model, answered: AnsweredSet) -> Floats:
    """(N,) multiply-adds of each row: those of the functions it called, at its own length."""
    costs = [model.network.plan.found.costs.get(node, Cost()) for node in answered.nodes]
    per_text = np.array([cost.macs_per_text for cost in costs], np.float64)
    per_token = np.array([cost.macs_per_token for cost in costs], np.float64)
    spent: Floats = answered.called @ per_text + answered.called @ per_token * answered.lengths
    return spent


def _gain(first: AnsweredSet, second: AnsweredSet, measure: Measure,
          draws: int) -> tuple[Estimate, tuple[float, float]]:
    (one, drawn_one), (two, drawn_two) = (samples(run, measure, draws=draws) for run in (first, second))
    sign = 1 if measure.higher else -1
    return estimate(sign * (two - one), sign * (drawn_two - drawn_one)), (one, two)


def _scale(metric: str) -> float:
    return 1 if metric in ("mae", "rmse", "log_loss", "pearson", "spearman") else 100


def _compute(share: float) -> str:
    return "at the same compute" if abs(share - 1) < SAME_COMPUTE else f"at {share:.2g} of the compute"
