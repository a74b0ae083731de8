"""Routes: which functions a text called, why, and whether it mattered; and the same over a whole data set."""

import streamlit as st

from fgdesign.runs.folder import RunFolder
from fgdesign.ui import parts, state
from fgdesign.ui.route_set_rows import ONE, VIEW

TWO, ALL = "Two texts", "Data set"
TEXT = ("text", "second", "packed", "cell", "row", "step")
OTHERS = {ONE: ("look", "by", "pick", "other"), TWO: ("look", "by", "pick", "step"), ALL: ("other", *TEXT)}


def show(run: RunFolder) -> None:
    """The view that is chosen, or that a link names."""
    if st.query_params.get("run") != run.name:
        st.query_params["run"] = run.name
    named = TWO if "other" in st.query_params else ALL if "look" in st.query_params else ONE
    view = st.segmented_control("View", [ONE, TWO, ALL], default=named, required=True, key=VIEW,
                                label_visibility="collapsed")
    for name in OTHERS[view or ONE]:  # a link shows one view
        st.query_params.pop(name, None)
    if view == TWO:  # what brings torch is imported where a model is looked at
        from fgdesign.ui import route_pair

        route_pair.show(run)
    elif view == ALL:
        from fgdesign.ui import route_set

        route_set.show(run)
    else:
        from fgdesign.ui import route_one

        route_one.show(run)


st.title("Routes", anchor=False)
run = state.current_run()
if run is None:
    parts.next_step(
        "No run yet. Train this graph, then every text shows the way it took.", "train", "Train this graph"
    )
elif not (run.model / "config.json").is_file():
    parts.next_step(f"Run {run.name} has no model yet: it is {run.status()['state']}.", "train", "See how it goes")
else:
    show(run)
