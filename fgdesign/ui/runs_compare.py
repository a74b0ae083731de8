"""Runs beside each other: their curves, what they were told differently, what they score together.

Knows nothing of training.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.runs.compare import differences, judged
from fgdesign.runs.folder import RunFolder
from fgdesign.runs.seeds import spread
from fgdesign.ui import parts
from fgdesign.ui.standing import standing
from fgdesign.views import curves
from fgdesign.views.figures import metric_name
from fgdesign.views.numbers import plain

PARTS = {"test": "Test", "valid": "Validation"}
CURVES = {"validation": "valid", "training loss": "step"}


def show(runs: Sequence[RunFolder]) -> None:
    """Curves of the chosen runs in one chart, their scores, and what differs."""
    names = [run.name for run in runs]
    with st.container(border=True, key="run_compare"):
        summary(runs)
        for run in runs:
            stands = standing(run)
            if stands.alarms:
                with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                    st.badge(stands.words, icon=stands.sign, color=stands.colour)
                    st.text(run.name)
        kind = st.segmented_control("Curve", list(CURVES), default="validation", required=True, key="compare_curve")
        events = {run.name: run.metrics() for run in runs}
        metric = judged(runs[0])[0]
        if kind == "training loss":
            shown = {name: [(x, e["loss"]) for x, e in curves.steps_of(told, "step")] for name, told in events.items()}
            title = "Training loss"
        else:
            shown = {name: [(x, e["metrics"].get(metric)) for x, e in curves.steps_of(told, "valid")]
                     for name, told in events.items()}
            title = f"Validation {metric_name(metric)}"
        parts.chart(curves.compared(shown, title, dark=parts.is_dark()), "compare_chart")
        try:
            found = differences(runs)
        except FgdesignError as error:
            st.text(str(error))
            return
        if found:
            frame = pd.DataFrame([{"what": what, **dict(zip(names, row, strict=True))} for what, row in found.items()])
            parts.table(frame, "runs_compared")
        else:
            st.text("These runs were told the same.")


def summary(runs: Sequence[RunFolder]) -> None:
    """The mean of the finished runs' scores with its interval, in a sentence."""
    scores: dict[str, list[float]] = {}
    for run in runs:
        report = run.report() or {}
        part = "test" if "test" in report else "valid"
        metric = judged(run)[0]
        value = report.get(part, {}).get(metric)
        if value is not None:
            scores.setdefault(f"{PARTS[part]} {metric_name(metric)}", []).append(value)
    for name, values in scores.items():
        if len(values) > 1:
            made = spread(values)
            wide = "the same in each" if made.alike else f"95 % interval {plain(made.low)} to {plain(made.high)}"
            st.text(f"{name} of {len(values)} runs: mean {plain(made.mean)}, {wide}.")
