"""Evaluate: how good a run is, where it errs, what it costs, and which of two runs is better."""

import streamlit as st

from fgdesign.ui import evaluate_page, parts, report_view, state

st.title("Evaluate", anchor=False)
run = state.current_run()
if run is None:
    parts.next_step("No run yet. Train this graph, then its numbers are here.", "train", "Train this graph")
elif (report := run.report()) is None:
    parts.next_step(f"Run {run.name} has no report yet: it is {run.status()['state']}.", "train", "See how it goes")
else:
    if st.query_params.get("run") != run.name:
        st.query_params["run"] = run.name
    if not evaluate_page.show(run):
        report_view.show(run, report)
