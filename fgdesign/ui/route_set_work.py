"""Work of some seconds on a page: begins by itself where it is short, shows how far it is, and can be stopped.

Stopping is a rerun: Streamlit ends the running script where it next reports progress. Knows nothing of the work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from fgdesign.ui.words import duration

Result = TypeVar("Result")
Progress = Callable[[int, int], None]

EVERY = 0.25  # seconds between two reports
STOPPED = "stopped_work"  # session key: keys of work that was stopped, and is not begun by itself again
ASKED = "asked_work"  # session key: keys of work that was asked for


def done(key: str, title: str, work: Callable[[Progress], Result], *, by_itself: bool = True,
         ask: str = "") -> Result | None:
    """The result of some work, or None while it waits for a press of its button.

    Args: key: names the work in this session. title: what is done, shown with the progress. by_itself: begin without
    a press, save after a stop. ask: what the button says.
    """
    stopped: set[str] = st.session_state.setdefault(STOPPED, set())
    asked: set[str] = st.session_state.setdefault(ASKED, set())

    def begin() -> None:
        asked.add(key)
        stopped.discard(key)

    def stop() -> None:
        stopped.add(key)
        asked.discard(key)

    place = st.empty()
    if key in stopped or (not by_itself and key not in asked):
        with place.container(horizontal=True, vertical_alignment="center"):
            st.button(ask or title, key=f"begin_{key}", on_click=begin, icon=":material/play_arrow:")
            if key in stopped:
                st.caption("Stopped.")
        return None
    with place.container(horizontal=True, vertical_alignment="center"):
        bar = st.progress(0.0, text=title)
        st.button("Stop", key=f"stop_{key}", on_click=stop, icon=":material/stop:")
    result = work(_reporter(bar, title))
    asked.discard(key)
    place.empty()
    return result


def _reporter(bar: st.delta_generator.DeltaGenerator, title: str) -> Progress:
    started = last = time.monotonic()

    def report(part: int, whole: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < EVERY and part < whole:
            return
        last = now
        left = (now - started) * (whole - part) / max(1, part)
        text = f"{title}: {part:,} of {whole:,}" if whole > 1 else title
        text += (f", about {duration(left)} left" if part and now - started > 1 else "")
        bar.progress(min(1.0, part / max(1, whole)), text=text)

    return report
