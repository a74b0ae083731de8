"""Train: the run that is looked at, live; the settings of the next; all runs."""

import streamlit as st

from fgdesign.ui import canvas, live, parts, queue, runs_desk, search_form, search_view, settings_form, state
from fgdesign.ui.words import label

run = state.current_run()
glance = live.is_first_look(run)  # numbers first, all else once they are on the screen
st.title("Train", anchor=False)
cloned = st.session_state.get(state.CLONED)
with st.expander("New run", icon=":material/add:", expanded=run is None or cloned is not None):
    if cloned is not None:
        st.caption(f"As {label(cloned)} was trained; change one thing.")
    if not glance:
        settings_form.show()
with st.expander("Search for a better one", icon=":material/search:"):
    if not glance:
        search_form.show()
if run is not None:
    if st.query_params.get("run") != run.name:
        st.query_params["run"] = run.name
    st.subheader(label(run.name), anchor=False)
    live.show_run(run, glance=glance)
    if glance:
        live.show_the_rest_soon()
        st.stop()  # it begins again, whole
    canvas.bring_library(live.canvas_key(run))
queue.show()
search_view.show()
st.subheader("Runs", anchor=False)
runs_desk.show()
if run is not None and run.status()["state"] != "succeeded":
    parts.show_command("resume", run.path, note="Go on with this run from the command line")
