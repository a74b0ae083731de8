"""Which functions rows call, which rows went alike, and a search over all rows.

Knows nothing of how any of it is counted.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import streamlit as st

from fgdesign.insight.alike import route_clusters, usage
from fgdesign.insight.answered_set import AnsweredSet
from fgdesign.runs.folder import RunFolder
from fgdesign.ui import canvas, parts, route_set_rows
from fgdesign.ui.words import one_line
from fgdesign.views import route_figures
from fgdesign.views.canvas import canvas_data
from fgdesign.views.canvas_overlay import with_usage
from fgdesign.views.numbers import percent, plain

CLUSTERS = "routes_clusters"
ANY = "any"
ADDRESS: Literal["query-params"] = "query-params"  # a filter stands in the address, so that a link shows the same rows


def used(run: RunFolder, part: str, answered: AnsweredSet) -> None:
    """The graph with the share of rows on every function and on every way out of a router; a card opens its rows."""
    table = usage(answered)
    graph = run.graph()
    picture = with_usage(canvas_data(graph, classes=len(answered.labels)), dict(zip(table["node"], table["share"],
                                                                                   strict=True)), _ways(answered))
    chosen = canvas.show(picture, key=f"routes_usage_{run.name}", height=470)
    node = next((name for name in chosen if name in answered.nodes), None)
    if node is None:
        least = table[table["share"] < 1].sort_values("share").head(1)
        said = "" if least.empty else f" Called least: {least['node'].iloc[0]}, by {percent(least['share'].iloc[0])}."
        st.caption(f"Share of {plain(len(answered))} rows that call each function.{said} Click a function to see its "
                   "rows.")
    else:
        rows = np.flatnonzero(answered.called[:, answered.nodes.index(node)])
        route_set_rows.show(run, part, answered, rows, f"Rows that call {node}", "routes_usage_rows")
    with st.expander("The numbers", icon=":material/table_rows:"):
        parts.table(table, "usage")


def _ways(answered: AnsweredSet) -> dict[str, float]:
    """Per output port of a router or exit the share of all rows that took it."""
    found = {f"{router}.{name}": float(called[:, place].mean()) for router, called in answered.answers.called.items()
             for place, name in enumerate(answered.answers.branches[router])}
    for place, name in enumerate(answered.answers.exit_names):
        left = answered.answers.exits == place
        reached = answered.called[:, answered.nodes.index(name)]
        found |= {f"{name}.answer": float(left.mean()), f"{name}.next": float((reached & ~left).mean())}
    return found


def alike(run: RunFolder, part: str, answered: AnsweredSet) -> None:
    """Clusters of routes as bars; a clicked one shows its rows."""
    table, group = route_clusters(answered)
    noun = "cluster" if len(table) == 1 else "clusters"
    st.markdown(f"**{plain(int(table['routes'].sum()))} different routes fall into {plain(len(table))} {noun}.**")
    parts.chart(route_figures.cluster_bars(table, dark=parts.is_dark()), CLUSTERS, tools=False, clicks=True)
    picked = parts.picked(CLUSTERS)
    if isinstance(picked, int) and 0 < picked <= len(table):
        route_set_rows.show(run, part, answered, np.flatnonzero(group == picked), f"Cluster {picked}",
                            "routes_cluster_rows")
    else:
        st.caption("Routes are alike where they call nearly the same functions (Jaccard, average linkage); what every "
                   "row calls does not count. Click a bar to see its rows.")
    with st.expander("The numbers", icon=":material/table_rows:"):
        parts.table(table, "clusters")


def search(run: RunFolder, part: str, answered: AnsweredSet) -> None:
    """Rows by words, class, answer, error, route, certainty and length; a selected one opens with its route."""
    words = st.text_input("Words in the text", key="find", placeholder="any words", bind=ADDRESS)
    choices = {"label": "Class", "prediction": "Answer", "right": "Right or wrong", "route": "Route"}
    frame = answered.frame()
    equals: dict[str, Any] = {}
    for place, (name, title) in zip(st.columns(4), ((n, t) for n, t in choices.items() if n in frame), strict=False):
        values = sorted(frame[name].unique().tolist(), key=str)
        if frame[name].dtype.kind == "f" or len(values) > 200:
            continue
        told = [ANY, *(_said(name, value) for value in values)]
        chosen = place.selectbox(title, range(len(told)), key=f"find_{part}_{name}",
                                 format_func=told.__getitem__, bind=ADDRESS)
        if chosen:
            equals[name] = values[chosen - 1]
    within = {}
    for place, (name, title) in zip(st.columns(3), (("confidence", "Confidence"), ("length", "Tokens"),
                                                    ("layers", "Encoder layers")), strict=True):
        if name in frame and frame[name].min() < frame[name].max():
            low, high = float(frame[name].min()), float(frame[name].max())
            low, high = (np.floor(low * 100) / 100, np.ceil(high * 100) / 100) if name == "confidence" else (low, high)
            step = 0.01 if name == "confidence" else 1.0
            picked = place.slider(title, low, high, (low, high), step, key=f"find_{part}_{name}", bind=ADDRESS,
                                  format="%.2f" if name == "confidence" else "%d")
            if picked != (low, high):
                within[name] = picked
    rows = answered.where(words.strip(), within, **equals)
    if len(rows):
        route_set_rows.show(run, part, answered, rows, "Rows found", "routes_found_rows")
    else:
        st.text("No row passes all filters. Widen one of them.")


def _said(name: str, value: Any) -> str:
    if name == "right":
        return "right" if value else "wrong"
    return one_line(route_figures.route_words(str(value)) if name == "route" else str(value))
