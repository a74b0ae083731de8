"""Charts of a run over time: metrics, loss, router load, exits. Events of a run in, plotly figures out.

Every text of a person is escaped: plotly reads a small HTML in labels. Knows nothing of Streamlit or files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from fgdesign.views import theme
from fgdesign.views.figures import Events, branch_names, exit_name, is_number, metric_name, percent_axis, words
from fgdesign.views.numbers import plain

LEGEND, ENDING = 28, 7  # signs of a name beside a curve, and of its end where that tells it from others
DASHES = ("solid", "dash", "dot")  # tell more than eight lines apart
GROWTH = 1.3  # of the time axis, from one width to the next
TICKS = 20  # parts of the time axis: a line of a run at work grows by whole ones


def steps_of(events: Events, kind: str) -> list[tuple[float, Mapping[str, Any]]]:
    """(seconds since the first event, event) of one kind; stages have steps of their own, time runs through."""
    start = next((float(event["time"]) for event in events if "time" in event), 0.0)
    return [
        (max(0.0, float(event.get("time", start)) - start), event) for event in events if event.get("kind") == kind
    ]


def time_span(events: Events) -> tuple[float, float]:
    """The common x-axis of a run's charts, in seconds; it grows by leaps, so that a chart without a new point stays."""
    last = max((x for kind in ("step", "valid") for x, _ in steps_of(events, kind)), default=0.0)
    return (0.0, GROWTH ** max(0, math.ceil(math.log(max(last, 1.0) * 1.02, GROWTH))))


def by_ticks(events: Events) -> Events:
    """Without the latest steps but one, until they fill a part of the time axis: lines drawn of the rest change seldom.

    A browser builds a chart anew with every change, and takes the time that it does from the run on the same machine.
    """
    tick = time_span(events)[1] / TICKS
    steps = steps_of(events, "step")
    late = {id(event) for event in [event for x, event in steps if x // tick == steps[-1][0] // tick][1:]}
    return [event for event in events if id(event) not in late]


def metric_curve(events: Events, metric: str, *, dark: bool = False, height: int = 280) -> go.Figure:
    """A validation metric over time, the best point marked."""
    points = [
        (x, e["metrics"][metric], e) for x, e in steps_of(events, "valid") if is_number(e["metrics"].get(metric))
    ]
    title = f"Validation {metric_name(metric)}"
    if not points:
        return theme.empty(title, "The first validation is still to come.", dark, height)
    chart = theme.figure(title, dark, height)
    xs, ys = [x for x, _, _ in points], [y for _, y, _ in points]
    hover = [f"{_where(e)}<br>{metric_name(metric)} {plain(y)}" for _, y, e in points]
    chart.add_scatter(
        x=xs,
        y=ys,
        mode="lines+markers",
        line={"color": theme.BLUE, "width": 2.5},
        marker={"size": 6},
        hovertext=hover,
        hoverinfo="text",
    )
    lower = metric in ("log_loss", "ece", "mae", "rmse")
    best = int(np.argmin(ys)) if lower else int(np.argmax(ys))
    chart.add_scatter(
        x=[xs[best]],
        y=[ys[best]],
        mode="markers+text",
        text=[f"best {plain(ys[best])}  "],
        textposition=("bottom " if lower else "top ") + ("left" if xs[best] > 0.5 * xs[-1] else "right"),
        cliponaxis=False,
        hoverinfo="skip",
        marker={"size": 12, "color": theme.VERMILION, "symbol": "diamond"},
    )
    low, high = min(ys), max(ys)
    room = max(0.25 * (high - low), 0.02 * abs(high), 0.01)
    chart.update_yaxes(range=[low - room, high + room])
    return _over_time(chart, events)


def loss_curve(events: Events, *, dark: bool = False) -> go.Figure:
    """Training loss over time; each stage has its own line."""
    points = [(x, e) for x, e in steps_of(events, "step") if is_number(e["loss"])]
    if not points:
        return theme.empty("Training loss", "The first step is still to come.", dark)
    chart = theme.figure("Training loss", dark, 220)
    for place, stage in enumerate(dict.fromkeys(str(e.get("stage", "")) for _, e in points)):
        part = [(x, e) for x, e in points if str(e.get("stage", "")) == stage]
        xs, ys = [x for x, _ in part], [e["loss"] for _, e in part]
        chart.add_scatter(
            x=xs,
            y=ys,
            mode="lines" if len(xs) > 1 else "markers",
            name=words(stage),
            line={"width": 2, "color": theme.SERIES[place % len(theme.SERIES)]},
            hovertext=[f"{_where(e)}<br>loss {plain(e['loss'])}" for _, e in part],
            hoverinfo="text",
        )
    return theme.with_legend(_over_time(chart, events))


def router_load(events: Events, router: str, *, dark: bool = False) -> go.Figure:
    """The share of rows that each branch of a router got at each validation, as a stacked area."""
    points = [
        (x, e["routers"][router]["load"])
        for x, e in steps_of(events, "valid")
        if e.get("routers", {}).get(router, {}).get("load")
    ]
    title = f"Load of {words(router)}"
    if not points:
        return theme.empty(title, "Known after the first validation.", dark)
    loads = [list(load.values()) if isinstance(load, Mapping) else list(load) for _, load in points]
    names = list(points[0][1]) if isinstance(points[0][1], Mapping) else branch_names(len(loads[0]))
    return _stacked(title, [x for x, _ in points], np.array(loads, float), names, events, dark)


def exit_load(events: Events, *, dark: bool = False) -> go.Figure:
    """The share of rows that left at each exit, at each validation, as a stacked area."""
    points = [(x, e["exits"]) for x, e in steps_of(events, "valid") if e.get("exits")]
    if not points:
        return theme.empty("Where rows leave", "Known after the first validation.", dark)
    names = [exit_name(item) for item in points[0][1]]
    shares = np.array([[item["share"] for item in exits] for _, exits in points], float)
    return _stacked("Where rows leave", [x for x, _ in points], shares, names, events, dark)


def rate_curve(events: Events, *, dark: bool = False) -> go.Figure:
    """Learning rates over time, a line for each group of weights."""
    points = [(x, e["rates"], str(e.get("stage", ""))) for x, e in steps_of(events, "step") if e.get("rates")]
    groups = dict.fromkeys(name for _, rates, _ in points for name in rates)
    lines = {name: [(x, rates.get(name), stage) for x, rates, stage in points] for name in groups}
    return _lines("Learning rate", lines, events, dark, "The first step is still to come.")


def router_entropy(events: Events, *, dark: bool = False) -> go.Figure:
    """How unsure learned routers are at each validation: 0 always one branch, 1 all alike."""
    lines: dict[str, list[tuple[float, Any, str]]] = {}
    for x, event in steps_of(events, "valid"):
        for name, told in event.get("routers", {}).items():
            if is_number(told.get("entropy")):
                lines.setdefault(name, []).append((x, told["entropy"], ""))
    chart = _lines("Entropy of routers", lines, events, dark, "Known after the first validation.")
    return chart.update_yaxes(range=[0, 1.05]) if lines else chart


def exit_depth(events: Events, *, dark: bool = False) -> go.Figure:
    """Encoder layers that an answer takes on the mean, at each validation."""
    points = [(x, sum(float(item["depth"]) * float(item["share"]) for item in e["exits"]), "")
              for x, e in steps_of(events, "valid") if e.get("exits")]
    lines = {"mean layers": points} if points else {}
    chart = _lines("Layers until the answer", lines, events, dark, "Known after the first validation.")
    return chart.update_yaxes(rangemode="tozero") if points else chart


def machine_load(told: Events, *, dark: bool = False) -> go.Figure:
    """What share of cores and memory the run and the whole machine took, over time."""
    if not told:
        return theme.empty("Machine", "Measured every few seconds while a run is at work.", dark)
    first = float(told[0]["time"])
    parts = {"cores, all": "busy", "cores, this run": "cpu"}
    lines = {name: [(float(e["time"]) - first, e[key], "") for e in told] for name, key in parts.items()}
    lines["memory, all"] = [(float(e["time"]) - first, 1 - e["free"] / e["of"], "") for e in told]
    lines["memory, this run"] = [(float(e["time"]) - first, e["memory"] / e["of"], "") for e in told]
    if "gpu_memory" in told[-1]:
        lines["GPU memory, this run"] = [(float(e["time"]) - first, e["gpu_memory"] / e["gpu_of"], "") for e in told
                                         if "gpu_memory" in e]
    chart = _lines("Machine", lines, [], dark, "")
    return percent_axis(chart.update_xaxes(range=None), 1.02)


def compared(curves: Mapping[str, Sequence[tuple[float, float]]], title: str, *, dark: bool = False) -> go.Figure:
    """One curve for each run, over the seconds since its first line."""
    names = _told_apart(list(curves))
    lines = {name: [(x, y, "") for x, y in points] for name, points in zip(names, curves.values(), strict=True)}
    return _lines(title, lines, [], dark, "None of these runs has measured it.", height=320).update_xaxes(range=None)


def _told_apart(names: Sequence[str]) -> list[str]:
    """The names; where some would be alike once they are cut at their end, cut before it."""
    if len({words(name) for name in names}) == len(names):
        return list(names)
    return [name if len(name) <= LEGEND else f"{name[:LEGEND - ENDING - 1]}…{name[-ENDING:]}" for name in names]


def _lines(title: str, lines: Mapping[str, Sequence[tuple[float, Any, str]]], events: Events, dark: bool, nothing: str,
           *, height: int = 220) -> go.Figure:
    """Lines with a legend; a line breaks where the last part of a point (a stage) changes."""
    if not any(lines.values()):
        return theme.empty(title, nothing, dark, height)
    chart = theme.figure(title, dark, height)
    for place, (name, points) in enumerate(lines.items()):
        xs: list[float | None] = []
        ys: list[float | None] = []
        for i, (x, y, stage) in enumerate(points):
            if i and stage != points[i - 1][2]:
                xs, ys = [*xs, None], [*ys, None]
            xs, ys = [*xs, x], [*ys, y if is_number(y) else None]
        chart.add_scatter(
            x=xs,
            y=ys,
            mode="lines" if len(points) > 1 else "markers",
            name=words(name),
            line={"width": 2, "color": theme.SERIES[place % len(theme.SERIES)], "dash": DASHES[place // 8 % 3]},
            hovertemplate="%{fullData.name}: %{y:.3g}<extra></extra>",
        )
    return theme.with_legend(_over_time(chart, events))


def _stacked(title: str, xs: list[float], shares: Any, names: Sequence[str], events: Events, dark: bool) -> go.Figure:
    chart = theme.figure(title, dark, 220)
    if len(xs) == 1:  # an area needs two points: what was measured once is drawn all along
        xs, shares = list(time_span(events)), shares.repeat(2, 0)
    for column, name in enumerate(names):
        colour = theme.SERIES[column % len(theme.SERIES)]
        chart.add_scatter(
            x=xs,
            y=shares[:, column],
            stackgroup="all",
            name=name.replace("<br>", ", "),
            mode="lines",
            line={"width": 1, "color": colour},
            hovertemplate="%{fullData.name}: %{y:.1%}<extra></extra>",
        )
        if shares[-1, column] > 0.08:
            chart.add_annotation(
                x=xs[-1],
                y=float(shares[-1, :column].sum() + shares[-1, column] / 2),
                showarrow=False,
                text=name.replace("<br>", ", "),
                xanchor="right",
                font={"size": 12, "color": theme.INK[dark]},
            )
    return percent_axis(_over_time(chart, events), 1.0)


def _over_time(chart: go.Figure, events: Events) -> go.Figure:
    chart.update_xaxes(title="seconds", range=list(time_span(events)))
    return chart


def _where(event: Mapping[str, Any]) -> str:
    return f"{words(event.get('stage', ''))}, epoch {int(event.get('epoch', 0)) + 1}, step {event.get('step', 0)}"
