"""A curve as a plotly figure, with its tools: zoom, and a picture to save. Texts of a person are escaped here."""

from __future__ import annotations

from html import escape

import plotly.graph_objects as go

from fgdesign.views import theme
from fgdesign.views.curves import Curve, Line, Mark
from fgdesign.views.figures import percent_axis

NAMED = 0.08  # the least share of a stacked area that is named inside it


def figure(curve: Curve, *, dark: bool = False) -> go.Figure:
    """The curve, or the sentence that says why there is nothing yet."""
    if not curve.lines:
        return theme.empty(escape(curve.title), escape(curve.nothing), dark, curve.height)
    chart = theme.figure(escape(curve.title), dark, curve.height)
    for line in curve.lines:
        _add(chart, line, curve)
    chart.update_xaxes(title="seconds", range=curve.span)
    if curve.stacked:
        _name_areas(chart, curve, dark)
    if curve.best:
        _mark(chart, curve.best)
    chart.update_yaxes(range=curve.limits, rangemode="tozero" if curve.from_zero else "normal")
    if curve.shares and curve.limits:
        percent_axis(chart, curve.limits[1])
    return theme.with_legend(chart) if curve.legend else chart


def _add(chart: go.Figure, line: Line, curve: Curve) -> None:
    value = "%{y:.1%}" if curve.stacked else "%{y:.3g}"
    told = {"hovertext": [escape(text).replace("\n", "<br>") for text in line.told], "hoverinfo": "text"}
    alone = len(line.xs) == 1 and not curve.stacked
    chart.add_scatter(
        x=line.xs,
        y=line.ys,
        name=escape(line.name),
        mode="lines+markers" if line.dots else "markers" if alone else "lines",
        line={"color": line.colour, "width": line.width, "dash": line.dash},
        marker={"size": 6},
        stackgroup="all" if curve.stacked else None,
        **(told if line.told else {"hovertemplate": f"%{{fullData.name}}: {value}<extra></extra>"}),
    )


def _name_areas(chart: go.Figure, curve: Curve, dark: bool) -> None:
    below = 0.0
    for line in curve.lines:
        share = line.ys[-1] or 0.0
        if share > NAMED:
            chart.add_annotation(
                x=line.xs[-1],
                y=below + share / 2,
                showarrow=False,
                text=escape(line.name),
                xanchor="right",
                font={"size": 12, "color": theme.INK[dark]},
            )
        below += share


def _mark(chart: go.Figure, mark: Mark) -> None:
    chart.add_scatter(
        x=[mark.x],
        y=[mark.y],
        mode="markers+text",
        text=[f"{escape(mark.words)}  "],
        textposition=f"{'bottom' if mark.below else 'top'} {'left' if mark.left else 'right'}",
        cliponaxis=False,
        hoverinfo="skip",
        marker={"size": 12, "color": mark.colour, "symbol": "diamond"},
    )
