"""Evaluate: how good a run is, where it errs, and what its routers and exits do."""

import streamlit as st

from fgdesign.ui import parts, report_view, state

st.title("Evaluate", anchor=False)
run = state.current_run()
if run is None:
    parts.next_step("No run yet. Train this graph, then its numbers are here.", "train", "Train this graph")
    st.stop()
report = run.report()
if report is None:
    parts.next_step(f"Run {run.name} has no report yet: it is {run.status()['state']}.", "train", "See how it goes")
    st.stop()
if st.query_params.get("run") != run.name:
    st.query_params["run"] = run.name
names = report_view.parts_of(report)
part = st.segmented_control(
    "Rows", names, default=names[0], required=True, key="part", format_func=report_view.PARTS.__getitem__
)
metrics = report[part]
report_view.verdict(report, metrics, part)
report_view.numbers(metrics)
report_view.pictures(metrics, report)
if part != "train":
    report_view.routing(report)
report_view.details(run, report)
parts.show_command(
    "evaluate", run.path, "DATA.csv", "--json", note="Measure this run on another file from the command line"
)
