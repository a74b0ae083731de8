"""Home: what this is, one button to try it, samples, recent runs."""

import streamlit as st

from fgdesign.graph import STARTERS
from fgdesign.runs.folder import list_runs, workspace
from fgdesign.ui import canvas, library, parts, runs_table, start, state
from fgdesign.ui.words import label
from fgdesign.views.canvas import canvas_data

st.title("Draw a graph of functions. See which ones each text calls.", anchor=False)
left, right = st.columns([2, 3], gap="large", vertical_alignment="center")
graph = state.current_graph()
with left:
    st.text(
        "Take layers of a pretrained BERT, add functions, routers and early exits, train on your own table, "
        "and follow every text along the path it took."
    )
    if st.button("Try it", type="primary", icon=":material/arrow_forward:", key="try_it"):
        st.switch_page("pages/design.py")
    st.text(f"Opens {graph.name}, ready to train on {(state.current_data() or library.samples()[0]).title}.")
with right:
    canvas.show(canvas_data(graph), key="home_canvas", height=400)

for run in start.running():
    st.page_link(
        "pages/train.py",
        label=f"Running now: {label(run.name)}",
        icon=":material/play_circle:",
        query_params={"run": run.name},
    )

st.subheader("Samples", anchor=False)
for column, file in zip(st.columns(3), library.samples(), strict=False):
    with column, st.container(border=True, key=f"card_{file.id}"):
        found = library.dataset(file)
        st.markdown(f"**{label(file.title.capitalize())}**")
        st.caption(f"{len(found):,} rows, {len(found.labels)} labels")
        if st.button("Use it", key=f"use_{file.id}", icon=":material/table:"):
            state.set_data(file.id)
            st.switch_page("pages/data.py")

st.subheader("Recent runs", anchor=False)
recent = list_runs(workspace())[:6]
runs_table.show(recent, key="home_runs")
if not recent:
    st.page_link("pages/train.py", label="Train this graph", icon=":material/model_training:")
st.caption(f"{len(STARTERS)} starter graphs wait in Design.")
parts.show_command("app", "--workspace", workspace(), note="Open this workspace from the command line")
