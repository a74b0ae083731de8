"""Some rows of an answered set as a table; a row that is selected opens as one text with its route.

Knows nothing of why these rows were picked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from fgdesign.runs.folder import RunFolder
from fgdesign.ui import parts
from fgdesign.ui.words import label
from fgdesign.views.numbers import plain

if TYPE_CHECKING:  # it brings torch, and the page is opened without a model too
    from fgdesign.insight.answered_set import AnsweredSet

MOST_SHOWN = 500
ROW, PART = "row", "part"  # query parameters: the place of a row in a part of the run's data
HIDDEN = ("loss",)
VIEW, ONE = "routes_view", "One text"  # session key of what the page shows, and its value for one text


def show(run: RunFolder, part: str, answered: AnsweredSet, rows: NDArray[np.int64], title: str, key: str) -> None:
    """The rows at these places, wrong and unsure ones first."""
    frame = answered.at(rows).frame().drop(columns=list(HIDDEN), errors="ignore").assign(_place=rows)
    order = [name for name in ("right", "confidence") if name in frame]
    frame = frame.sort_values(order, ignore_index=True) if order else frame
    some = frame.head(MOST_SHOWN)
    noun = "row" if len(frame) == 1 else "rows"
    st.markdown(f"**{label(title, 120)}**  ·  {plain(len(frame))} {noun}")

    def open_row() -> None:
        chosen = st.session_state[key]["selection"]["rows"]
        if chosen:
            open_text(run, part, int(some["_place"].iloc[chosen[0]]))

    st.dataframe(some.drop(columns="_place"), hide_index=True, key=key, on_select=open_row,
                 selection_mode="single-row", height=min(420, 38 + 35 * max(1, len(some))), column_config={
                     "text": st.column_config.TextColumn(width="large"),
                     "confidence": st.column_config.NumberColumn(format="%.3f")})
    with st.container(horizontal=True, vertical_alignment="center"):
        parts.download(frame.drop(columns="_place"), f"rows_{part}", key=f"{key}_csv")
        more = "" if len(frame) <= MOST_SHOWN else f" The first {MOST_SHOWN} are shown; the download has all."
        st.caption(f"Select a row to see its route.{more}")


def open_text(run: RunFolder, part: str, place: int) -> None:
    """Point the address at one row of a part, so that the page shows its route."""
    st.query_params.from_dict({"run": run.name, PART: part, ROW: str(place)})
    st.session_state[VIEW] = ONE
