"""Train: the run that is looked at, live; the settings of the next; all runs."""

import streamlit as st

from fgdesign.runs.folder import list_runs, workspace
from fgdesign.ui import canvas, live, parts, queue, runs_table, settings_form, state
from fgdesign.ui.words import label

run = state.current_run()
st.title("Train", anchor=False)
with st.expander("New run", icon=":material/add:", expanded=run is None):
    settings_form.show()
if run is not None:
    if st.query_params.get("run") != run.name:
        st.query_params["run"] = run.name
    st.subheader(label(run.name), anchor=False)
    live.show_run(run)
    canvas.bring_library(live.canvas_key(run))
queue.show()
st.subheader("Runs", anchor=False)
runs_table.show(list_runs(workspace()))
if run is not None:
    parts.show_command("resume", run.path, note="Go on with this run from the command line")
