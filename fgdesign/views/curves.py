"""Curves of a run over time: metrics, loss, router load, exits. Events of a run in, plain descriptions out.

A curve is drawn by plotly (`views.curve_figure`) or, while the run is at work, by a lighter hand (`ui.live_curves`).
Texts are as they are; who draws them escapes them. Knows nothing of Streamlit or files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from fgdesign.views.figures import Events, branch_names, cut, exit_words, is_number, metric_name
from fgdesign.views.numbers import plain
from fgdesign.views.theme import BLUE, SERIES, VERMILION

LEGEND, ENDING = 28, 7  # signs of a name beside a curve, and of its end where that tells it from others
DASHES = ("solid", "dash", "dot")  # tell more than eight lines apart
GROWTH = 1.3  # of the time axis, from one width to the next
TICKS = 200  # parts of the time axis: of each a line keeps its ends, its lowest and its highest point
FIRST_STEP, FIRST_VALIDATION = "The first step is still to come.", "Known after the first validation."


@dataclass(frozen=True)
class Line:
    """A line: its points, in seconds and values (None breaks it), and how it looks.

    told: what is said of each point, where its name and value are not enough. dots: every point is marked.
    """

    name: str
    xs: tuple[float, ...]
    ys: tuple[float | None, ...]
    told: tuple[str, ...] = ()
    colour: str = BLUE
    width: float = 2.0
    dash: str = "solid"
    dots: bool = False


@dataclass(frozen=True)
class Mark:
    """A point that is marked, and on which side of it the words stand."""

    x: float
    y: float
    words: str
    below: bool
    left: bool
    colour: str = VERMILION


@dataclass(frozen=True)
class Curve:
    """What one chart over time shows.

    nothing: said where there is no line. span, limits: ends of the axes; None as the points are, with from_zero from 0
    up. stacked: shares of a whole, one above the other. shares: values are told in percent.
    """

    title: str
    lines: tuple[Line, ...] = ()
    nothing: str = ""
    span: tuple[float, float] | None = None
    limits: tuple[float, float] | None = None
    height: int = 220
    legend: bool = True
    stacked: bool = False
    shares: bool = False
    from_zero: bool = False
    best: Mark | None = None


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


def thinned(events: Events) -> Events:
    """Without what no one would see: of the steps and the validations of each part of the time axis and each stage the
    first and the last stay, those of the lowest and the highest loss, and validations that were the best so far.
    """
    tick = time_span(events)[1] / TICKS
    kept: set[int] = set()
    for kind, loss in (("step", _loss), ("valid", _log_loss)):
        parts: dict[tuple[float, str], list[Mapping[str, Any]]] = {}
        for x, event in steps_of(events, kind):
            parts.setdefault((x // tick, str(event.get("stage", ""))), []).append(event)
        for some in parts.values():
            by_loss = sorted((event for event in some if is_number(loss(event))), key=loss) or some
            kept |= {id(event) for event in (some[0], some[-1], by_loss[0], by_loss[-1])}
    return [event for event in events
            if event.get("kind") not in ("step", "valid") or event.get("best") or id(event) in kept]


def _loss(event: Mapping[str, Any]) -> Any:
    return event.get("loss")


def _log_loss(event: Mapping[str, Any]) -> Any:
    return event["metrics"].get("log_loss")


def metric_curve(events: Events, metric: str, *, height: int = 280) -> Curve:
    """A validation metric over time, the best point marked."""
    points = [
        (x, float(e["metrics"][metric]), e) for x, e in steps_of(events, "valid") if is_number(e["metrics"].get(metric))
    ]
    title = f"Validation {metric_name(metric)}"
    if not points:
        return Curve(title, nothing="The first validation is still to come.", height=height)
    xs, ys = tuple(x for x, _, _ in points), tuple(y for _, y, _ in points)
    told = tuple(f"{_where(e)}\n{metric_name(metric)} {plain(y)}" for _, y, e in points)
    lower = metric in ("log_loss", "ece", "mae", "rmse")
    best = ys.index((min if lower else max)(ys))
    low, high = min(ys), max(ys)
    room = max(0.25 * (high - low), 0.02 * abs(high), 0.01)
    return Curve(
        title,
        (Line(metric_name(metric), xs, ys, told, width=2.5, dots=True),),
        span=time_span(events),
        limits=(low - room, high + room),
        height=height,
        legend=False,
        best=Mark(xs[best], ys[best], f"best {plain(ys[best])}", below=lower, left=xs[best] > 0.5 * xs[-1]),
    )


def loss_curve(events: Events) -> Curve:
    """Training loss over time; each stage has its own line."""
    points = [(x, e) for x, e in steps_of(events, "step") if is_number(e["loss"])]
    lines = []
    for place, stage in enumerate(dict.fromkeys(str(e.get("stage", "")) for _, e in points)):
        part = [(x, e) for x, e in points if str(e.get("stage", "")) == stage]
        lines.append(Line(cut(stage), tuple(x for x, _ in part), tuple(float(e["loss"]) for _, e in part),
                          tuple(f"{_where(e)}\nloss {plain(e['loss'])}" for _, e in part), SERIES[place % len(SERIES)]))
    return Curve("Training loss", tuple(lines), FIRST_STEP, time_span(events))


def router_load(events: Events, router: str) -> Curve:
    """The share of rows that each branch of a router got at each validation, as a stacked area."""
    points = [
        (x, e["routers"][router]["load"])
        for x, e in steps_of(events, "valid")
        if e.get("routers", {}).get(router, {}).get("load")
    ]
    loads = [list(load.values()) if isinstance(load, Mapping) else list(load) for _, load in points]
    first = points[0][1] if points else []
    names = list(first) if isinstance(first, Mapping) else branch_names(len(first))
    return _stacked(f"Load of {cut(router)}", [x for x, _ in points], loads, names, events)


def exit_load(events: Events) -> Curve:
    """The share of rows that left at each exit, at each validation, as a stacked area."""
    points = [(x, e["exits"]) for x, e in steps_of(events, "valid") if e.get("exits")]
    names = [", ".join(exit_words(item)) for item in points[0][1]] if points else []
    return _stacked("Where rows leave", [x for x, _ in points],
                    [[item["share"] for item in exits] for _, exits in points], names, events)


def rate_curve(events: Events) -> Curve:
    """Learning rates over time, a line for each group of weights."""
    points = [(x, e["rates"], str(e.get("stage", ""))) for x, e in steps_of(events, "step") if e.get("rates")]
    groups = dict.fromkeys(name for _, rates, _ in points for name in rates)
    lines = {name: [(x, rates.get(name), stage) for x, rates, stage in points] for name in groups}
    return Curve("Learning rate", _lines(lines), FIRST_STEP, time_span(events))


def router_entropy(events: Events) -> Curve:
    """How unsure learned routers are at each validation: 0 always one branch, 1 all alike."""
    lines: dict[str, list[tuple[float, Any, str]]] = {}
    for x, event in steps_of(events, "valid"):
        for name, told in event.get("routers", {}).items():
            if is_number(told.get("entropy")):
                lines.setdefault(name, []).append((x, told["entropy"], ""))
    return Curve("Entropy of routers", _lines(lines), FIRST_VALIDATION, time_span(events), (0.0, 1.05))


def exit_depth(events: Events) -> Curve:
    """Encoder layers that an answer takes on the mean, at each validation."""
    points = [(x, sum(float(item["depth"]) * float(item["share"]) for item in e["exits"]), "")
              for x, e in steps_of(events, "valid") if e.get("exits")]
    return Curve("Layers until the answer", _lines({"mean layers": points} if points else {}), FIRST_VALIDATION,
                 time_span(events), from_zero=True)


def machine_load(told: Events) -> Curve:
    """What share of cores and memory the run and the whole machine took, over time."""
    nothing = "Measured every few seconds while a run is at work."
    if not told:
        return Curve("Machine", nothing=nothing)
    first = float(told[0]["time"])
    parts = {"cores, all": "busy", "cores, this run": "cpu"}
    lines = {name: [(float(e["time"]) - first, e[key], "") for e in told] for name, key in parts.items()}
    lines["memory, all"] = [(float(e["time"]) - first, 1 - e["free"] / e["of"], "") for e in told]
    lines["memory, this run"] = [(float(e["time"]) - first, e["memory"] / e["of"], "") for e in told]
    if "gpu_memory" in told[-1]:
        lines["GPU memory, this run"] = [(float(e["time"]) - first, e["gpu_memory"] / e["gpu_of"], "") for e in told
                                         if "gpu_memory" in e]
    return Curve("Machine", _lines(lines), nothing, limits=(0.0, 1.02), shares=True)


def compared(curves: Mapping[str, Sequence[tuple[float, float]]], title: str) -> Curve:
    """One curve for each run, over the seconds since its first line."""
    names = _told_apart(list(curves))
    lines = {name: [(x, y, "") for x, y in points] for name, points in zip(names, curves.values(), strict=True)}
    return Curve(title, _lines(lines) if any(lines.values()) else (), "None of these runs has measured it.", height=320)


def _told_apart(names: Sequence[str]) -> list[str]:
    """The names; where some would be alike once they are cut at their end, cut before it."""
    if len({cut(name) for name in names}) == len(names):
        return list(names)
    return [name if len(name) <= LEGEND else f"{name[:LEGEND - ENDING - 1]}…{name[-ENDING:]}" for name in names]


def _lines(lines: Mapping[str, Sequence[tuple[float, Any, str]]]) -> tuple[Line, ...]:
    """Lines from (x, y, stage); one breaks where the stage changes."""
    made = []
    for place, (name, points) in enumerate(lines.items()):
        xs, ys = [x for x, _, _ in points[:1]], [_value(y) for _, y, _ in points[:1]]
        for (_, _, before), (x, y, stage) in pairwise(points):
            if stage != before:
                xs, ys = [*xs, x], [*ys, None]
            xs.append(x)
            ys.append(_value(y))
        made.append(Line(cut(name), tuple(xs), tuple(ys), colour=SERIES[place % len(SERIES)],
                         dash=DASHES[place // len(SERIES) % len(DASHES)]))
    return tuple(made)


def _value(y: Any) -> float | None:
    return float(y) if is_number(y) else None


def _stacked(title: str, xs: list[float], shares: list[list[float]], names: Sequence[str], events: Events) -> Curve:
    if len(xs) == 1:  # an area needs two points: what was measured once is drawn all along
        xs, shares = list(time_span(events)), shares * 2
    lines = tuple(
        Line(cut(name, 40), tuple(xs), tuple(float(row[column]) for row in shares), width=1.0,
             colour=SERIES[column % len(SERIES)])
        for column, name in enumerate(names)
    )
    return Curve(title, lines, FIRST_VALIDATION, time_span(events), (0.0, 1.0), legend=False, stacked=True, shares=True)


def _where(event: Mapping[str, Any]) -> str:
    return f"{cut(event.get('stage', ''))}, epoch {int(event.get('epoch', 0)) + 1}, step {event.get('step', 0)}"
