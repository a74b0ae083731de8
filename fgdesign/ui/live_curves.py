"""Curves of a run at work, drawn lightly: a browser on the run's own machine takes little of its time.

A chart that has changed is drawn anew, the others stay; one that is pointed at tells its values and the others show the
same time. Knows nothing of what a curve shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import streamlit as st

from fgdesign.views.curves import Curve

_curves = st.components.v2.component(
    "fg_curves",
    html="<div class='fg-curves'></div>\n",
    js=files("fgdesign.ui").joinpath("live_curves.js").read_text("utf-8"),
    css=files("fgdesign.ui").joinpath("live_curves.css").read_text("utf-8"),
)


def show(curves: Mapping[str, Curve], *, key: str) -> None:
    """Draw curves by their names, the first over the whole width, two of the others beside each other."""
    told = [{"key": name, "wide": not place, **_told(curve)} for place, (name, curve) in enumerate(curves.items())]
    _curves(key=key, data={"curves": told})


def _told(curve: Curve) -> dict[str, Any]:
    lines, best = [vars(line) for line in curve.lines], curve.best and vars(curve.best)
    return {**vars(curve), "lines": lines, "best": best}
