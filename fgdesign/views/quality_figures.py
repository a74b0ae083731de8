"""Charts that prove a verdict: intervals, curves, reliability, costs, compute, residuals.

Frames in, plotly figures out. Knows nothing of Streamlit or models.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fgdesign.views import theme
from fgdesign.views.figures import metric_name, unique, words
from fgdesign.views.numbers import percent, plain

ROW = 28  # pixels of a line
MOST_ROWS = 30
MOST_CURVES = 6
MOST_POINTS = 4000
SHARES = ".0%"


def forest(table: pd.DataFrame, name: str, value: str, *, title: str, low: str = "low", high: str = "high",
           zero: float | None = None, q: str = "", share: bool = True, dark: bool = False) -> go.Figure:
    """One line a row: a point with its 95 % interval; clear ones in full colour, each point's customdata its place.

    Args: name, value, low, high: columns. zero: where nothing differs. q: column of adjusted p; below 0.05 is clear.
    share: written as percentages.
    """
    some = table.head(MOST_ROWS).reset_index(drop=True)
    if some.empty:
        return theme.empty(title, "There is nothing to compare.", dark)
    chart = theme.figure(title, dark, 78 + ROW * len(some))
    clear = some[q].lt(0.05) if q else pd.Series(True, index=some.index)
    names = unique([words(one, 34) for one in some[name]])
    error = {"type": "data", "symmetric": False, "thickness": 2, "width": 0,
             "array": (some[high] - some[value]).clip(lower=0), "arrayminus": (some[value] - some[low]).clip(lower=0),
             "color": theme.FAINT[dark]}
    shown = percent if share else plain
    told = [f"{one}: {shown(v)} ({shown(a)} to {shown(b)})" + (f", {plain(int(r))} rows" if r == r else "")
            for one, v, a, b, r in zip(names, some[value], some[low], some[high],
                                       some["rows"] if "rows" in some else [np.nan] * len(some), strict=True)]
    chart.add_scatter(
        x=some[value], y=names, mode="markers", error_x=error, text=told, hovertemplate="%{text}<extra></extra>",
        customdata=list(range(len(some))),
        marker={"size": 11, "color": [theme.BLUE if one else theme.GREY for one in clear],
                "symbol": ["circle" if one else "circle-open" for one in clear], "line": {"width": 2}})
    if zero is not None:
        chart.add_vline(x=zero, line={"color": theme.FAINT[dark], "dash": "dot", "width": 1})
    chart.update_yaxes(autorange="reversed", showgrid=False, fixedrange=True)
    chart.update_xaxes(showgrid=True, tickformat=SHARES if share else None, fixedrange=True)
    return chart.update_layout(dragmode=False)


def roc(points: pd.DataFrame, areas: pd.DataFrame, *, dark: bool = False) -> go.Figure:
    """ROC of each label against the rest, its area in the name."""
    chart = theme.figure("ROC: each label against the rest", dark, 340)
    chart.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": theme.LINE[dark], "dash": "dot"},
                      hoverinfo="skip", showlegend=False)
    _lines(chart, points, areas, "false_positives", "true_positives", "roc_auc")
    chart.update_xaxes(title="false positives", tickformat=SHARES, range=[-0.01, 1.01])
    chart.update_yaxes(title="true positives", tickformat=SHARES, range=[-0.01, 1.03])
    return _inside(chart, "right")


def precision_recall(points: pd.DataFrame, areas: pd.DataFrame, *, dark: bool = False) -> go.Figure:
    """Precision against recall of each label, the average precision in its name."""
    chart = theme.figure("Precision and recall", dark, 340)
    _lines(chart, points, areas, "recall", "precision", "average_precision")
    chart.update_xaxes(title="recall", tickformat=SHARES, range=[-0.01, 1.01])
    chart.update_yaxes(title="precision", tickformat=SHARES, range=[-0.01, 1.03])
    return _inside(chart, "left")


def _lines(chart: go.Figure, points: pd.DataFrame, areas: pd.DataFrame, x: str, y: str, area: str) -> None:
    for place, told in enumerate(areas.head(MOST_CURVES).to_dict("records")):
        mine = points[points["label"] == told["label"]]
        step = max(1, len(mine) // 500)
        kept = mine.iloc[np.unique(np.append(np.arange(0, len(mine), step), len(mine) - 1))]
        chart.add_scatter(
            x=kept[x], y=kept[y], mode="lines", line={"color": theme.SERIES[place % len(theme.SERIES)], "width": 2,
                                                     "shape": "hv" if x == "recall" else "linear"},
            name=f"{words(told['label'], 18)} {told[area]:.3f}",
            customdata=kept["threshold"], hovertemplate=f"%{{x:.1%}}, %{{y:.1%}} from %{{customdata:.3f}} on"
                                                        f"<extra>{words(told['label'], 18)}</extra>")


def _inside(chart: go.Figure, corner: str) -> go.Figure:
    """The legend in the lower corner that curves leave free, "left" or "right"."""
    inside = {"x": 0.98 if corner == "right" else 0.02, "xanchor": corner, "y": 0.03, "yanchor": "bottom",
              "orientation": "v", "bgcolor": "rgba(0,0,0,0)"}
    return chart.update_layout(showlegend=True, legend=inside)


def reliability(before: pd.DataFrame, after: pd.DataFrame | None = None, *, dark: bool = False) -> go.Figure:
    """How sure against how right, with 95 % intervals; the diagonal is what it should be."""
    chart = theme.figure("Reliability: how sure, and how right", dark, 360)
    chart.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": theme.FAINT[dark], "dash": "dot"},
                      hoverinfo="skip", showlegend=False)
    for table, name, colour, symbol in ((before, "as answered", theme.ORANGE, "circle"),
                                        (after, "after temperature scaling", theme.BLUE, "diamond")):
        if table is None:
            continue
        error = {"type": "data", "symmetric": False, "array": table["high"] - table["right"],
                 "arrayminus": table["right"] - table["low"], "width": 0, "thickness": 1.5}
        chart.add_scatter(x=table["sure"], y=table["right"], error_y=error, mode="lines+markers", name=name,
                          marker={"color": colour, "symbol": symbol, "size": 9}, line={"color": colour, "width": 1.5},
                          customdata=table["rows"], hovertemplate="%{x:.1%} sure, %{y:.1%} right<br>%{customdata} rows"
                                                                  f"<extra>{name}</extra>")
    chart.update_xaxes(title="certainty", tickformat=SHARES, range=[0, 1.02], showgrid=True)
    chart.update_yaxes(title="came true", tickformat=SHARES, range=[0, 1.04])
    return theme.with_legend(chart)


def coverage(table: pd.DataFrame, *, asked: float | None = None, dark: bool = False) -> go.Figure:
    """Accuracy of what is answered, against the share that is; `asked`: the certainty marked."""
    chart = theme.figure("Accuracy when unsure rows are left to a person", dark, 320)
    step = max(1, len(table) // 600)
    kept = table.iloc[np.unique(np.append(np.arange(0, len(table), step), len(table) - 1))]
    chart.add_scatter(x=kept["kept"], y=kept["accuracy"], mode="lines", line={"color": theme.BLUE, "width": 2},
                      customdata=kept["from"],
                      hovertemplate="%{x:.1%} answered, %{y:.1%} of them right<br>from certainty %{customdata:.3f} on"
                                    "<extra></extra>")
    if asked is not None and len(here := table[table["from"] >= asked]):
        _mark(chart, float(here["kept"].iloc[-1]), float(here["accuracy"].iloc[-1]), "chosen")
    chart.update_xaxes(title="share answered", tickformat=SHARES, range=[0, 1.02], showgrid=True)
    chart.update_yaxes(title="right of those", tickformat=".0%")
    return chart


def cost_curve(table: pd.DataFrame, chosen: float, *, title: str, dark: bool = False) -> go.Figure:
    """Mean cost of a row by threshold, the cheapest marked."""
    chart = theme.figure(title, dark, 320)
    chart.add_scatter(x=table["threshold"], y=table["cost"], mode="lines", line={"color": theme.BLUE, "width": 2},
                      customdata=table[["false_positives", "false_negatives"]],
                      hovertemplate="from %{x:.2f} on: %{y:.3g} a row<br>%{customdata[0]} false positives, "
                                    "%{customdata[1]} false negatives<extra></extra>")
    _mark(chart, chosen, float(table.iloc[round(chosen * 100)]["cost"]), f"chosen: {chosen:.2f}")
    chart.update_xaxes(title="a yes from this probability on", range=[0, 1], showgrid=True)
    chart.update_yaxes(title="mean cost of a row", rangemode="tozero")
    return chart


def compute_curve(table: pd.DataFrame, metric: str, *, now: tuple[float, float], chosen: tuple[float, float],
                  dark: bool = False) -> go.Figure:
    """Score against the share of compute over thresholds, a line for each number of branches."""
    chart = theme.figure(f"{metric_name(metric)} against compute", dark, 380)
    for place, (count, mine) in enumerate(table.groupby("count")):
        line = mine[mine["threshold"].notna()].sort_values("share")
        kept = line if len(line) else mine
        name = "branches as trained" if count == 0 else f"{count} branch{'' if count == 1 else 'es'}"
        chart.add_scatter(x=kept["share"], y=kept["score"], mode="lines+markers", name=name,
                          line={"color": theme.SERIES[place % len(theme.SERIES)], "width": 2}, marker={"size": 5},
                          customdata=kept[["threshold", "layers"]],
                          hovertemplate="threshold %{customdata[0]:.3f}: %{y:.3f} at %{x:.1%} of the compute, "
                                        "%{customdata[1]:.2f} layers<extra></extra>")
    if now != chosen:
        _mark(chart, *now, "as it is", colour=theme.GREY, symbol="x")
    _mark(chart, *chosen, "chosen" if now != chosen else "as it is")
    chart.update_xaxes(title="share of the dearest setting's compute", tickformat=SHARES, showgrid=True)
    chart.update_yaxes(title=metric_name(metric))
    return theme.with_legend(chart) if table["count"].nunique() > 1 else chart


def _mark(chart: go.Figure, x: float, y: float, name: str, *, colour: str = theme.VERMILION,
          symbol: str = "diamond") -> None:
    chart.add_scatter(x=[x], y=[y], mode="markers+text", text=[name], textposition="top center", showlegend=False,
                      marker={"color": colour, "size": 12, "symbol": symbol}, cliponaxis=False, hoverinfo="skip")


def predicted_true(rows: pd.DataFrame, *, dark: bool = False) -> go.Figure:
    """Predicted against true numbers; a point's customdata is its row's place."""
    chart = theme.figure("Predicted against true", dark, 380)
    some = rows.iloc[:: max(1, len(rows) // MOST_POINTS)]
    ends = [float(min(rows["true"].min(), rows["predicted"].min())), float(max(rows["true"].max(),
                                                                              rows["predicted"].max()))]
    chart.add_scatter(x=ends, y=ends, mode="lines", line={"color": theme.FAINT[dark], "dash": "dot"}, hoverinfo="skip")
    chart.add_scatter(x=some["true"], y=some["predicted"], mode="markers", customdata=some.index.tolist(),
                      marker={"color": theme.BLUE, "size": 7, "opacity": 0.45},
                      hovertemplate="true %{x:.3g}, predicted %{y:.3g}<extra></extra>")
    chart.update_xaxes(title="true", showgrid=True)
    chart.update_yaxes(title="predicted")
    return chart


def error_by_value(bins: pd.DataFrame, *, dark: bool = False) -> go.Figure:
    """Mean error with its interval, and mean absolute error, by bins of the true value."""
    chart = theme.figure("Error by true value", dark, 380)
    names = [f"{plain(a)} to {plain(b)}" for a, b in zip(bins["from"], bins["to"], strict=True)]
    chart.add_bar(x=names, y=bins["mae"], name="mean absolute error", marker_color=theme.GREY, opacity=0.45,
                  customdata=bins["rows"], hovertemplate="%{x}: %{y:.3g}, %{customdata} rows<extra></extra>")
    error = {"type": "data", "symmetric": False, "array": (bins["high"] - bins["bias"]).fillna(0),
             "arrayminus": (bins["bias"] - bins["low"]).fillna(0), "width": 0}
    chart.add_scatter(x=names, y=bins["bias"], mode="markers", error_y=error, name="mean error, 95 % interval",
                      marker={"color": theme.VERMILION, "size": 10},
                      hovertemplate="%{x}: %{y:+.3g}<extra></extra>")
    chart.add_hline(y=0, line={"color": theme.FAINT[dark], "width": 1, "dash": "dot"})
    return theme.with_legend(chart)


def group_rates(table: pd.DataFrame, rates: Sequence[str], names: Sequence[str], *, share: bool,
                dark: bool = False) -> go.Figure:
    """Rates of groups side by side with 95 % intervals."""
    groups = unique([f"{words(g, 22)}  {plain(int(n))}" for g, n in zip(table["group"], table["rows"], strict=True)])
    chart = theme.figure("Rates by group", dark, 90 + (18 * len(rates) + 14) * len(groups))
    for place, (rate, name) in enumerate(zip(rates, names, strict=True)):
        error = {"type": "data", "symmetric": False, "array": table[f"{rate}_high"] - table[rate],
                 "arrayminus": table[rate] - table[f"{rate}_low"], "width": 0, "thickness": 1.5,
                 "color": theme.FAINT[dark]}
        chart.add_bar(orientation="h", y=groups, x=table[rate], name=name, error_x=error,
                      marker_color=theme.SERIES[place % len(theme.SERIES)],
                      hovertemplate=f"%{{y}}: {name} " + ("%{x:.1%}" if share else "%{x:.3g}") + "<extra></extra>")
    chart.update_layout(barmode="group", bargap=0.3)
    chart.update_yaxes(autorange="reversed", showgrid=False)
    chart.update_xaxes(tickformat=SHARES if share else None, showgrid=True)
    return theme.with_legend(chart)


def differences(sizes: dict[str, int], *, dark: bool = False) -> go.Figure:
    """How many rows two runs differ on, by who is right; a bar's customdata is its name."""
    chart = theme.figure("Rows on which they differ", dark, 80 + 40 * len(sizes))
    colours = [theme.GREEN, theme.VERMILION, theme.GREY]
    chart.add_bar(orientation="h", y=list(sizes), x=list(sizes.values()), customdata=list(sizes),
                  marker_color=colours[: len(sizes)], text=[plain(n) for n in sizes.values()],
                  textposition="outside", cliponaxis=False, hovertemplate="%{y}: %{x} rows<extra></extra>")
    chart.update_yaxes(autorange="reversed", showgrid=False, fixedrange=True)
    chart.update_xaxes(visible=False, range=[0, max([*sizes.values(), 1]) * 1.15], fixedrange=True)
    return chart.update_layout(dragmode=False)
