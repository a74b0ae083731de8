"""One text's way through a trained graph, told in pictures and numbers. Knows nothing of how it was computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from fgdesign.errors import FgdesignError
from fgdesign.graph.spec import Graph
from fgdesign.insight.intervene import Change
from fgdesign.runs.folder import RunFolder
from fgdesign.ui import canvas, models, parts, route_change, route_near, route_set_store, route_why, shell
from fgdesign.ui.route_ask import STEP
from fgdesign.ui.words import label
from fgdesign.views import figures
from fgdesign.views.canvas import canvas_data
from fgdesign.views.canvas_overlay import with_replay
from fgdesign.views.numbers import percent, plain

HEIGHT = 460  # pixels of the lit graph
PROBED = "routes_probed"  # session key: whether values are probed for classes
LEGEND = "Called: full colour. Skipped: pale, a slashed dot. Not reached: dotted. Idle: hollow."


def route(run: RunFolder, graph: Graph, trace: Mapping[str, Any], asked: Mapping[str, Any], change: Change) -> None:
    """The graph lit by a text."""
    key = f"routes_canvas_{run.name}"
    lit(graph, trace, key, _probed(run, asked, change))
    canvas.bring_library(key)
    st.caption(f"{LEGEND} The bar under the graph steps through the calls in order.")


def reasons(run: RunFolder, left: DeltaGenerator, right: DeltaGenerator, trace: Mapping[str, Any],
            asked: Mapping[str, Any], change: Change) -> None:
    """What moved a route and what a change does, under the lit graph; beside it the answer; every node below."""
    with left:
        st.markdown("**Does it matter**")
        route_change.ask(run)
        route_change.difference(run, asked, change)
    with right:
        answer(trace, "Answer" if change.is_none else "Answer under the change", "route_classes")
        if change.is_none:
            route_why.routers(run, asked, trace)
        else:
            st.caption("The route under the change is shown; reset it to see why the graph went its own way.")
    nodes(run, trace, _probed(run, asked, change))
    with left:  # last, because it takes longest
        route_why.words(run, asked, trace)
        if change.is_none:
            route_why.functions(run, asked, trace)
    route_near.show(run, asked, trace)


def _probed(run: RunFolder, asked: Mapping[str, Any], change: Change) -> pd.DataFrame | None:
    if not st.session_state.get(PROBED):
        return None
    return models.values_of(run, asked, change, route_set_store.probes_of(run))


@parts.fragment
def lit(graph: Graph, trace: Mapping[str, Any], key: str, probed: pd.DataFrame | None = None) -> None:
    """The graph lit by one text, with the bar that steps through its calls; the step stands in the address."""
    step = st.query_params.get(STEP, "")
    nearest = None if probed is None else dict(zip(probed["node"], probed["nearest"], strict=True))
    data = with_replay(canvas_data(graph, trace=trace, classes=len(trace["probabilities"])), trace,
                       step=int(step) if step.isdecimal() else 0, nearest=nearest)
    last = len(data["replay"]["order"])

    def stepped(call: int) -> None:
        if call < last:
            st.query_params[STEP] = str(call)
        else:
            st.query_params.pop(STEP, None)

    canvas.draw(data, key=key, height=HEIGHT, on_step=stepped)


def answer(trace: Mapping[str, Any], title: str, key: str) -> None:
    """What was answered, how sure, and at what price."""
    value = trace["prediction"]
    st.caption(title)
    st.header(label(value) if isinstance(value, str) else plain(value), anchor=False)
    called = sum(node["state"] == "called" for node in trace["nodes"])
    sure = "" if trace["confidence"] is None else f"{percent(trace['confidence'])} sure · "
    noun = "encoder layer" if trace["layers"] == 1 else "encoder layers"
    st.text(f"{sure}{trace['layers']} {noun} · {called} of {len(trace['nodes'])} functions called")
    if trace["probabilities"]:
        parts.chart(figures.class_bars(trace["probabilities"], dark=parts.is_dark()), key, tools=False)


def nodes(run: RunFolder, trace: Mapping[str, Any], probed: pd.DataFrame | None) -> None:
    """Every node: state, gate, milliseconds, share of compute, and the value it gave."""
    frame = pd.DataFrame([{"node": n["id"], "type": n["type"], "state": n["state"], "gate": n["gate"], "ms": n["ms"],
                           "share of compute": n["share"], "length": n["norm"], "change against input": n["change"]}
                          for n in trace["nodes"]])
    if probed is not None:
        names = {"nearest": "nearest class", "probe": "how often the probe is right"}
        frame = frame.merge(probed[["node", *names]], on="node", how="left").rename(columns=names)
    with st.expander(f"All {len(frame)} nodes and their values", icon=":material/table_rows:"):
        parts.table(frame, "nodes")
        try:
            classes = models.trained(run).task == "single"
        except FgdesignError as error:
            shell.show_error(error)
            return
        if classes:
            st.toggle("Name the class that each value is nearest to", key=PROBED,
                      help="A probe for each node: the nearest class mean, fitted on half of up to 400 training rows "
                           "and tried on the other half.")
        st.caption("Length: of the node's vectors, the mean over tokens. Change: length of output less input, over "
                   "that of the input, where both are of one width.")
