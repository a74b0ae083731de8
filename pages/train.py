"""Train: the run that is looked at, live; the settings of the next; all runs."""

import streamlit as st

from fgdesign.ui import canvas, live, next_run, parts, queue, runs_desk, search_view, state
from fgdesign.ui.words import label

run = state.current_run()
drawn = live.piece(run)  # numbers first, all else once they are on the screen
st.title("Train", anchor=False)
next_run.show()
if run is not None:
    if st.query_params.get("run") != run.name:
        st.query_params["run"] = run.name
    st.subheader(label(run.name), anchor=False)
    if run.is_hidden:
        runs_desk.show_deleted(run)
    else:
        live.show_run(run, drawn)
if run is None or live.is_whole(drawn):  # else it begins again, with more
    if run is not None:
        canvas.bring_library(live.canvas_key(run))
    queue.show()
    search_view.show()
    st.subheader("Runs", anchor=False)
    runs_desk.show()
    if run is not None and not run.is_hidden and run.status()["state"] in ("paused", "failed", "stopped", "cancelled"):
        parts.show_command("resume", run.path, note="Go on with this run from the command line")
