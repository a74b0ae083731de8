"""How good answers are: one function per kind of task, arrays in, a plain dictionary out.

Knows nothing of models, torch or files. Every number is a Python float that JSON can hold; a metric that
is undefined (one class only, constant predictions, no rows) is None, never NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fgdesign.errors import DataError, InputError, choices

Floats = NDArray[np.float64]
Metrics = dict[str, Any]

ECE_BINS = 15
TINY = 1e-15  # the smallest probability a log-loss sees

LUCK = 0.1  # of a share, at one row; a quarter of the standard error of eight right answers in ten
MAIN = {"single": ("macro_f1", True), "multi": ("micro_f1", True), "regression": ("pearson", True)}
OF_LABELS, OF_NUMBERS = ("accuracy", "macro_f1", "micro_f1", "log_loss", "ece", "roc_auc"), ("mae", "rmse", "pearson",
                                                                                        "spearman")
MEASURED = {"single": OF_LABELS, "multi": OF_LABELS, "regression": OF_NUMBERS}
LOWER = ("log_loss", "ece", "mae", "rmse")  # is better


def main_metric(kind: str) -> tuple[str, bool]:
    """The metric that decides which model is better, and whether higher is better."""
    _check_kind(kind)
    return MAIN[kind]


def judged_by(kind: str, metric: str = "auto") -> tuple[str, bool]:
    """The metric that a person chose to decide, and whether higher is better; "auto" is the main one.

    Raises InputError for one that this kind of task does not have.
    """
    main = main_metric(kind)
    if metric == "auto":
        return main
    if metric not in MEASURED[kind]:
        raise InputError(f"Setting metric is '{metric}', which is not measured for a task of kind '{kind}'. "
                         f"{choices(MEASURED[kind], metric)}")
    return metric, metric not in LOWER


def luck_of(kind: str, metric: str, rows: int) -> float:
    """How far apart two models may be by this metric and still be called equally good on so many rows.

    Counts of right answers jump by luck, means over labels that are rare most of all; losses do not.
    """
    higher = judged_by(kind, metric)[1]
    return float(LUCK / np.sqrt(rows)) if higher and kind != "regression" else 0.0


def loss_of(kind: str) -> str:
    """The metric of a kind of task that falls as answers get better, however few of them change."""
    return "rmse" if kind == "regression" else "log_loss"


def evaluate(kind: str, outputs: ArrayLike, targets: ArrayLike, labels: Sequence[str] = (), *,
             threshold: float = 0.5) -> Metrics:
    """The metrics of a task kind.

    Args:
        kind: "single", "multi" or "regression".
        outputs: (N, C) probabilities, or (N,) predictions for a regression.
        targets: (N,) class numbers, (N, C) zeros and ones, or (N,) numbers.
        labels: the C label names; unused for a regression.
        threshold: of several labels, each is given from this probability on.
    """
    _check_kind(kind)
    if kind == "regression":
        return regression(outputs, targets)
    if kind == "multi":
        return multilabel(outputs, targets, labels, threshold)
    return classification(outputs, targets, labels)


def classification(probabilities: ArrayLike, targets: ArrayLike, labels: Sequence[str]) -> Metrics:
    """Metrics where every row has exactly one label.

    Macro figures are means over the labels that occur in the targets or in the answers.

    Args:
        probabilities: (N, C), rows sum to one.
        targets: (N,) integers below C.
        labels: C names.

    Returns:
        rows, accuracy, macro_f1, micro_f1, log_loss (nats), ece (0..1), roc_auc (macro, one against the
        rest), per_class (precision, recall, f1, support) and confusion (rows: true, columns: answered).
    """
    scores = _scores(probabilities, len(labels))
    truth = np.asarray(targets, np.int64).reshape(-1)
    rows = np.arange(len(truth))
    answers = scores.argmax(1)
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (truth, answers), 1)
    hits = np.diag(confusion)
    right = answers == truth
    return {
        "rows": len(truth),
        "accuracy": _mean(right),
        **_f1(labels, hits, confusion.sum(0), confusion.sum(1)),
        "log_loss": _mean(-np.log(np.clip(scores[rows, truth], TINY, 1.0))),
        "ece": calibration_error(scores[rows, answers], right),
        "roc_auc": _roc_auc(scores, truth[:, None] == np.arange(len(labels))),
        "confusion": confusion.tolist(),
    }


def multilabel(
    probabilities: ArrayLike, targets: ArrayLike, labels: Sequence[str], threshold: float = 0.5
) -> Metrics:
    """Metrics where a row may have any number of labels.

    Args:
        probabilities: (N, C), each on its own between 0 and 1.
        targets: (N, C) zeros and ones.
        labels: C names.
        threshold: a label is given from this probability on.

    Returns:
        The keys of `classification` without confusion. accuracy counts rows whose whole set of labels is
        right; log_loss and ece are over all N x C decisions.
    """
    scores = _scores(probabilities, len(labels))
    truth = np.asarray(targets).reshape(scores.shape) > 0.5
    answers = scores >= threshold
    return {
        "rows": len(truth),
        "accuracy": _mean((answers == truth).all(1)),
        **_f1(labels, (answers & truth).sum(0), answers.sum(0), truth.sum(0)),
        "log_loss": _mean(-np.log(np.clip(np.where(truth, scores, 1.0 - scores), TINY, 1.0))),
        "ece": calibration_error(scores.ravel(), truth.ravel()),
        "roc_auc": _roc_auc(scores, truth),
    }


def regression(predictions: ArrayLike, targets: ArrayLike) -> Metrics:
    """rows, mae and rmse (in the target's unit), pearson and spearman (-1..1) of (N,) numbers."""
    guess = np.asarray(predictions, np.float64).reshape(-1)
    truth = np.asarray(targets, np.float64).reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        error = guess - truth
        squared = _mean(error**2)
    usable = bool(np.isfinite(error).all())
    return {
        "rows": len(truth),
        "mae": _mean(np.abs(error)),
        "rmse": None if squared is None else squared**0.5,
        "pearson": _correlation(guess, truth) if usable else None,
        "spearman": _correlation(_ranks(guess), _ranks(truth)) if usable else None,
    }


def calibration_error(confidence: ArrayLike, right: ArrayLike, bins: int = ECE_BINS) -> float | None:
    """Expected calibration error: the mean gap between confidence and how often it is right.

    Equal-width bins, each weighted by its rows (Guo et al. 2017, https://arxiv.org/abs/1706.04599).

    Args:
        confidence: (N,) probabilities.
        right: (N,) bool.
    """
    confidence = np.asarray(confidence, np.float64)
    where = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(where, confidence - np.asarray(right, np.float64), minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence)) if len(confidence) else None


def _check_kind(kind: str) -> None:
    if kind not in MAIN:
        raise DataError(f"There is no kind of task '{kind}'. {choices(MAIN, kind)}")


def _scores(probabilities: ArrayLike, classes: int) -> Floats:
    """(N, C) floats; what is not a number counts as probability zero."""
    return np.nan_to_num(np.asarray(probabilities, np.float64).reshape(-1, classes))


def _mean(values: NDArray[Any]) -> float | None:
    """The mean, or None where there is nothing to average or the result is not finite."""
    value = float(np.mean(values)) if values.size else float("nan")
    return value if np.isfinite(value) else None


def _f1(labels: Sequence[str], hits: NDArray[Any], given: NDArray[Any], support: NDArray[Any]) -> Metrics:
    """macro_f1, micro_f1 and per_class from three (C,) counts; what divides by zero is 0."""
    precision = hits / np.maximum(given, 1)
    recall = hits / np.maximum(support, 1)
    both = given + support
    f1 = 2 * hits / np.maximum(both, 1)
    columns = (precision.tolist(), recall.tolist(), f1.tolist(), support.tolist())
    names = ("precision", "recall", "f1", "support")
    return {
        "macro_f1": _mean(f1[both > 0]),
        "micro_f1": float(2 * hits.sum() / both.sum()) if both.sum() else None,
        "per_class": {
            label: dict(zip(names, row, strict=True))
            for label, row in zip(labels, zip(*columns, strict=True), strict=True)
        },
    }


def _ranks(values: Floats) -> Floats:
    """(N,) ranks from 1; equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2.0)[place]
    return ranks


def _roc_auc(scores: Floats, truth: NDArray[np.bool_]) -> float | None:
    """Mean over the labels that have rows of both sorts: P(a true row scores above a false one)."""
    areas = []
    for score, true in zip(scores.T, truth.T, strict=True):
        yes = int(true.sum())
        no = len(true) - yes
        if yes and no:
            areas.append((_ranks(score)[true].sum() - yes * (yes + 1) / 2) / (yes * no))
    return _mean(np.asarray(areas))


def _correlation(left: Floats, right: Floats) -> float | None:
    """Pearson's r of finite numbers; None when a side is constant or shorter than two."""
    if len(left) < 2 or np.ptp(left) == 0 or np.ptp(right) == 0:
        return None
    sides = []
    for side in (left, right):
        scaled = side / np.abs(side).max()
        centred = scaled - scaled.mean()
        sides.append(centred / np.sqrt(centred @ centred))
    return float(np.clip(sides[0] @ sides[1], -1.0, 1.0))
