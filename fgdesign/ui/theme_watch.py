"""Draws a page anew when it turns dark or light without being loaded again. Knows nothing of what is on it."""

from __future__ import annotations

from importlib.resources import files

import streamlit as st

_watcher = st.components.v2.component(
    "fg_theme",
    html="<div class='fg-theme'></div>\n",
    js=files("fgdesign.ui").joinpath("theme_watch.js").read_text("utf-8"),
)


def watch() -> None:
    """Put what watches on the page; best behind all else, for it shows nothing."""
    _watcher(key="theme_watch", height=1, on_turned_change=_nothing)


def _nothing() -> None:
    """The rerun alone is enough."""
