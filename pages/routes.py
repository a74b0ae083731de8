"""Routes: which functions a text called, why, and whether it mattered; and the same over a whole data set."""

import streamlit as st

from fgdesign.ui import parts, state

ONE, ALL = "One text", "Data set"

st.title("Routes", anchor=False)
run = state.current_run()
if run is None:
    parts.next_step(
        "No run yet. Train this graph, then every text shows the way it took.", "train", "Train this graph"
    )
    st.stop()
if not (run.model / "config.json").is_file():
    parts.next_step(f"Run {run.name} has no model yet: it is {run.status()['state']}.", "train", "See how it goes")
    st.stop()
if st.query_params.get("run") != run.name:
    st.query_params["run"] = run.name

view = st.segmented_control(
    "View", [ONE, ALL], default=ALL if "look" in st.query_params and "row" not in st.query_params else ONE,
    required=True, key="routes_view", label_visibility="collapsed",
)
if view == ONE:  # what brings torch is imported where a model is looked at
    from fgdesign.ui import route_one

    st.query_params.pop("look", None)
    route_one.show(run)
else:
    from fgdesign.ui import route_set

    route_set.show(run)
