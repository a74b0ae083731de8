"""The parts of a run's report as pictures and tables. Knows nothing of how it was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from fgdesign.runs.folder import RunFolder
from fgdesign.ui import parts
from fgdesign.ui.words import label
from fgdesign.views import figures
from fgdesign.views.numbers import percent, plain, short

PARTS = {"test": "test rows", "valid": "validation rows", "train": "training rows"}
FIRST = ("accuracy", "macro_f1", "micro_f1", "mae", "rmse", "pearson", "spearman", "log_loss", "ece", "roc_auc")
MOST_NUMBERS = 6


def show(run: RunFolder, report: Mapping[str, Any]) -> None:
    """All that the report alone says, where the rows themselves are gone."""
    names = parts_of(report)
    part = st.segmented_control("Rows", names, default=names[0], required=True, key="part",
                                format_func=PARTS.__getitem__)
    metrics = report[part]
    verdict(report, metrics, str(part))
    numbers(metrics)
    pictures(metrics, report)
    if part != "train":
        routing(report)
    details(run, report)


def parts_of(report: Mapping[str, Any]) -> list[str]:
    """The parts of the data that were measured, test first."""
    return [name for name in PARTS if isinstance(report.get(name), dict)]


def verdict(report: Mapping[str, Any], metrics: Mapping[str, Any], part: str) -> None:
    """The result in a sentence."""
    key = next((name for name in ("accuracy", "pearson") if metrics.get(name) is not None), None)
    score = (
        ""
        if key is None
        else f"{figures.metric_name(key)} {plain(metrics[key])} on {metrics.get('rows', 0):,} {PARTS[part]}"
    )
    layers = metrics.get("mean_layers", report.get("mean_layers"))
    words = [f"{report.get('graph', 'This graph')}: {score}"]
    if layers is not None:
        words.append(f"{plain(layers)} encoder layers per text")
    if report.get("trained_parameters") is not None:
        share = report["trained_parameters"] / max(1, report.get("parameters", 1))
        words.append(f"{short(report['trained_parameters'])} trained parameters ({percent(share)})")
    st.text(", ".join(words) + ".")
    full = (report.get("full_depth") or {}).get(key)
    if full is not None and key is not None and part == parts_of(report)[0]:
        st.text(f"With every exit closed, at full depth: {figures.metric_name(key)} {plain(full)}.")


def numbers(metrics: Mapping[str, Any]) -> None:
    """The metrics that there are, the main ones first."""
    known = [name for name in FIRST if metrics.get(name) is not None][:MOST_NUMBERS]
    for column, name in zip(st.columns(max(1, len(known))), known, strict=False):
        column.metric(figures.metric_name(name), plain(metrics[name]))


def pictures(metrics: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    """Confusion matrix and the classes, weakest first."""
    dark, left_right = parts.is_dark(), st.columns(2, gap="large")
    if metrics.get("confusion"):
        with left_right[0]:
            parts.chart(figures.confusion(metrics["confusion"], report["labels"], dark=dark), "confusion")
    table = metrics.get("per_class") or {}
    if table:
        with left_right[1]:
            parts.chart(figures.per_class(table, dark=dark), "per_class")
        frame = pd.DataFrame([{"label": name, **row} for name, row in table.items()])
        with st.expander("Per class", icon=":material/table_rows:"):
            parts.table(frame, "per_class")


def routing(report: Mapping[str, Any]) -> None:
    """Exits by depth, and how each router shares the rows out."""
    exits, routers = report.get("exits") or [], report.get("routers") or {}
    if not exits and not routers:
        st.text("This graph has no exit and no router: every text runs all of it.")
        return
    st.subheader("Routing", anchor=False)
    dark = parts.is_dark()
    if exits:
        left, right = st.columns(2, gap="large")
        with left:
            parts.chart(figures.exit_depth(exits, dark=dark), "exits")
        with right:
            parts.table(pd.DataFrame(exits), "exits")
    for router, told in routers.items():
        load = (
            told["load"]
            if isinstance(told["load"], dict)
            else dict(zip(figures.branch_names(len(told["load"])), told["load"], strict=True))
        )
        chart = figures.gate_bars(load, list(load), title=f"Load of {router}", dark=dark)
        parts.chart(chart, f"load_{router}")
        facts = [f"{name} {plain(told[name])}" for name in ("entropy", "agreement") if told.get(name) is not None]
        st.text(", ".join(facts))


def details(run: RunFolder, report: Mapping[str, Any]) -> None:
    """Seconds, versions and hashes, and the whole report to take away."""
    with st.expander("Time, versions, hashes", icon=":material/info:"):
        for title in ("seconds", "versions", "hashes"):
            values = report.get(title) or {}
            frame = pd.DataFrame(
                [{title: name, "value": plain(v) if isinstance(v, float) else str(v)} for name, v in values.items()]
            )
            if len(frame):
                st.dataframe(frame, hide_index=True)
    st.download_button(
        f"Download report of {label(run.name)}",
        json.dumps(report, indent=1),
        "report.json",
        "application/json",
        icon=":material/download:",
        on_click="ignore",
        key="download_report",
    )
