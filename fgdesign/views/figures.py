"""Charts of a prediction, a report and a data set: plain data in, plotly figures out.

Every text of a person is escaped: plotly reads a small HTML in labels. Knows nothing of Streamlit or files.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go

from fgdesign.data import profile
from fgdesign.views import theme
from fgdesign.views.numbers import percent, plain

Events = Sequence[Mapping[str, Any]]
MOST_BARS = 20
FEW_BINS = 12  # up to so many each has its number below it
MOST_CELLS = 40  # classes whose confusion counts are written into the cells
NAMES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "log_loss": "log-loss",
    "ece": "calibration error",
    "roc_auc": "ROC-AUC",
    "mae": "MAE",
    "rmse": "RMSE",
    "pearson": "Pearson",
    "spearman": "Spearman",
}


def words(text: object, length: int = 28) -> str:
    """A text for a label: on one line, cut, escaped."""
    return escape(cut(text, length))


def cut(text: object, length: int = 28) -> str:
    """A text on one line, cut."""
    line = " ".join(str(text).split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def metric_name(key: str) -> str:
    """A metric as people write it."""
    return NAMES.get(key, key.replace("_", " "))


def exit_depth(exits: Events, *, dark: bool = False) -> go.Figure:
    """Per exit, the share of rows that left there as bars and how often they were right as points."""
    if not exits:
        return theme.empty("Exits", "This graph has no exit.", dark)
    chart = theme.figure("Share and accuracy by exit", dark, 260)
    names = [exit_name(item) for item in exits]
    chart.add_bar(
        x=names,
        y=[item["share"] for item in exits],
        marker_color=theme.ORANGE,
        name="share of rows",
        text=[percent(item["share"]) for item in exits],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{x}<br>%{y:.1%} of the rows<extra></extra>",
    )
    known = [
        (name, item["accuracy"]) for name, item in zip(names, exits, strict=True) if is_number(item.get("accuracy"))
    ]
    chart.add_scatter(
        x=[n for n, _ in known],
        y=[a for _, a in known],
        mode="markers",
        name="accuracy",
        marker={"symbol": "diamond", "size": 12, "color": theme.BLUE, "line": {"width": 1, "color": "white"}},
        hovertemplate="%{x}<br>%{y:.1%} right<extra></extra>",
    )
    theme.with_legend(chart)
    return percent_axis(chart, 1.08)


def gate_bars(
    scores: Mapping[str, float], chosen: Sequence[str], *, title: str = "", dark: bool = False
) -> go.Figure:
    """A router's score for each branch; what it chose in full colour and marked."""
    chart = theme.figure(words(title, 60), dark, 44 + 30 * max(1, len(scores)))
    names = list(scores)
    values = [scores[name] for name in names]
    chart.add_bar(
        orientation="h",
        y=[("● " if name in chosen else "○ ") + words(name) for name in names],
        x=values,
        marker={"color": [theme.ORANGE if name in chosen else theme.LINE[dark] for name in names]},
        text=["<0.001" if 0 < value < 0.001 else plain(value) for value in values],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.4f}<extra></extra>",
    )
    chart.update_xaxes(range=[min(0.0, *values, 0.0), max(1.0, *values, 0.0) * 1.3], visible=False)
    chart.update_yaxes(autorange="reversed", showgrid=False)
    chart.update_layout(margin={"l": 8, "r": 8, "t": 30 if title else 4, "b": 4})
    return chart


def exit_certainty(exits: Mapping[str, Mapping[str, float]], *, dark: bool = False) -> go.Figure:
    """How sure the graph was at each exit it reached, in order, against the exits' thresholds.

    Args: exits: per exit its `answer` (certainty) and `next` (threshold), as a trace tells them.
    """
    names = [words(name, 14) for name in exits]
    sure, needed = ([told[key] for told in exits.values()] for key in ("answer", "next"))
    chart = theme.figure("Certainty by exit", dark, 230)
    chart.add_bar(
        x=names,
        y=sure,
        marker_color=[theme.ORANGE if s >= n else theme.GREY for s, n in zip(sure, needed, strict=True)],
        name="certainty",
        hovertemplate="%{x}: %{y:.3f} sure<extra></extra>",
    )
    chart.add_scatter(
        x=names,
        y=needed,
        mode="markers",
        name="threshold",
        hovertemplate="%{x}: threshold %{y:.3f}<extra></extra>",
        marker={"symbol": "line-ew-open", "size": 26, "color": theme.INK[dark], "line": {"width": 2.5}},
    )
    return percent_axis(theme.with_legend(chart), 1.05)


def class_bars(probabilities: Mapping[str, float], *, most: int = 8, dark: bool = False) -> go.Figure:
    """The likeliest classes; the first in the answer's colour."""
    best = sorted(probabilities.items(), key=lambda item: -item[1])[:most]
    if not best:
        return theme.empty("Probabilities", "This graph predicts a number.", dark, 120)
    chart = theme.figure("", dark, 24 + 28 * len(best))
    colours = [theme.VERMILION if i == 0 else theme.GREY for i in range(len(best))]
    chart.add_bar(
        orientation="h",
        y=unique([words(name) for name, _ in best]),
        x=[p for _, p in best],
        marker={"color": colours},
        text=[percent(p) for _, p in best],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.2%}<extra></extra>",
    )
    chart.update_xaxes(range=[0, 1.45], visible=False)
    chart.update_yaxes(type="category", autorange="reversed", showgrid=False)
    chart.update_layout(margin={"l": 8, "r": 8, "t": 4, "b": 4})
    return chart


def confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str], *, dark: bool = False) -> go.Figure:
    """Rows are true labels, columns predicted ones; colour is the share of the true label."""
    counts = np.array(matrix, float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = unique([words(label, 18) for label in labels])
    few = len(names) <= MOST_CELLS
    chart = theme.figure(
        "Confusion: true labels down, predicted ones across", dark, int(min(900, max(240, 130 + 30 * len(names))))
    )
    places = list(range(len(names)))
    chart.add_heatmap(
        z=shares,
        x=places,
        y=places,
        colorscale=theme.RAMP[dark],
        zmin=0,
        zmax=1,
        showscale=False,
        xgap=1,
        ygap=1,
        hoverinfo="skip",
        text=[[f"{int(n)}" if n else "" for n in row] for row in counts] if few else None,
        texttemplate="%{text}" if few else None,
    )
    _cells(chart, counts, shares, labels)
    some = places[:: max(1, math.ceil(len(names) / MOST_CELLS))]
    ticks = {"tickmode": "array", "tickvals": some, "ticktext": [names[i] for i in some], "showgrid": False,
             "fixedrange": True}
    chart.update_xaxes(side="bottom", tickangle=-40, range=[-0.5, len(names) - 0.5], **ticks)
    chart.update_yaxes(range=[len(names) - 0.5, -0.5], **ticks)
    return chart.update_layout(dragmode=False)


def _cells(chart: go.Figure, counts: np.ndarray, shares: np.ndarray, labels: Sequence[str]) -> None:
    """Unseen squares over the cells that have rows; they are hovered and clicked: customdata is [true, predicted]."""
    down, across = (axis.tolist() for axis in np.nonzero(counts))
    told = [f"true {words(labels[i])}<br>predicted {words(labels[j])}<br>{int(counts[i, j])} rows, "
            f"{percent(float(shares[i, j]))} of the label" for i, j in zip(down, across, strict=True)]
    chart.add_scatter(
        x=across,
        y=down,
        mode="markers",
        marker={"symbol": "square", "size": max(6, min(26, 700 // max(1, len(labels)))), "opacity": 0},
        customdata=[[labels[i], labels[j]] for i, j in zip(down, across, strict=True)],
        text=told,
        hovertemplate="%{text}<extra></extra>",
    )


def per_class(table: Mapping[str, Mapping[str, float]], *, dark: bool = False) -> go.Figure:
    """F1 per class as bars, the weakest first, with precision and recall as marks."""
    worst = sorted(table.items(), key=lambda item: item[1].get("f1") or 0.0)[:MOST_BARS]
    if not worst:
        return theme.empty("Per class", "There are no classes.", dark)
    title = "F1 per class" if len(worst) == len(table) else f"F1 of the {len(worst)} weakest classes"
    chart = theme.figure(title, dark, 90 + 26 * len(worst))
    names = unique([words(name) for name, _ in worst])
    chart.add_bar(
        orientation="h",
        y=names,
        x=[row["f1"] or 0.0 for _, row in worst],
        marker_color=theme.BLUE,
        name="F1",
        hovertemplate="%{y}<br>F1 %{x:.3f}<extra></extra>",
    )
    for key, symbol, colour in (("precision", "triangle-up", theme.ORANGE), ("recall", "circle", theme.GREEN)):
        chart.add_scatter(
            y=names,
            x=[row[key] for _, row in worst],
            mode="markers",
            name=key,
            marker={"symbol": symbol, "size": 9, "color": colour},
            hovertemplate=f"%{{y}}<br>{key} %{{x:.3f}}<extra></extra>",
        )
    theme.with_legend(chart)
    chart.update_xaxes(range=[0, 1.02], showgrid=True)
    chart.update_yaxes(type="category", autorange="reversed", showgrid=False)
    return chart


def class_balance(labels: Sequence[str], *, dark: bool = False) -> go.Figure:
    """How many rows each label has, the largest first."""
    return class_sizes(Counter(labels).most_common(), dark=dark)


def class_sizes(counts: Sequence[tuple[str, int]], *, dark: bool = False) -> go.Figure:
    """The same from (label, rows), the largest first."""
    shown = counts[:MOST_BARS]
    title = (
        "Rows per label" if len(shown) == len(counts) else f"Rows of the {len(shown)} largest of {len(counts)} labels"
    )
    chart = theme.figure(title, dark, max(200, 56 + 24 * len(shown)))
    chart.add_bar(
        orientation="h",
        y=unique([words(name) for name, _ in shown]),
        x=[n for _, n in shown],
        marker_color=theme.BLUE,
        text=[plain(n) for _, n in shown],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x} rows<extra></extra>",
    )
    chart.update_xaxes(visible=False, range=[0, max((n for _, n in shown), default=1) * 1.15])
    chart.update_yaxes(type="category", autorange="reversed", showgrid=False)
    return chart


def histogram(values: Sequence[float], title: str, unit: str, *, dark: bool = False) -> go.Figure:
    """A distribution, with its median marked; the longest hundredth is gathered in the last bar."""
    if not len(values):
        return theme.empty(title, "There are no rows.", dark)
    return binned(profile.histogram(values), title, unit, dark=dark)


def binned(
    found: Mapping[str, Any], title: str, unit: str, *, limit: float | None = None, dark: bool = False
) -> go.Figure:
    """The same from what `data.profile.histogram` made; a limit is marked where one is given."""
    edges, counts = np.asarray(found["edges"], float), found["counts"]
    chart = theme.figure(title, dark, 240)
    chart.add_bar(
        x=(edges[:-1] + edges[1:]) / 2,
        y=counts,
        width=np.diff(edges) * 0.94,
        marker_color=theme.BLUE,
        customdata=[_span(low, high) for low, high in pairwise(edges)],
        hovertemplate=f"%{{customdata}} {escape(unit)}: %{{y}} rows<extra></extra>",
    )
    chart.update_yaxes(range=[0, 1.18 * max(counts)])  # room for what is written above the bars
    middle = found["median"]
    if limit is not None and limit <= edges[-1]:
        chart.add_vrect(x0=limit, x1=edges[-1], fillcolor=theme.VERMILION, opacity=0.12, line_width=0)
    chart.add_vline(
        x=middle,
        line={"color": theme.VERMILION, "dash": "dot"},
        annotation_text=f"median {plain(middle)}",
        annotation_position="top right",
    )
    chart.update_xaxes(title=escape(unit))
    if len(counts) <= FEW_BINS and (edges % 1 == 0.5).all():
        chart.update_xaxes(dtick=1)  # of whole numbers, with no half ones between
    return chart


def _span(low: float, high: float) -> str:
    """A bin as people say it: 7, 3 to 5, 0.12 to 0.2."""
    if low % 1 == high % 1 == 0.5:
        first, last = round(low + 0.5), round(high - 0.5)
        return f"{first}" if first == last else f"{first} to {last}"
    return f"{low:.3g} to {high:.3g}"


def exit_name(item: Mapping[str, Any]) -> str:
    """An exit as a label: its node, and its depth below."""
    return "<br>".join(map(escape, exit_words(item)))


def exit_words(item: Mapping[str, Any]) -> list[str]:
    """An exit as people say it: its node, its depth."""
    depth = item.get("depth")
    node = cut(item.get("node") or "answer", 20)
    return [node] if depth is None else [node, f"{plain(depth)} layer{'' if depth == 1 else 's'}"]


def branch_names(count: int) -> list[str]:
    """Names of a router's branches: branch_1, branch_2 and so on."""
    return [f"branch_{i + 1}" for i in range(count)]


def percent_axis(chart: go.Figure, top: float) -> go.Figure:
    """A y-axis of shares from 0 to `top`."""
    chart.update_yaxes(range=[0, top], tickformat=".0%")
    return chart


def is_number(value: object) -> bool:
    """Whether a measured value can be drawn."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def unique(names: Sequence[str]) -> list[str]:
    """Names that were cut to the same text made different, so that no bar falls on another."""
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return result
