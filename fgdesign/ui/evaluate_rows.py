"""Some rows of an answered set as a table; a row that is selected opens as one text on the Routes page.

Knows nothing of why these rows were picked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from fgdesign.insight.answered_set import AnsweredSet
from fgdesign.runs.folder import RunFolder
from fgdesign.ui import parts
from fgdesign.ui.evaluate_store import Source
from fgdesign.ui.words import label
from fgdesign.views.numbers import plain

MOST_SHOWN = 500
FIRST = ("text", "text_b", "label", "prediction", "confidence")
LONGEST_LINK = 1500  # characters of a text that still fit into an address


def show(run: RunFolder, source: Source, answered: AnsweredSet, rows: NDArray[Any], title: str, key: str,
         extra: pd.DataFrame | None = None) -> None:
    """The rows at these places in their order. extra: columns put behind the answer, one line a row."""
    frame = answered.at(rows).frame()
    if extra is not None:
        frame = pd.concat([frame, extra.reset_index(drop=True)], axis=1)
    order = [name for name in FIRST if name in frame]
    behind = [] if extra is None else [str(name) for name in extra.columns]
    frame = frame[[*order, *behind, *(name for name in frame.columns if name not in (*order, *behind, "right"))]]
    st.markdown(f"**{label(title, 120)}**  ·  {plain(len(frame))} {'row' if len(frame) == 1 else 'rows'}")
    if not len(frame):
        return
    some = frame.head(MOST_SHOWN)
    event: Any = st.dataframe(
        some, hide_index=True, key=key, on_select="rerun", selection_mode="single-row",
        height=min(390, 38 + 35 * len(some)),
        column_config={"text": st.column_config.TextColumn(width="large"),
                       **{name: st.column_config.NumberColumn(format="%.3f")
                          for name in ("confidence", "loss") if name in some}})
    with st.container(horizontal=True, vertical_alignment="center"):
        parts.download(frame, f"rows_{source.name}", key=f"{key}_csv")
        more = "" if len(frame) <= MOST_SHOWN else f" The first {MOST_SHOWN} are shown; the download has all."
        st.caption(f"Select a row to see its route.{more}")
    chosen = event["selection"]["rows"]
    if chosen and chosen[0] < len(some):
        _open(run, source, answered, int(np.asarray(rows)[chosen[0]]))


def _open(run: RunFolder, source: Source, answered: AnsweredSet, place: int) -> None:
    where = {"part": source.part, "row": str(place)} if source.part else \
        {"text": answered.data.texts[place][:LONGEST_LINK]}
    st.switch_page("pages/routes.py", query_params={"run": run.name, **where})
