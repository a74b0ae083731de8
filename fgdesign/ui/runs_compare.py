"""Runs beside each other: their curves, what they were told differently, what they score together.

Knows nothing of training.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.runs.compare import alike, differences, judged
from fgdesign.runs.folder import RunFolder
from fgdesign.runs.seeds import spread
from fgdesign.ui import parts, runs_table
from fgdesign.ui.standing import standing
from fgdesign.views import curves
from fgdesign.views.curve_figure import figure
from fgdesign.views.figures import metric_name
from fgdesign.views.numbers import plain

PARTS = {"test": "Test", "valid": "Validation"}
CURVES = {"validation": "valid", "training loss": "step"}


def show(runs: Sequence[RunFolder]) -> None:
    """Curves of the chosen runs in one chart, their scores, and what differs."""
    names = [run.name for run in runs]
    with st.container(border=True, key="run_compare"):
        try:
            told = differences(runs)
        except FgdesignError as error:  # a folder that lost its graph
            st.text(str(error))
            return
        summary(runs)
        for run in runs:
            stands = standing(run)
            if stands.alarms:
                with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                    st.badge(stands.words, icon=stands.sign, color=stands.colour)
                    st.text(run.name)
        kind = st.segmented_control("Curve", list(CURVES), default="validation", required=True, key="compare_curve")
        _curves(runs, kind)
        st.dataframe(runs_table.rows(runs)[["run", "graph", "data", "score", "of", "layers"]], hide_index=True,
                     key="compare_scores", column_config=runs_table.SHOWN, placeholder="")
        if told:
            if "Train" in told:
                told["Train"] = [runs_table.data_name(run.config()) for run in runs]
            frame = pd.DataFrame([{"what": what, **dict(zip(names, row, strict=True))} for what, row in told.items()])
            parts.table(frame, "runs_compared")
        else:
            st.text("These runs were told the same.")


def _curves(runs: Sequence[RunFolder], kind: str) -> None:
    """One chart of the training losses, or one for each metric that a run is judged by: they do not share an axis."""
    events = {run.name: run.metrics() for run in runs}
    if kind == "training loss":
        losses = {name: [(x, e["loss"]) for x, e in curves.steps_of(told, "step")] for name, told in events.items()}
        parts.chart(figure(curves.compared(losses, "Training loss"), dark=parts.is_dark()), "compare_chart")
        return
    metrics = {run.name: judged(run)[0] for run in runs}
    for place, metric in enumerate(dict.fromkeys(metrics.values())):
        shown = {name: [(x, e["metrics"].get(metric)) for x, e in curves.steps_of(told, "valid")]
                 for name, told in events.items() if metrics[name] == metric}
        curve = curves.compared(shown, f"Validation {metric_name(metric)}")
        parts.chart(figure(curve, dark=parts.is_dark()), f"compare_chart_{place}" if place else "compare_chart")


def summary(runs: Sequence[RunFolder]) -> None:
    """The mean of finished runs' scores with its interval, in a sentence; only of runs of one graph on one data set."""
    groups = alike(runs)
    for group in groups:
        known: dict[str, list[float]] = {}
        for run in group:
            report = run.report() or {}
            part, metric = "test" if "test" in report else "valid", judged(run)[0]
            value = report.get(part, {}).get(metric)
            if value is not None:
                known.setdefault(f"{PARTS[part]} {metric_name(metric)}", []).append(value)
        about = f" of graph {group[0].graph().name} on {runs_table.data_name(group[0].config())}"
        of = about if len(groups) > 1 else ""
        for name, values in known.items():
            if len(values) > 1:
                made = spread(values)
                wide = "the same in each" if made.alike else f"95 % interval {plain(made.low)} to {plain(made.high)}"
                st.text(f"{name} of {len(values)} runs{of}: mean {plain(made.mean)}, {wide}.")
