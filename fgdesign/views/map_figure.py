"""A map of texts, each a point in the colour and shape of its label. Knows nothing of how it was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from fgdesign.views import theme
from fgdesign.views.figures import words

SHAPES = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star", "hexagon")
MOST = len(theme.SERIES) - 1  # labels with a colour of their own; the others share grey


def text_map(found: Mapping[str, Any], *, dark: bool = False) -> theme.Figure:
    """The points of `insight.text_map`; each carries its row number for clicks."""
    labels = found["labels"]
    if not labels:
        return theme.empty("Map of the texts", "There are no rows.", dark)
    chart = theme.figure("Map of the texts: near is alike", dark, 520)
    usual = [name for name, _ in Counter(labels).most_common(MOST)]
    groups = {name: [at for at, label in enumerate(labels) if label == name] for name in usual}
    groups["others"] = [at for at, label in enumerate(labels) if label not in groups]
    x, y = np.asarray(found["x"]), np.asarray(found["y"])
    for place, (name, at) in enumerate(groups.items()):
        if not at:
            continue
        shown = [f"{words(labels[row])}<br>{words(found['texts'][row], 90)}<br>row {found['rows'][row]}" for row in at]
        chart.add_scattergl(
            x=x[at], y=y[at], mode="markers", name=words(name, 24), text=shown, hovertemplate="%{text}<extra></extra>",
            customdata=[found["rows"][row] for row in at],
            marker={"size": 7, "color": theme.GREY if name == "others" else theme.SERIES[place % MOST], "opacity": 0.8,
                    "symbol": SHAPES[place % len(SHAPES)]},
        )  # fmt: skip
    chart.update_xaxes(visible=False)
    chart.update_yaxes(visible=False, scaleanchor="x")
    return theme.with_legend(chart).update_layout(margin={"t": 88})  # the legend may take two lines
