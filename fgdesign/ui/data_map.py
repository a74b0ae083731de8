"""The map of the texts on the Data page: made on a press in a process of its own, kept, and clicked for its rows.

Knows nothing of encoders.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from fgdesign.data import apart
from fgdesign.data.apart import Progress
from fgdesign.data.profile import Told
from fgdesign.data.recipe import recipe_json
from fgdesign.ui import data_intake, data_profile, library, parts, state
from fgdesign.views.map_figure import text_map
from fgdesign.views.numbers import plain

CHART = "text_map"
SECONDS = 600.0  # that making a map may take


def show(file: library.DataFile) -> None:
    """The map, the rows that are clicked, and close texts of different labels."""
    found = _found(file)
    if found is None:
        st.caption("Texts are read by the graph's own encoder; texts that say the same lie close together.")
        return
    parts.chart(text_map(found, dark=parts.is_dark()), CHART, clicks=True)
    st.caption(f"{plain(len(found['rows']))} rows, spread evenly over the data. Click a point to see its row.")
    selected = st.session_state.get(CHART)
    points = selected["selection"]["points"] if selected else []
    rows = [int(point["customdata"]) for point in points if point.get("customdata") is not None]
    if rows:
        table = data_profile.table_read(file)
        at = np.flatnonzero(np.isin(table.row_numbers, rows))
        parts.table(data_profile.rows_at(table, at), "map_rows", height=200)
    pairs = found["pairs"]
    st.markdown("**Close texts with different labels**" if pairs else "**No close texts with different labels**")
    if pairs:
        names = ["cosine", "row", "label", "text", "other row", "other label", "other text"]
        parts.table(pd.DataFrame(pairs, columns=names), "close_pairs", height=280)


def _found(file: library.DataFile) -> Told | None:
    """The map where it is kept; otherwise made on a press. Raises DataError."""
    graph, reading = state.current_graph(), state.reading()
    asked: dict[str, Any] = {
        "columns": {name: reading[name] for name in ("text", "text_b", "label")}, "task": reading["task"],
        "recipe": recipe_json(data_profile.recipe_for(file)), "backbone": graph.backbone,
    }  # fmt: skip
    kept = data_profile.kept_at(file, {"map": 1, **asked})
    if not kept.is_file():
        def work(progress: Progress) -> bool:
            found = apart.run("fgdesign.insight.text_map:text_map", {"path": str(file.path), **asked}, name=file.name,
                              seconds=SECONDS, memory=None, progress=progress)  # fmt: skip
            data_profile.write(kept, found)
            return True

        if not data_intake.result(f"map_{kept.stem}", "Reading the texts", work, ask="Draw the map", by_itself=False):
            return None
    kept_map: Told = data_profile.read(str(kept))
    return kept_map
