"""How good answers are, with intervals: metrics, classes, curves, residuals, the rows that tell most.

Everything is counted from an AnsweredSet. Knows nothing of models or pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fgdesign.errors import DataError, choices
from fgdesign.insight.answered_set import AnsweredSet
from fgdesign.insight.statistics import DRAWS, Estimate, estimate, quantile_bins, resampled, wilson
from fgdesign.training.metrics import evaluate

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

WIDE = 60_000_000  # numbers in a table of row columns; beyond it fewer rows are drawn from
KINDS = ("wrong and sure", "unsure", "right and sure")


@dataclass(frozen=True)
class Measure:
    """A metric that follows from means over rows. columns: (N, K) of a set; of: (..., K) means -> (...) values."""

    name: str
    columns: Callable[[AnsweredSet], Floats]
    of: Callable[[Floats], Floats]
    higher: bool = True


def _mean(means: Floats) -> Floats:
    first: Floats = means[..., 0]
    return first


def _counts(answered: AnsweredSet) -> Floats:
    """(N, 3C): per label whether it was hit, answered, true."""
    truth, given = _decisions(answered)
    return np.concatenate([truth & given, given, truth], 1).astype(np.float64)


def _decisions(answered: AnsweredSet) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(N, C) which labels are true, and which were answered."""
    targets = require_labels(answered)
    if answered.task == "multi":
        return targets > 0.5, answered.outputs >= answered.answers.decision
    labels = np.arange(len(answered.labels))
    return targets[:, None] == labels, answered.outputs.argmax(1)[:, None] == labels


def _f1(means: Floats) -> Floats:
    hits, given, true = np.split(means, 3, axis=-1)
    both = given + true
    scores = 2 * hits / np.where(both > 0, both, 1)
    total: Floats = np.where(both > 0, scores, 0).sum(-1) / np.maximum(1, (both > 0).sum(-1))
    return total


def _micro_f1(means: Floats) -> Floats:
    hits, given, true = (part.sum(-1) for part in np.split(means, 3, axis=-1))
    score: Floats = 2 * hits / np.maximum(given + true, 1e-12)
    return score


def _moments(answered: AnsweredSet) -> Floats:
    """(N, 5) of centred numbers: x, y, xx, yy, xy."""
    x, y = answered.outputs.astype(np.float64), require_labels(answered).astype(np.float64)
    x, y = x - x.mean(), y - y.mean()
    return np.stack([x, y, x * x, y * y, x * y], 1)


def _pearson(means: Floats) -> Floats:
    x, y, xx, yy, xy = (means[..., i] for i in range(5))
    spread = np.sqrt(np.maximum((xx - x * x) * (yy - y * y), 0))
    r: Floats = np.where(spread > 1e-15, (xy - x * y) / np.where(spread > 1e-15, spread, 1), 0.0)
    return r


def _errors(answered: AnsweredSet) -> Floats:
    return np.asarray(answered.outputs.astype(np.float64) - require_labels(answered))


def _right(answered: AnsweredSet) -> Floats:
    right = answered.right
    assert right is not None
    return right[:, None].astype(np.float64)


def _loss(answered: AnsweredSet) -> Floats:
    require_labels(answered)
    loss = answered.loss
    assert loss is not None
    return loss[:, None]


ACCURACY = Measure("accuracy", _right, _mean)
LOSS = Measure("log_loss", _loss, _mean, False)
MACRO = Measure("macro_f1", _counts, _f1)
MICRO = Measure("micro_f1", _counts, _micro_f1)
PEARSON = Measure("pearson", _moments, _pearson)
MAE = Measure("mae", lambda a: np.abs(_errors(a))[:, None], _mean, False)
RMSE = Measure("rmse", lambda a: _errors(a)[:, None] ** 2, lambda m: np.asarray(np.sqrt(m[..., 0])), False)
MEASURES = {"single": (MACRO, ACCURACY, LOSS), "multi": (MICRO, MACRO, ACCURACY, LOSS),
            "regression": (PEARSON, MAE, RMSE)}  # the main one first


def require_labels(answered: AnsweredSet) -> NDArray[Any]:
    """The targets. Raises: DataError without labels or rows."""
    if answered.targets is None:
        raise DataError("These rows have no labels, so nothing is right or wrong. Pick rows with labels.")
    if not len(answered):
        raise DataError("There are no rows. Pick a data set with rows.")
    return answered.targets


def samples(answered: AnsweredSet, measure: Measure, *, draws: int = DRAWS, seed: int = 0) -> tuple[float, Floats]:
    """A metric and (draws,) its values on rows drawn anew; the same seed draws the same rows for any measure."""
    columns = measure.columns(answered)
    step = max(1, WIDE // max(1, len(columns)))
    drawn = [resampled(columns[:, at:at + step], draws=draws, seed=seed) for at in range(0, columns.shape[1], step)]
    return float(measure.of(columns.mean(0))), measure.of(np.concatenate(drawn, 1))


def scores(answered: AnsweredSet, *, draws: int = DRAWS) -> pd.DataFrame:
    """The metrics of a set. Columns: metric, value, low and high (95 %, bootstrap over rows; NaN where none is made).

    Raises: DataError without labels.
    """
    told = evaluate(answered.task, answered.outputs, require_labels(answered), answered.labels,
                    threshold=answered.answers.decision)
    found = []
    for measure in MEASURES[answered.task]:
        value, drawn = samples(answered, measure, draws=draws)
        made = estimate(value, drawn)
        found.append({"metric": measure.name, "value": value, "low": made.low, "high": made.high})
    known = {row["metric"] for row in found}
    for name, value in told.items():
        if name not in known and isinstance(value, float):
            found.append({"metric": name, "value": value, "low": np.nan, "high": np.nan})
    return pd.DataFrame(found, columns=["metric", "value", "low", "high"])


def class_table(answered: AnsweredSet) -> pd.DataFrame:
    """Per label: rows, answered, precision, recall and F1, the shares with 95 % intervals (Wilson). Weakest first.

    Raises: DataError without labels, or for a regression.
    """
    _require_classes(answered)
    hits, given, true = np.split(_counts(answered).sum(0).astype(np.int64), 3)
    (p_low, p_high), (r_low, r_high) = wilson(hits, given), wilson(hits, true)
    table = pd.DataFrame({
        "label": list(answered.labels), "rows": true, "answered": given,
        "precision": hits / np.maximum(1, given), "precision_low": p_low, "precision_high": p_high,
        "recall": hits / np.maximum(1, true), "recall_low": r_low, "recall_high": r_high,
        "f1": 2 * hits / np.maximum(1, given + true)})
    return table.sort_values("f1", kind="stable", ignore_index=True)


def confusion_matrix(answered: AnsweredSet) -> Places:
    """(C, C) rows by true label (down) and answered label. Raises: DataError where rows have not one label each."""
    if answered.task != "single":
        raise DataError("A confusion matrix needs rows with one label each.")
    truth = require_labels(answered)
    matrix = np.zeros((len(answered.labels),) * 2, np.int64)
    np.add.at(matrix, (truth, answered.outputs.argmax(1)), 1)
    return matrix


def confused(answered: AnsweredSet, most: int = 20) -> pd.DataFrame:
    """The commonest mistakes: label, prediction, rows, share (of the label's rows)."""
    matrix = confusion_matrix(answered)
    totals = matrix.sum(1)
    wrong = matrix * (1 - np.eye(len(matrix), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True) if wrong[i, j]]
    return pd.DataFrame([{"label": answered.labels[i], "prediction": answered.labels[j], "rows": int(wrong[i, j]),
                          "share": wrong[i, j] / totals[i]} for i, j in pairs],
                        columns=["label", "prediction", "rows", "share"])


def cell_rows(answered: AnsweredSet, label: str, prediction: str) -> Places:
    """Places of the rows of one cell of the confusion matrix. Raises: DataError for an unknown label."""
    for name in (label, prediction):
        if name not in answered.labels:
            raise DataError(f"There is no label '{name}'. {choices(answered.labels, name)}")
    return answered.where(label=label, prediction=prediction)


def telling_rows(answered: AnsweredSet, kind: str, most: int = 50) -> Places:
    """Places of the rows that tell most. kind: one of KINDS; of a regression the first is the largest errors.

    Raises: DataError for another kind, or without labels.
    """
    require_labels(answered)
    if kind not in KINDS:
        raise DataError(f"There are no rows of kind '{kind}'. {choices(KINDS, kind)}")
    loss = answered.loss
    assert loss is not None
    if answered.confidence is None or answered.right is None:
        order = {KINDS[0]: -loss, KINDS[1]: np.abs(loss - np.median(loss)), KINDS[2]: loss}[kind]
        return np.argsort(order, kind="stable")[:most]
    right, sure = answered.right, answered.confidence
    if kind == KINDS[1]:
        return np.argsort(sure, kind="stable")[:most]
    here = np.flatnonzero(right if kind == KINDS[2] else ~right)
    return here[np.argsort(-sure[here], kind="stable")][:most]


def curves(answered: AnsweredSet, labels: Sequence[str] = ()) -> tuple[pd.DataFrame, pd.DataFrame]:
    """ROC and precision-recall points of each label against the rest, and a table of the areas under them.

    First: label, threshold, false_positives, true_positives (shares), precision, recall. Second: label, rows,
    roc_auc, average_precision (the step integral, no interpolation); NaN where rows of one sort only are there.
    Args: labels: the ones wanted, all where empty. Raises: DataError.
    """
    _require_classes(answered)
    truth, _ = _decisions(answered)
    points, areas = [], []
    for place, name in enumerate(answered.labels):
        if labels and name not in labels:
            continue
        true, score = truth[:, place], answered.outputs[:, place].astype(np.float64)
        curve = one_curve(score, true)
        both = bool(true.any() and not true.all())
        area = float(np.trapezoid(curve["true_positives"], curve["false_positives"])) if both else np.nan
        precise = float((np.diff(curve["recall"], prepend=0.0) * curve["precision"]).sum()) if true.any() else np.nan
        areas.append({"label": name, "rows": int(true.sum()), "roc_auc": area, "average_precision": precise})
        points.append(curve.assign(label=name))
    return pd.concat(points, ignore_index=True), pd.DataFrame(areas)


def one_curve(score: ArrayLike, true: ArrayLike) -> pd.DataFrame:
    """Every threshold from the highest score down. Args: score: (N,). true: (N,) bool."""
    values, is_true = np.asarray(score, np.float64), np.asarray(true, bool)
    order = np.argsort(-values, kind="stable")
    last = np.append(np.flatnonzero(np.diff(values[order])), len(order) - 1) if len(order) else np.zeros(0, int)
    hits = np.cumsum(is_true[order])[last]
    given = last + 1
    yes, no = int(is_true.sum()), int((~is_true).sum())
    columns = {"threshold": np.append(np.inf, values[order][last]),
               "false_positives": np.append(0, given - hits) / max(1, no),
               "true_positives": np.append(0, hits) / max(1, yes),
               "precision": np.append(1.0, hits / np.maximum(1, given)), "recall": np.append(0, hits) / max(1, yes)}
    return pd.DataFrame(columns)


def residuals(answered: AnsweredSet, bins: int = 8) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Of a regression: per row true, predicted, error; and the error by bins of the true value.

    Second: from, to, rows, bias (mean error) with low and high (95 %, normal), mae. Raises: DataError.
    """
    if answered.task != "regression":
        raise DataError("Residuals are of rows with numbers; these have labels.")
    truth = require_labels(answered).astype(np.float64)
    error = _errors(answered)
    rows = pd.DataFrame({"true": truth, "predicted": answered.outputs.astype(np.float64), "error": error})
    bin_of = quantile_bins(truth, bins)
    found = []
    for place in np.unique(bin_of):
        mine = bin_of == place
        half = 1.96 * float(error[mine].std(ddof=1)) / np.sqrt(mine.sum()) if mine.sum() > 1 else np.nan
        bias = float(error[mine].mean())
        found.append({"from": truth[mine].min(), "to": truth[mine].max(), "rows": int(mine.sum()), "bias": bias,
                      "low": bias - half, "high": bias + half, "mae": float(np.abs(error[mine]).mean())})
    return rows, pd.DataFrame(found)


def main_score(answered: AnsweredSet) -> tuple[str, Estimate]:
    """The task's main metric with its interval. Raises: DataError without labels."""
    measure = MEASURES[answered.task][0]
    require_labels(answered)
    return measure.name, estimate(*samples(answered, measure))


def _require_classes(answered: AnsweredSet) -> None:
    if answered.task == "regression":
        raise DataError("Rows with numbers have no classes. See their residuals.")
    require_labels(answered)
