"""Runs beside each other: what they were told differently, and what several of them score together.

Knows nothing of torch or screens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from fgdesign.runs.folder import RunFolder
from fgdesign.training.settings import DEFAULTS, TABLE

# Student's t at 97.5 % for 1, 2, ... degrees of freedom; beyond, the normal distribution's.
T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145)
NORMAL = 1.96


@dataclass(frozen=True)
class Together:
    """Mean of n scores, and the interval that holds the mean of all such runs with 95 %; none for one run."""

    runs: int
    mean: float
    low: float | None
    high: float | None


def together(scores: Sequence[float]) -> Together | None:
    """The mean of scores with its interval; None for no score."""
    if not scores:
        return None
    middle = mean(scores)
    if len(scores) < 2:
        return Together(1, middle, None, None)
    t = T[len(scores) - 2] if len(scores) - 2 < len(T) else NORMAL
    half = t * stdev(scores) / math.sqrt(len(scores))
    return Together(len(scores), middle, middle - half, middle + half)


def differences(runs: Sequence[RunFolder]) -> dict[str, list[str]]:
    """What is not the same in all of these runs: by its label, the value of each. Raises RunError."""
    told = [_told(run) for run in runs]
    found = {}
    for name in told[0]:
        values = [one.get(name) for one in told]
        if any(value != values[0] for value in values):
            found[name] = [str(value) for value in values]
    return found


def _told(run: RunFolder) -> dict[str, Any]:
    """All that a run was told, by what people call it."""
    config, graph = run.config(), run.graph()
    settings = DEFAULTS.as_dict() | config.get("settings", {})
    data = config.get("data", {})
    named = {about.label: about.auto if about.auto and settings[name] == -1 else settings[name]
             for name, about in TABLE.items()}
    return {"Graph": graph.name, "Graph's identity": graph.identity[:12], "Backbone": graph.backbone,
            **{part.capitalize(): data.get(part) for part in ("train", "valid", "test", "text", "label")}, **named}
