"""Charts of routes over a data set: values against routes, errors, exits, what functions are worth, controls.

Frames and plain data in, plotly figures out. Knows nothing of Streamlit or models.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from fgdesign.views import theme
from fgdesign.views.figures import percent_axis, words
from fgdesign.views.numbers import percent, plain

CLEAR = 0.05  # adjusted p below which a difference is marked
ROW = 34  # pixels of a line
LONGEST = 30  # letters of a route in a label


def route_matrix(table: pd.DataFrame, *, what: str = "label", dark: bool = False) -> go.Figure:
    """Routes down, values of a column across; each cell the share of the route's rows, clear differences marked.

    Args: table: from `insight.routes.route_by`. Each cell can be clicked: its customdata is [route, value].
    """
    routes, values = (list(dict.fromkeys(table[name])) for name in ("route", "value"))
    if not routes:
        return theme.empty("Routes", "There are no rows.", dark)
    cells = table.set_index(["route", "value"])
    share = [[float(cells.loc[(route, value), "share"]) for value in values] for route in routes]
    texts = [[_cell(cells.loc[(route, value)]) for value in values] for route in routes]
    sizes = table.groupby("route")["rows"].sum()
    ys = [f"{words(route_words(route), LONGEST)}  {plain(int(sizes[route]))}" for route in routes]
    xs = [words(value, 16) for value in values]
    chart = theme.figure(f"Share of each route's rows by {words(what)}", dark, 110 + ROW * len(routes))
    chart.add_heatmap(z=share, x=list(range(len(xs))), y=list(range(len(ys))), zmin=0, zmax=1, xgap=2, ygap=2,
                      colorscale=theme.RAMP[dark], showscale=False, text=texts, texttemplate="%{text}",
                      hoverinfo="skip")
    _add_cells(chart, table, routes, values)
    chart.update_xaxes(tickmode="array", tickvals=list(range(len(xs))), ticktext=xs, side="top", showgrid=False,
                       fixedrange=True, range=[-0.5, len(xs) - 0.5])
    chart.update_yaxes(tickmode="array", tickvals=list(range(len(ys))), ticktext=ys, showgrid=False, fixedrange=True,
                       range=[len(ys) - 0.5, -0.5])
    return chart.update_layout(margin={"t": 64}, dragmode=False)


def _cell(cell: pd.Series) -> str:
    mark = "" if not cell["q"] < CLEAR else (" ▲" if cell["share"] > cell["elsewhere"] else " ▼")
    said = percent(float(cell["share"])) + mark
    return f"<b>{said}</b>" if mark else said


def _add_cells(chart: go.Figure, table: pd.DataFrame, routes: Sequence[str], values: Sequence[str]) -> None:
    """Unseen squares over the cells, which are hovered and clicked."""
    place = {name: i for i, name in enumerate(values)}
    line = {name: i for i, name in enumerate(routes)}
    told = [f"{words(route_words(row.route), 60)}<br>{words(row.value)}: {plain(row.rows)} rows, "
            f"{percent(row.share)} ({percent(row.low)} to {percent(row.high)})<br>"
            + (f"{percent(row.elsewhere)} on other routes, q {plain(row.q)}" if row.q == row.q else "the only route")
            for row in table.itertuples()]
    chart.add_scatter(x=[place[v] for v in table["value"]], y=[line[r] for r in table["route"]], mode="markers",
                      marker={"size": 30, "symbol": "square", "opacity": 0}, text=told, showlegend=False,
                      customdata=table[["route", "value"]].to_numpy().tolist(), hovertemplate="%{text}<extra></extra>",
                      selected={"marker": {"opacity": 0}}, unselected={"marker": {"opacity": 0}})


def route_error_bars(table: pd.DataFrame, *, dark: bool = False) -> go.Figure:
    """Error rate of each route with its interval, those with clearly more than their share in full colour.

    Args: table: from `insight.routes.route_errors`. Each point can be clicked: its customdata is the route.
    """
    if table.empty:
        return theme.empty("Errors", "There are no rows.", dark)
    over = table["over"].to_numpy(bool)
    names = [("<b>▲ " if clear else "") + words(route_words(route), LONGEST) + ("</b>" if clear else "")
             for route, clear in zip(table["route"], over, strict=True)]
    chart = theme.figure("Error rate by route", dark, 100 + ROW * len(table))
    told = [f"{words(route_words(row.route), 60)}<br>{plain(row.errors)} of {plain(row.rows)} rows wrong: "
            f"{percent(row.rate)} ({percent(row.low)} to {percent(row.high)})<br>"
            + (f"{percent(row.elsewhere)} on other routes, q {plain(row.q)}" if row.q == row.q else "the only route")
            for row in table.itertuples()]
    intervals(chart, table["rate"], table["low"], table["high"], names, [theme.VERMILION if o else theme.BLUE
                                                                        for o in over], told,
              table["route"].tolist(), dark=dark)
    whole = float(table["errors"].sum() / max(1, table["rows"].sum()))
    chart.add_vline(x=whole, line={"color": theme.FAINT[dark], "dash": "dot", "width": 1})
    chart.add_annotation(x=whole, y=1, yref="paper", yanchor="bottom", text=f"all rows {percent(whole)}",
                         showarrow=False, font={"size": 12, "color": theme.FAINT[dark]})
    chart.update_xaxes(tickformat=".0%", rangemode="tozero", showgrid=True)
    return chart.update_layout(margin={"t": 58})


def intervals(chart: go.Figure, value: Sequence[float], low: Sequence[float], high: Sequence[float],
              names: Sequence[str], colours: Sequence[str], told: Sequence[str], keys: Sequence[object], *,
              dark: bool) -> None:
    """Points with their intervals, one a line, the first on top; each has a key as customdata for clicks."""
    lines = list(range(len(names)))
    for i, (a, b, colour) in enumerate(zip(low, high, colours, strict=True)):
        chart.add_shape(type="line", x0=a, x1=b, y0=i, y1=i, line={"color": colour, "width": 3}, opacity=0.55)
    chart.add_scatter(x=list(value), y=lines, mode="markers", customdata=list(keys), text=list(told),
                      marker={"size": 11, "color": list(colours), "line": {"width": 1, "color": theme.PAPER[dark]}},
                      hovertemplate="%{text}<extra></extra>", showlegend=False,
                      unselected={"marker": {"opacity": 0.35}})
    chart.update_yaxes(tickmode="array", tickvals=lines, ticktext=list(names), showgrid=False, fixedrange=True,
                       range=[len(names) - 0.5, -0.5])
    chart.update_xaxes(fixedrange=True)
    chart.update_layout(dragmode=False)


def exit_curve(table: pd.DataFrame, *, dark: bool = False) -> go.Figure:
    """By depth: what each exit answered, how right it was there, and how right it would be on rows that went on.

    Args: table: from `insight.depth.exit_table`.
    """
    if table.empty:
        return theme.empty("Exits", "This graph has no exit.", dark)
    names = [f"{words(row.exit, 14)}<br>{plain(row.depth)} layers" for row in table.itertuples()]
    chart = theme.figure("What each exit answers, and how right it is", dark, 330)
    chart.add_bar(x=names, y=table["share"], marker_color=theme.ORANGE, opacity=0.35, name="share of rows answered",
                  customdata=table["exit"].tolist(), hovertemplate="%{x}<br>%{y:.1%} of the rows<extra></extra>")
    looks = (("answered", "right on rows it answered", theme.BLUE, "diamond"),
             ("went_on", "right on rows that went on, had it answered", theme.VERMILION, "circle-open"),
             ("end", "right on the same rows in the end", theme.GREEN, "line-ew-open"))
    for key, name, colour, symbol in looks:
        known = table[table[key].notna()]
        chart.add_scatter(
            x=[names[i] for i in known.index], y=known[key], mode="markers", name=name,
            marker={"symbol": symbol, "size": 13, "color": colour, "line": {"width": 2, "color": colour}},
            error_y={"type": "data", "symmetric": False, "array": known[f"{key}_high"] - known[key],
                     "arrayminus": known[key] - known[f"{key}_low"], "color": colour, "thickness": 1.5, "width": 4},
            customdata=[row for row in known["exit"]], hovertemplate=f"%{{x}}<br>%{{y:.1%}} {name}<extra></extra>")
    theme.with_legend(chart)
    return percent_axis(chart, 1.03).update_layout(dragmode=False)


def route_words(route: str) -> str:
    """A route as people read it: "router:branch_2 > exit_3" -> "branch_2 → exit_3" where one router is meant."""
    parts = str(route).split(" > ")
    routers = {part.partition(":")[0] for part in parts if ":" in part}
    short = [part.partition(":")[2] or part for part in parts] if len(routers) <= 1 else parts
    return " → ".join(short)


def cluster_bars(table: pd.DataFrame, *, dark: bool = False) -> go.Figure:
    """Clusters of routes by their rows. Args: table: from `insight.route_clusters`; customdata is the cluster."""
    if table.empty:
        return theme.empty("Alike routes", "There are no rows.", dark)
    names = [f"{row.cluster}. {words(route_words(row.commonest), LONGEST)}" for row in table.itertuples()]
    texts = [f"{plain(row.rows)} rows, {percent(row.share)}"
             + ("" if row.right != row.right else f", {percent(row.right)} right") for row in table.itertuples()]
    told = [f"{name}<br>{text}<br>{plain(row.routes)} routes, {plain(row.functions)} functions and "
            f"{plain(row.layers)} layers a row"
            for name, text, row in zip(names, texts, table.itertuples(), strict=True)]
    chart = theme.figure("Rows by cluster of routes", dark, 60 + ROW * len(table))
    chart.add_bar(orientation="h", y=names, x=table["rows"], marker_color=theme.ORANGE, text=texts,
                  textposition="outside", cliponaxis=False, customdata=table["cluster"].tolist(), hovertext=told,
                  hovertemplate="%{hovertext}<extra></extra>", unselected={"marker": {"opacity": 0.4}})
    chart.update_xaxes(range=[0, float(table["rows"].max()) * 1.5], visible=False, fixedrange=True)
    chart.update_yaxes(autorange="reversed", showgrid=False, fixedrange=True)
    return chart.update_layout(dragmode=False)
