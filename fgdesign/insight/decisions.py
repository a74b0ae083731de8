"""Which answer costs least, where mistakes have prices: thresholds, cost matrices, leaving rows to a person.

A row's cheapest answer follows from its probabilities alone, so nothing is computed anew. Knows nothing of models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fgdesign.errors import DataError
from fgdesign.insight.answered_set import AnsweredSet
from fgdesign.insight.quality import require_labels
from fgdesign.insight.statistics import Estimate, paired_bootstrap

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

ABSTAINED = -1


@dataclass(frozen=True)
class Priced:
    """What the cheapest answers cost beside the likeliest ones.

    chosen: (N,) class numbers, -1 where a row is left to a person. before, after: mean cost of a row. saved: their
    difference with a paired 95 % interval. kept: share of rows answered; accuracy: of those, NaN where none is.
    """

    chosen: Places
    before: float
    after: float
    saved: Estimate
    kept: float
    accuracy: float

    @property
    def verdict(self) -> str:
        """In a sentence."""
        left = "" if self.kept == 1 else f" {1 - self.kept:.1%} of the rows are left to a person."
        told = f"{self.after:.3g} a row instead of {self.before:.3g}"
        interval = f"95 % interval of the saving {self.saved.low:.2g} to {self.saved.high:.2g}"
        if self.saved.low > 0:
            return f"The cheapest answers save money: {told}, {interval}.{left}"
        if self.saved.high < 0:
            return f"The cheapest answers cost more on these rows: {told}, {interval}.{left}"
        return f"At these prices nothing is clearly saved: {told}, {interval}.{left}"


def even_costs(classes: int) -> Floats:
    """(C, C) the price of answering the column where the row is true: 1 for each mistake."""
    return np.ones((classes, classes)) - np.eye(classes)


def cheapest(outputs: ArrayLike, costs: ArrayLike, abstain: float | None = None) -> Places:
    """(N,) the answer of the least expected cost, -1 where abstaining is cheaper still.

    Args: outputs: (N, C) probabilities. costs: (C, C), by true label and answer. abstain: price of leaving a row to a
    person; never where None.
    Raises: DataError for costs that do not fit or are no numbers.
    """
    shares, prices = np.asarray(outputs, np.float64), np.asarray(costs, np.float64)
    classes = shares.shape[1]
    if prices.shape != (classes, classes) or not np.isfinite(prices).all():
        raise DataError(f"The costs are {' x '.join(map(str, prices.shape))} numbers; {classes} labels need "
                        f"{classes} x {classes}, each a number.")
    expected = shares @ prices
    best: Places = expected.argmin(1)
    if abstain is None:
        return best
    return np.where(expected.min(1) > abstain, ABSTAINED, best)


def priced(answered: AnsweredSet, costs: ArrayLike, abstain: float | None = None) -> Priced:
    """The cheapest answers of labelled rows, and what they save. Raises: DataError."""
    if answered.task != "single":
        raise DataError("A cost matrix needs rows with one label each. Price false positives and negatives instead.")
    targets = require_labels(answered)
    chosen = cheapest(answered.outputs, costs, abstain)
    prices = np.asarray(costs, np.float64)
    before = prices[targets, answered.outputs.argmax(1)]
    left = chosen == ABSTAINED
    after = np.where(left, 0.0 if abstain is None else abstain, prices[targets, np.where(left, 0, chosen)])
    right = chosen == targets
    return Priced(chosen, float(before.mean()), float(after.mean()), paired_bootstrap(before - after),
                  float(1 - left.mean()), float(right[~left].mean()) if not left.all() else float("nan"))


def threshold_costs(score: ArrayLike, true: ArrayLike, false_positive: float = 1.0,
                    false_negative: float = 1.0) -> pd.DataFrame:
    """What a yes from each probability on costs: a hundred steps.

    Columns: threshold, positives, false_positives, false_negatives (rows), precision, recall, f1, cost (mean of a row).
    Args: score: (N,) probabilities. true: (N,) bool.
    """
    values, is_true = np.sort(np.asarray(score, np.float64)), np.asarray(true, bool)
    order = np.argsort(np.asarray(score, np.float64), kind="stable")
    steps = np.arange(0, 101) / 100
    below = np.searchsorted(values, steps, side="left")
    missed = np.append(0, np.cumsum(is_true[order]))[below]
    positives = len(values) - below
    hits = int(is_true.sum()) - missed
    wrong = positives - hits
    table = pd.DataFrame({
        "threshold": steps, "positives": positives, "false_positives": wrong, "false_negatives": missed,
        "precision": hits / np.maximum(1, positives), "recall": hits / max(1, int(is_true.sum())),
        "f1": 2 * hits / np.maximum(1, positives + int(is_true.sum())),
        "cost": (wrong * false_positive + missed * false_negative) / max(1, len(values))})
    return table


def best_threshold(table: pd.DataFrame) -> float:
    """The cheapest threshold; the middle one of several."""
    cheap = table.loc[np.isclose(table["cost"], table["cost"].min()), "threshold"].to_numpy()
    return float(cheap[len(cheap) // 2])


def label_thresholds(fitted_on: AnsweredSet, answered: AnsweredSet, false_positive: float = 1.0,
                     false_negative: float = 1.0) -> pd.DataFrame:
    """Per label the cheapest threshold on some rows, and what it costs on others.

    Columns: label, rows (true ones), threshold, cost_before (as answered now), cost, precision, recall, f1.
    Raises: DataError for a regression or without labels.
    """
    if answered.task == "regression":
        raise DataError("Numbers have no threshold. Rows with labels do.")
    found = []
    for place, name in enumerate(answered.labels):
        fit = threshold_costs(*of_label(fitted_on, place), false_positive, false_negative)
        score, true = of_label(answered, place)
        line = best_threshold(fit)
        table = threshold_costs(score, true, false_positive, false_negative)
        here = table.iloc[round(line * 100)]
        given = (score >= answered.answers.decision) if answered.task == "multi" else (
            answered.outputs.argmax(1) == place)
        now = ((given & ~true) * false_positive + (~given & true) * false_negative).mean()
        found.append({"label": name, "rows": int(true.sum()), "threshold": line, "cost_before": float(now),
                      **{key: float(here[key]) for key in ("cost", "precision", "recall", "f1")}})
    return pd.DataFrame(found)


def of_label(answered: AnsweredSet, place: int) -> tuple[Floats, NDArray[np.bool_]]:
    """(N,) the probability of one label, and whether it is true. Raises: DataError without labels."""
    targets = require_labels(answered)
    true = targets[:, place] > 0.5 if answered.task == "multi" else targets == place
    return answered.outputs[:, place].astype(np.float64), true


def coverage(answered: AnsweredSet) -> pd.DataFrame:
    """How right the answers are when the least sure ones are left to a person.

    Columns: from (certainty asked for), kept (share of rows), accuracy (of those). Raises: DataError.
    """
    require_labels(answered)
    if answered.right is None or answered.confidence is None:
        raise DataError("Numbers are answered without a certainty, so none can be asked for.")
    order = np.argsort(-answered.confidence, kind="stable")
    sure, right = answered.confidence[order], answered.right[order]
    last = np.append(np.flatnonzero(np.diff(sure)), len(sure) - 1)
    return pd.DataFrame({"from": sure[last], "kept": (last + 1) / len(sure),
                         "accuracy": np.cumsum(right)[last] / (last + 1)})
