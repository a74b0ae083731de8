"""Rows on their way through routers and exits as bands: a Sankey picture whose bands can be clicked.

Plotly's own Sankey tells Streamlit nothing of clicks, so bands are drawn as filled curves with unseen points in them;
a point carries the key of its band or stop. Takes what `insight.routes` counted by its shape only. Knows nothing of
Streamlit or models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from fgdesign.views import theme
from fgdesign.views.figures import words
from fgdesign.views.numbers import percent, plain

GAP = 0.035  # of the height, between two stops of a stage
THICK = 0.012  # of the distance between stages, half a stop's width
STEPS = 24  # points along the edge of a band
ROOM = 0.94  # of a stage's height is left for bands and gaps
FAINT_NAME = "not reached"


class Stop(Protocol):
    @property
    def stage(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def rows(self) -> NDArray[np.int64]: ...


class Band(Protocol):
    @property
    def source(self) -> int: ...
    @property
    def target(self) -> int: ...
    @property
    def group(self) -> int: ...
    @property
    def rows(self) -> NDArray[np.int64]: ...


class Flows(Protocol):
    @property
    def stages(self) -> tuple[str, ...]: ...
    @property
    def stops(self) -> Sequence[Stop]: ...
    @property
    def bands(self) -> Sequence[Band]: ...
    @property
    def groups(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Curve:
    """A band as it is drawn: x (STEPS,), upper and lower edge (STEPS,)."""

    x: NDArray[np.float64]
    top: NDArray[np.float64]
    bottom: NDArray[np.float64]


def flow_figure(found: Flows, *, picked: str = "", dark: bool = False, height: int = 460) -> go.Figure:
    """The picture. picked: the key of a band or stop ("band:3", "stop:0") shown in full colour."""
    if not found.stops:
        return theme.empty("Flow of rows", "There are no rows.", dark)
    chart = theme.figure("", dark, height)
    spans = _spans(found)
    curves = _curves(found, spans)
    alone = _chosen(found, picked)
    for number, group in enumerate(found.groups):
        for lit in (False, True):
            mine = [i for i, band in enumerate(found.bands) if band.group == number and (i in alone) == lit]
            if mine:
                chart.add_scatter(**_outline([curves[i] for i in mine]), name=words(group), legendgroup=group,
                                  showlegend=False, fillcolor=_see_through(_colour(number), _strength(alone, lit)),
                                  mode="lines", line={"width": 0}, fill="toself", hoverinfo="skip")
    _add_stops(chart, found, spans, dark)
    chart.add_scatter(**_points(found, curves, spans, height), mode="markers", showlegend=False,
                      marker={"size": 11, "opacity": 0, "color": theme.FAINT[dark]},
                      selected={"marker": {"opacity": 0}}, unselected={"marker": {"opacity": 0}},
                      hovertemplate="%{text}<extra></extra>")
    last = len(found.stages) - 1
    chart.update_xaxes(range=[-0.04, last + 0.04], visible=False, fixedrange=True)
    chart.update_yaxes(range=[1.01, -0.09], visible=False, fixedrange=True)
    chart.update_layout(margin={"l": 130, "r": 130, "t": 4, "b": 4}, hoverdistance=14, dragmode=False)
    return chart


def _strength(alone: set[int], lit: bool) -> float:
    if not alone:
        return 0.42
    return 0.85 if lit else 0.14


def _chosen(found: Flows, picked: str) -> set[int]:
    """Bands that a picked key lights."""
    kind, _, number = picked.partition(":")
    if not number.isdigit():
        return set()
    place = int(number)
    if kind == "band":
        return {place} if place < len(found.bands) else set()
    return {i for i, band in enumerate(found.bands) if place in (band.source, band.target)}


def _spans(found: Flows) -> list[tuple[float, float]]:
    """Per stop the y at which it begins and ends; 0 is the top."""
    total = max(1, sum(len(stop.rows) for stop in found.stops if stop.stage == 0))
    most = max(sum(stop.stage == stage for stop in found.stops) for stage in range(len(found.stages)))
    gap = min(GAP, 0.4 / max(1, most - 1))
    scale = (ROOM - gap * (most - 1)) / total
    spans, y, stage = [], 0.0, -1
    for stop in found.stops:
        if stop.stage != stage:
            stage, y = stop.stage, 0.02
        spans.append((y, y + len(stop.rows) * scale))
        y = spans[-1][1] + gap
    return spans


def _curves(found: Flows, spans: Sequence[tuple[float, float]]) -> list[Curve]:
    """Bands leave and reach each stop in the order of where they come from and go to."""
    starts, ends = np.zeros(len(found.bands)), np.zeros(len(found.bands))
    left, right = [span[0] for span in spans], [span[0] for span in spans]
    scale = max((b - a) / len(s.rows) for (a, b), s in zip(spans, found.stops, strict=True) if len(s.rows))
    order = range(len(found.bands))
    for i in sorted(order, key=lambda i: (found.bands[i].target, found.bands[i].group)):
        starts[i] = left[found.bands[i].source]
        left[found.bands[i].source] += len(found.bands[i].rows) * scale
    for i in sorted(order, key=lambda i: (found.bands[i].source, found.bands[i].group)):
        ends[i] = right[found.bands[i].target]
        right[found.bands[i].target] += len(found.bands[i].rows) * scale
    t = np.linspace(0, 1, STEPS)
    ease = t * t * (3 - 2 * t)
    curves = []
    for i, band in enumerate(found.bands):
        x0, x1 = found.stops[band.source].stage + THICK, found.stops[band.target].stage - THICK
        top = starts[i] + (ends[i] - starts[i]) * ease
        curves.append(Curve(x0 + (x1 - x0) * t, top, top + len(band.rows) * scale))
    return curves


def _outline(curves: Sequence[Curve]) -> dict[str, list[float | None]]:
    x: list[float | None] = []
    y: list[float | None] = []
    for curve in curves:
        x += [*curve.x.tolist(), *curve.x[::-1].tolist(), None]
        y += [*curve.top.tolist(), *curve.bottom[::-1].tolist(), None]
    return {"x": x, "y": y}


def _add_stops(chart: go.Figure, found: Flows, spans: Sequence[tuple[float, float]], dark: bool) -> None:
    last = len(found.stages) - 1
    for stop, (top, bottom) in zip(found.stops, spans, strict=True):
        faint = stop.name == FAINT_NAME
        chart.add_shape(type="rect", x0=stop.stage - THICK, x1=stop.stage + THICK, y0=top, y1=bottom,
                        fillcolor=theme.LINE[dark] if faint else theme.INK[dark], line={"width": 0})
        end, start = stop.stage == last, stop.stage == 0
        chart.add_annotation(
            x=stop.stage + (-THICK if start else THICK), y=(top + bottom) / 2, showarrow=False,
            xanchor="right" if start else "left", xshift=-6 if start else 6, align="right" if start else "left",
            text=f"{words(stop.name, 18)} <span style='color:{theme.FAINT[dark]}'>{plain(len(stop.rows))}</span>",
            font={"size": 12, "color": theme.FAINT[dark] if faint else theme.INK[dark]},
            bgcolor=None if start or end else _see_through(theme.PAPER[dark], 0.72), borderpad=1)
    for stage, name in enumerate(found.stages):
        chart.add_annotation(x=stage, y=-0.055, text=f"<b>{words(name, 20)}</b>", showarrow=False,
                             xanchor="left" if 0 < stage < last else "center",
                             font={"size": 12, "color": theme.FAINT[dark]})


def _points(found: Flows, curves: Sequence[Curve], spans: Sequence[tuple[float, float]],
            height: int) -> dict[str, list[object]]:
    """Unseen points that are hovered and clicked, thick enough to cover every band and stop."""
    step = 9 / height
    x: list[object] = []
    y: list[object] = []
    keys: list[object] = []
    texts: list[object] = []
    for i, (band, curve) in enumerate(zip(found.bands, curves, strict=True)):
        said = _band_words(found, band)
        for at in range(1, STEPS - 1):
            thick = float(curve.bottom[at] - curve.top[at])
            for part in (np.arange(max(1, round(thick / step))) + 0.5) / max(1, round(thick / step)):
                x.append(float(curve.x[at]))
                y.append(float(curve.top[at] + thick * part))
                keys.append(f"band:{i}")
                texts.append(said)
    total = max(1, sum(len(stop.rows) for stop in found.stops if stop.stage == 0))
    for i, (stop, (top, bottom)) in enumerate(zip(found.stops, spans, strict=True)):
        count = max(1, round((bottom - top) / step))
        said = (f"{words(found.stages[stop.stage], 30)}: {words(stop.name)}<br>{plain(len(stop.rows))} rows, "
                f"{percent(len(stop.rows) / total)} of all")
        for part in (np.arange(count) + 0.5) / count:
            x.append(float(stop.stage))
            y.append(float(top + (bottom - top) * part))
            keys.append(f"stop:{i}")
            texts.append(said)
    return {"x": x, "y": y, "customdata": keys, "text": texts}


def _band_words(found: Flows, band: Band) -> str:
    source, target = found.stops[band.source], found.stops[band.target]
    group = "" if source.stage == 0 else f"{words(found.stages[0], 20)} {words(found.groups[band.group])}<br>"
    share = percent(len(band.rows) / max(1, len(source.rows)))
    return (f"{group}{words(source.name)} → {words(target.name)}<br>{plain(len(band.rows))} rows, {share} of "
            f"{words(source.name)}")


def _colour(number: int) -> str:
    return theme.SERIES[number % len(theme.SERIES)]


def _see_through(colour: str, opacity: float) -> str:
    """A colour "#rrggbb" as rgba."""
    red, green, blue = (int(colour[i:i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
