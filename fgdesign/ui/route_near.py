"""Training rows that took the same route as the text looked at and lie nearest to it.

Knows nothing of how nearness is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.runs.folder import RunFolder
from fgdesign.ui import models, parts, route_set_rows, route_set_store, route_set_work, shell
from fgdesign.ui.words import label
from fgdesign.views.numbers import plain

ASKED = "routes_near"
PART = "train"
ROWS = "routes_near_rows"


def show(run: RunFolder, asked: Mapping[str, Any], trace: Mapping[str, Any]) -> None:
    """The rows, once they are asked for."""
    if not st.toggle("Training rows that took the same route and lie nearest", key=ASKED):
        return
    try:
        if PART not in route_set_store.parts_of(run):
            st.text("This run has no training rows at hand.")
            return
        known = route_set_store.kept(run, PART) or route_set_work.done(
            f"answer_{run.name}_{PART}", "Answering the training rows",
            lambda progress: route_set_store.answer(run, PART, progress))
        if known is None:
            return
        from fgdesign.insight.alike import same_route

        model = models.trained(run)
        called = [node["id"] for node in trace["nodes"] if node["state"] in ("called", "idle")]
        table, what = same_route(model, known, called, model.one(**asked))
    except FgdesignError as error:
        shell.show_error(error)
        return
    if table.empty:
        st.text("No training row took this route: the answer rests on no row that went the same way.")
        return
    frame = known.at(table["place"].to_numpy()).frame()
    frame.insert(0, "likeness", table["likeness"].to_numpy())
    answers = frame["label"].value_counts() if "label" in frame else None
    if answers is not None:
        st.text(f"{plain(int(answers.iloc[0]))} of the {len(frame)} nearest are {label(str(answers.index[0]))}. "
                f"Compared: {what}.")

    def open_row() -> None:
        chosen = st.session_state[ROWS]["selection"]["rows"]
        if chosen:
            route_set_rows.open_text(run, PART, int(table["place"].iloc[chosen[0]]))

    st.dataframe(frame, hide_index=True, key=ROWS, on_select=open_row, selection_mode="single-row", column_config={
        "text": st.column_config.TextColumn(width="large"),
        **{name: st.column_config.NumberColumn(format="%.3f") for name in ("likeness", "confidence", "loss")}})
    with st.container(horizontal=True, vertical_alignment="center"):
        parts.download(frame, "nearest", key="nearest_csv")
        st.caption("Select a row to see its route.")
