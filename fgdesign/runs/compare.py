"""Runs beside each other: what they are judged by, and what they were told differently. Knows nothing of screens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fgdesign.errors import FgdesignError
from fgdesign.runs.folder import RunFolder
from fgdesign.training.metrics import judged_by
from fgdesign.training.settings import DEFAULTS, TABLE

DATA = {"train": "Train", "valid": "Valid", "test": "Test", "text": "Text", "text_b": "Second text", "label": "Label",
        "split": "Split"}  # keys of a data choice, by what people call them


def judged(run: RunFolder) -> tuple[str, bool]:
    """The metric that a run is judged by, and whether higher is better; guessed while its task is not known yet."""
    try:
        config = run.config()
    except FgdesignError:
        config = {}
    task = config.get("task")
    if task is None:
        measured: dict[str, Any] = next((e["metrics"] for e in run.metrics() if e["kind"] == "valid"), {})
        task = "regression" if "mae" in measured else "single"
    try:
        return judged_by(task, config.get("settings", {}).get("metric", "auto"))
    except FgdesignError:
        return judged_by("single")


def differences(runs: Sequence[RunFolder]) -> dict[str, list[str]]:
    """What is not the same in all of these runs: by its label, the value of each. Raises RunError."""
    told = [_told(run) for run in runs]
    found = {}
    for name in told[0]:
        values = [one.get(name) for one in told]
        if any(value != values[0] for value in values):
            found[name] = ["" if value is None else str(value) for value in values]
    return found


def alike(runs: Sequence[RunFolder]) -> list[list[RunFolder]]:
    """The runs in groups of one graph and one data set, whose scores mean the same; without those that lost a file."""
    groups: dict[tuple[Any, ...], list[RunFolder]] = {}
    for run in runs:
        try:
            told = _told(run)
        except FgdesignError:
            continue
        key = (told["Graph's identity"], *(told[name] for name in DATA.values()), judged(run))
        groups.setdefault(key, []).append(run)
    return list(groups.values())


def _told(run: RunFolder) -> dict[str, Any]:
    """All that a run was told, by what people call it."""
    config, graph = run.config(), run.graph()
    settings = DEFAULTS.as_dict() | config.get("settings", {})
    data = config.get("data", {})
    named = {about.label: about.auto if about.auto and settings[name] == -1 else settings[name]
             for name, about in TABLE.items()}
    return {"Graph": graph.name, "Graph's identity": graph.identity[:12], "Backbone": graph.backbone,
            "Task": config.get("task") or data.get("task"),
            **{name: data.get(key) for key, name in DATA.items()},
            "Data's content": (config.get("data_sha256") or "not read yet")[:12],
            "Started from": config.get("start"), **named}
