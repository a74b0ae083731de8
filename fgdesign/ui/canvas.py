"""The canvas as a Streamlit component: draws what `views.canvas` describes, hands back edits or a selection.

Two components: a constant one brings vis-network and the drawing code once, a small one carries the data.
Knows nothing of what an edit means; `ui.design_session` applies it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import streamlit as st

from fgdesign.views.canvas import palette, slim, vis_network
from fgdesign.views.canvas_feed import Feed

PARTS = ("route", "paint", "edits", "chrome", "map", "replay", "pointer", "keys", "view")
READY = "dispatchEvent(new Event('fg-canvas'));\nexport default function () {}\n"


def canvas_code() -> str:
    """The drawing code, which needs vis-network and leaves `fgCanvas` = {Canvas, endPoint, css}."""
    here = files("fgdesign.ui")
    parts = [here.joinpath(f"canvas_{part}.js").read_text("utf-8") for part in PARTS]
    catalogue = json.dumps(palette()).replace("<", "\\u003c")
    exports = f"globalThis.fgCanvas = {{ Canvas, endPoint, css: {json.dumps(styles())} }};"
    return "\n".join([f"const CATALOGUE = {catalogue};", *parts, exports])


def library() -> str:
    """vis-network and the drawing code in one script, for pages of any kind."""
    return f"{vis_network()}\nif (!globalThis.fgCanvas) {{\n{canvas_code()}\n}}\n"


def styles() -> str:
    """The canvas's style sheet."""
    return files("fgdesign.ui").joinpath("canvas.css").read_text("utf-8")


_loader = st.components.v2.component("fg_canvas_library", js=library() + READY)
_editor = st.components.v2.component(
    "fg_canvas",
    html="<div class='fg-host'></div>\n",
    js=files("fgdesign.ui").joinpath("canvas.js").read_text("utf-8"),
)


def show(data: dict[str, Any], *, key: str, height: int | str = 560) -> list[str]:
    """Draw a graph as a picture in which nodes can be selected. Returns: the ids of those that are.

    Args: as those of `draw`.
    """
    selected = draw(data, key=key, height=height)
    bring_library(key)
    return selected


def bring_library(key: str) -> None:
    """The drawing code, once on a page for each canvas and behind it; constant, so best left out of fragments."""
    _loader(key=f"{key}_library", height=1)


def draw(
    data: dict[str, Any],
    *,
    key: str,
    height: int | str = 560,
    editable: bool = False,
    on_ops: Callable[[dict[str, Any]], None] | None = None,
    feed: Feed | None = None,
    on_step: Callable[[int], None] | None = None,
) -> list[str]:
    """Draw a graph; `bring_library` has to follow somewhere on the page.

    Args:
        data: from `views.canvas.canvas_data`; for an editor also what `DesignSession.picture` adds.
        key: names the canvas; it keeps zoom and place as long as the key stays.
        height: pixels, or "window" to reach down to the window's end.
        editable: with palette, tools and edits, else a picture in which nodes can be selected.
        on_ops: called with each batch of edits, {"sid": text, "ops": [...], "have": version}, before the script
            runs again.
        feed: sends what changed since the version that the browser has; without it all is sent.
        on_step: called with the call, from 1, that a person stepped to in a replay.
    Returns: the ids selected in a canvas that is not editable.
    """

    def received() -> None:
        batch = st.session_state[key].get("ops")
        if on_ops is not None and batch:
            on_ops(batch)

    def stepped() -> None:
        if on_step is not None:
            on_step(int(st.session_state[key].get("step") or 0))

    result = _editor(
        key=key,
        data={**(feed.send(data) if feed else slim(data)), "height": height, "editable": editable},
        default={"selected": [], "step": 0},
        on_ops_change=received,
        on_selected_change=_nothing,
        on_step_change=stepped,
    )
    return list(result.selected or [])


def _nothing() -> None:
    """A state value needs a callback to be known to Streamlit; the rerun alone is enough."""
