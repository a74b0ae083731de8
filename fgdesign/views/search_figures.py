"""Charts of a search: all trials at once, what decided, and how the best came about. Plain data in, figures out.

Every text of a person is escaped. Knows nothing of Streamlit, Optuna or files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from fgdesign.views import theme
from fgdesign.views.figures import words
from fgdesign.views.numbers import plain

Trials = Sequence[Mapping[str, Any]]
MOST_AXES = 9
FLAT_AXES = 5  # beside the metric, whose titles stand side by side
LINES = {False: (theme.LINE[False], theme.BLUE, theme.VERMILION), True: (theme.LINE[True], theme.SKY, theme.VERMILION)}


def parallel(trials: Trials, names: Mapping[str, str], logs: Sequence[str], metric: str, *, higher: bool = True,
             dark: bool = False) -> go.Figure:
    """A line for each trial that was measured, over its choices to its metric; the better, the warmer.

    Args: names: titles of the choices, by name, the most important first. logs: those by magnitude.
    """
    done = [trial for trial in trials if trial["value"] is not None]
    title = "Trials"
    if len(done) < 2:
        return theme.empty(title, "Drawn once two trials are through.", dark, 320)
    axes = [_axis(words(names[name], 22), [trial["params"][name] for trial in done], name in logs)
            for name in [name for name in names if all(name in trial["params"] for trial in done)][:MOST_AXES]]
    values = [float(trial["value"]) for trial in done]
    low, middle, high = LINES[dark]
    scale = [(0.0, low), (0.6, middle), (1.0, high)]
    crowded = len(axes) > FLAT_AXES
    chart = theme.figure("", dark, 340 + 50 * crowded)
    chart.add_parcoords(
        labelangle=-20 if crowded else 0,  # side by side they would run into each other on a narrow screen
        dimensions=[*axes, {"label": words(metric), "values": values, "tickvals": _ends(values),
                            "ticktext": [plain(value) for value in _ends(values)]}],
        line={"color": values, "colorscale": scale if higher else [(1 - at, colour) for at, colour in scale[::-1]],
              "showscale": False},
        labelfont={"color": theme.INK[dark], "size": 12}, tickfont={"color": theme.FAINT[dark], "size": 11},
        rangefont={"color": "rgba(0,0,0,0)", "size": 1})
    return chart.update_layout(margin={"l": 60, "r": 50 + 50 * crowded, "t": 50 + 50 * crowded, "b": 24})


def importance(shares: Mapping[str, float], names: Mapping[str, str], *, dark: bool = False) -> go.Figure:
    """How much of the metric each choice decided, as bars."""
    title = "What decided"
    if not shares:
        return theme.empty(title, "Known once four trials are through that differ.", dark, 320)
    ranked = sorted(shares.items(), key=lambda item: item[1])[-MOST_AXES:]
    chart = theme.figure(title, dark, 340)
    chart.add_bar(x=[share for _, share in ranked], y=[words(names.get(name, name), 34) for name, _ in ranked],
                  orientation="h", marker={"color": theme.BLUE}, hovertemplate="%{y}: %{x:.0%}<extra></extra>")
    return chart.update_xaxes(tickformat=".0%", range=[0, max(shares.values()) * 1.05])


def history(trials: Trials, metric: str, *, higher: bool = True, dark: bool = False) -> go.Figure:
    """The metric of each trial in its order, and the best so far as a line."""
    done = [trial for trial in trials if trial["value"] is not None]
    if not done:
        return theme.empty(metric, "The first trial is still at work.", dark, 320)
    chart = theme.figure(words(metric), dark, 340)
    best: list[float] = []
    for trial in done:
        if trial["state"] == "done":
            best.append((max if higher else min)([*best[-1:], trial["value"]]))
        else:
            best.append(best[-1] if best else math.nan)
    xs = [trial["number"] for trial in done]
    chart.add_scatter(x=xs, y=best, mode="lines", line={"shape": "hv", "color": theme.VERMILION, "width": 2},
                      hovertemplate="best so far %{y:.4f}<extra></extra>")
    for state, symbol, colour in (("done", "circle", theme.BLUE), ("pruned", "x-thin-open", theme.FAINT[dark])):
        some = [trial for trial in done if trial["state"] == state]
        chart.add_scatter(x=[trial["number"] for trial in some], y=[trial["value"] for trial in some], mode="markers",
                          marker={"symbol": symbol, "size": 9, "color": colour},
                          hovertemplate=f"trial %{{x}}, {state}: %{{y:.4f}}<extra></extra>")
    return chart.update_xaxes(title="trial", dtick=max(1, len(trials) // 10))


def _axis(title: str, values: Sequence[Any], log: bool) -> dict[str, Any]:
    """An axis of the parallel coordinates: numbers as they are or by magnitude, words one below the other."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        shown = [math.log10(value) if log else float(value) for value in values]
        ends = _ends(shown)
        return {"label": title, "values": shown, "tickvals": ends,
                "ticktext": [plain(10 ** end if log else end) for end in ends]}
    kinds = sorted({str(value) for value in values})
    return {"label": title, "values": [kinds.index(str(value)) for value in values],
            "tickvals": list(range(len(kinds))), "ticktext": [words(kind, 14) for kind in kinds]}


def _ends(values: Sequence[float]) -> list[float]:
    """Up to five values at which an axis is marked."""
    different = sorted(set(values))
    if len(different) <= 5:
        return different
    low, high = different[0], different[-1]
    return [low, (low + high) / 2, high]
