"""Whether answers are as sure as they are right: reliability, and one temperature that mends it.

Knows nothing of models or pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from fgdesign.errors import DataError
from fgdesign.insight.answered_set import TINY, AnsweredSet
from fgdesign.insight.quality import require_labels
from fgdesign.insight.statistics import wilson
from fgdesign.training.fit import fit_temperature
from fgdesign.training.metrics import calibration_error

Floats = NDArray[np.float64]
BINS = 10


@dataclass(frozen=True)
class Tempered:
    """What one temperature, fitted on some rows, does to others. before, after: calibration error and log-loss."""

    temperature: float
    before: dict[str, float]
    after: dict[str, float]
    answered: AnsweredSet

    @property
    def verdict(self) -> str:
        """In a sentence."""
        way = "too sure" if self.temperature > 1.05 else ("not sure enough" if self.temperature < 0.95 else "")
        told = (f"calibration error {self.before['ece']:.3f} before, {self.after['ece']:.3f} after; log-loss "
                f"{self.before['log_loss']:.3f} before, {self.after['log_loss']:.3f} after")
        if not way:
            return f"The answers are about as sure as they should be (temperature {self.temperature:.2f}): {told}."
        helps = "helps" if self.after["log_loss"] < self.before["log_loss"] else "does not help on these rows"
        return f"The answers are {way}. A temperature of {self.temperature:.2f} {helps}: {told}."


def sureness(answered: AnsweredSet) -> tuple[Floats, NDArray[np.bool_]]:
    """Probabilities and whether they came true: of each row's answer, or of each row's every label where several.

    Raises: DataError for a regression or without labels.
    """
    if answered.task == "regression":
        raise DataError("Numbers are answered without a probability, so there is nothing to calibrate.")
    targets = require_labels(answered)
    if answered.task == "multi":
        return answered.outputs.astype(np.float64).ravel(), (targets > 0.5).ravel()
    return answered.outputs.max(1).astype(np.float64), answered.outputs.argmax(1) == targets


def reliability(answered: AnsweredSet, bins: int = BINS) -> pd.DataFrame:
    """How often answers of about one certainty come true.

    Columns: from, to, rows, sure (mean), right (share), low and high (95 %, Wilson). Bins without rows are left out.
    """
    sure, right = sureness(answered)
    place = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    rows = np.bincount(place, minlength=bins)
    hits = np.bincount(place, right, minlength=bins)
    low, high = wilson(hits, rows)
    safe = np.maximum(1, rows)
    table = pd.DataFrame({"from": np.arange(bins) / bins, "to": np.arange(1, bins + 1) / bins, "rows": rows,
                          "sure": np.bincount(place, sure, minlength=bins) / safe, "right": hits / safe, "low": low,
                          "high": high})
    return table[table["rows"] > 0].reset_index(drop=True)


def temperature_of(answered: AnsweredSet) -> float:
    """The temperature that makes the true labels likeliest (Guo et al. 2017, https://arxiv.org/abs/1706.04599)."""
    sureness(answered)
    targets = torch.from_numpy(np.asarray(answered.targets))
    logits = torch.from_numpy(_logits(answered))
    if answered.task == "multi":
        return fit_temperature(logits, targets.double(), lambda x, y: binary_cross_entropy_with_logits(
            x, y, reduction="none").mean(1))
    return fit_temperature(logits, targets.long(), lambda x, y: cross_entropy(x, y, reduction="none"))


def cooled(answered: AnsweredSet, temperature: float) -> AnsweredSet:
    """The same answers at another temperature; above 1 less sure. Raises: DataError for one that is not positive."""
    if not temperature > 0:
        raise DataError(f"A temperature of {temperature} is not possible: it is above 0. 1 changes nothing.")
    logits = torch.from_numpy(_logits(answered) / temperature)
    outputs = (logits.sigmoid() if answered.task == "multi" else logits.softmax(-1)).numpy()
    decision = answered.answers.decision
    if answered.task == "multi":  # the same answers, so the line they are given from moves too
        line = np.clip(decision, TINY, 1 - 1e-12)
        decision = float(1 / (1 + np.exp(-np.log(line / (1 - line)) / temperature)))
    return replace(answered, answers=replace(answered.answers, outputs=outputs, decision=decision))


def tempered(fitted_on: AnsweredSet, answered: AnsweredSet) -> Tempered:
    """Fit the temperature on some rows and show what it does to others.

    Args: fitted_on: validation rows. answered: other rows of the same run.
    """
    temperature = temperature_of(fitted_on)
    after = cooled(answered, temperature)
    return Tempered(temperature, _told(answered), _told(after), after)


def _logits(answered: AnsweredSet) -> Floats:
    shares = answered.outputs.astype(np.float64)
    if answered.task == "multi":
        shares = np.clip(shares, 1e-12, 1 - 1e-12)
        return np.log(shares / (1 - shares))
    return np.log(np.clip(shares, 1e-12, 1.0))


def _told(answered: AnsweredSet) -> dict[str, float]:
    sure, right = sureness(answered)
    loss = answered.loss
    assert loss is not None
    return {"ece": calibration_error(sure, right) or 0.0, "log_loss": float(loss.mean())}
