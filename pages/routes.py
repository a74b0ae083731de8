"""Routes: type or pick a text and see which functions it called, with gates, reasons and the answer."""

import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.ui import models, parts, route_view, shell, state

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
asked = route_view.ask(run)
if not asked["text"].strip():
    st.text("Type a text, or pick one, to see its route.")
    st.stop()
try:
    model = models.trained(run)
    trace = model.trace(**asked)
except FgdesignError as error:
    shell.show_error(error)
    st.stop()
route_view.show(model.graph, trace, run.name)
parts.show_command("trace", run.path, "--text", asked["text"])
