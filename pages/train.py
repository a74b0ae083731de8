"""Train: the run that is looked at, live; the settings of the next; all runs."""

import streamlit as st

from fgdesign.ui import canvas, clone, live, parts, queue, runs_desk, search_form, search_view, settings_form, state
from fgdesign.ui.words import label

run = state.current_run()
glance = live.is_first_look(run)  # numbers first, all else once they are on the screen
st.title("Train", anchor=False)
with st.expander("New run", icon=":material/add:", expanded=run is None or state.CLONED in st.session_state):
    clone.show()
    if not glance:
        settings_form.show()
with st.expander("Search for a better one", icon=":material/search:"):
    if not glance:
        search_form.show()
if run is not None:
    if st.query_params.get("run") != run.name:
        st.query_params["run"] = run.name
    st.subheader(label(run.name), anchor=False)
    if run.is_hidden:
        runs_desk.show_deleted(run)
    else:
        live.show_run(run, glance=glance)
    if glance:
        live.show_the_rest_soon()
        st.stop()  # it begins again, whole
    canvas.bring_library(live.canvas_key(run))
queue.show()
search_view.show()
st.subheader("Runs", anchor=False)
runs_desk.show()
if run is not None and not run.is_hidden and run.status()["state"] in ("paused", "failed", "stopped", "cancelled"):
    parts.show_command("resume", run.path, note="Go on with this run from the command line")
