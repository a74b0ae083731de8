"""Charts of what functions, branches and routers are worth, and of router health.

Frames in, plotly figures out. Knows nothing of Streamlit or models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from fgdesign.views import theme
from fgdesign.views.figures import words
from fgdesign.views.numbers import percent, plain
from fgdesign.views.route_figures import ROW, intervals

MOST = 30  # changes that are drawn


def importance_bars(table: pd.DataFrame, *, number: bool = False, dark: bool = False) -> go.Figure:
    """What is lost when a function is passed by or a branch is forced, with intervals; clear losses in full colour.

    Args: table: from `insight.importance`. number: of a regression. Each point's customdata is [node, change].
    """
    if table.empty:
        return theme.empty("What functions are worth", "Nothing in this graph can be passed by or forced.", dark)
    some = table.head(MOST)
    names = [words(f"without {row.node}" if row.change == "pass by" else f"{row.node}: always {row.change}", 34)
             for row in some.itertuples()]
    colours = [_colour(row.lost_low, row.lost_high, dark) for row in some.itertuples()]
    told = [f"{name}<br>{_lost(row.lost, number)} lost ({_lost(row.lost_low, number)} to "
            f"{_lost(row.lost_high, number)})<br>log-loss {row.loss:+.3g}, q {plain(row.q)}"
            for name, row in zip(names, some.itertuples(), strict=True)]
    title = "Rise of the mean absolute error" if number else "Share of right answers lost"
    chart = theme.figure(title, dark, 96 + ROW * len(some))
    intervals(chart, some["lost"], some["lost_low"], some["lost_high"], names, colours, told,
              some[["node", "change"]].to_numpy().tolist(), dark=dark)
    return _from_zero(chart, number, dark)


def control_bars(table: pd.DataFrame, *, number: bool = False, dark: bool = False) -> go.Figure:
    """How much better the trained routing is than each control, with paired 95 % intervals.

    Args: table: of an `insight.Keep`. number: of a regression.
    """
    names = [words(name, 34) for name in table["control"]]
    colours = [_colour(row.low, row.high, dark) for row in table.itertuples()]
    told = [f"{name}<br>{_lost(row.gain, number)} better ({_lost(row.low, number)} to {_lost(row.high, number)}), "
            f"p {plain(row.p)}<br>{plain(row.layers)} layers a text"
            for name, row in zip(names, table.itertuples(), strict=True)]
    what = "mean absolute error" if number else "right answers"
    chart = theme.figure(f"Trained routing less each control, {what}", dark, 96 + ROW * len(table))
    intervals(chart, table["gain"], table["low"], table["high"], names, colours, told, table["control"].tolist(),
              dark=dark)
    return _from_zero(chart, number, dark)


def load_bars(load: Mapping[str, float], *, dark: bool = False) -> go.Figure:
    """Share of the rows that came to a router, by branch, with the even share marked."""
    names = [words(name, 24) for name in load]
    chart = theme.figure("", dark, 34 + 26 * max(1, len(load)))
    chart.add_bar(orientation="h", y=names, x=list(load.values()), marker_color=theme.ORANGE,
                  text=[percent(share) for share in load.values()], textposition="outside", cliponaxis=False,
                  hovertemplate="%{y}: %{x:.1%} of the rows<extra></extra>")
    chart.add_vline(x=1 / max(1, len(load)), line={"color": theme.FAINT[dark], "dash": "dot", "width": 1})
    chart.update_xaxes(range=[0, max([0.01, *load.values()]) * 1.25], visible=False, fixedrange=True)
    chart.update_yaxes(type="category", autorange="reversed", showgrid=False, fixedrange=True)
    return chart.update_layout(margin={"t": 6}, dragmode=False)


def signed_bars(names: Sequence[str], values: Sequence[float], title: str, *, dark: bool = False) -> go.Figure:
    """Amounts left and right of zero, written out: blue raised, vermilion lowered."""
    chart = theme.figure(words(title, 60), dark, 60 + 26 * max(1, len(names)))
    far = max([1e-9, *map(abs, values)]) * 1.35
    chart.add_bar(orientation="h", y=[words(name) for name in names], x=list(values),
                  marker_color=[theme.BLUE if value >= 0 else theme.VERMILION for value in values],
                  text=[f"{value:+.3f}" for value in values], textposition="outside", cliponaxis=False,
                  hovertemplate="%{y}: %{x:+.4f}<extra></extra>")
    chart.update_xaxes(range=[-far, far], visible=False, fixedrange=True)
    chart.update_yaxes(type="category", autorange="reversed", showgrid=False, fixedrange=True)
    chart.add_vline(x=0, line={"color": theme.FAINT[dark], "width": 1})
    return chart.update_layout(dragmode=False)


def _colour(low: float, high: float, dark: bool) -> str:
    if low > 0:
        return theme.BLUE if not dark else theme.SKY
    return theme.VERMILION if high < 0 else theme.GREY


def _lost(value: float, number: bool) -> str:
    return f"{value:+.3g}" if number else f"{value * 100:+.3g} points"


def _from_zero(chart: go.Figure, number: bool, dark: bool) -> go.Figure:
    chart.add_vline(x=0, line={"color": theme.FAINT[dark], "width": 1})
    chart.update_xaxes(tickformat=None if number else "+.0%", showgrid=True)
    return chart


