"""One text's way through a trained graph, told in pictures and numbers. Knows nothing of how it was computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from fgdesign.graph.spec import Graph
from fgdesign.insight.intervene import Change
from fgdesign.runs.folder import RunFolder
from fgdesign.ui import canvas, models, parts, route_change, route_set_rows, route_set_store, route_why, state
from fgdesign.ui.words import label
from fgdesign.views import figures
from fgdesign.views.canvas import canvas_data
from fgdesign.views.numbers import percent, plain

SECOND = "routes_text_b"
PICKED = "routes_picked"
NAMED = "routes_named"  # session key: what the address named when it was last read
CELLS = "routes_cells"  # session key: the other columns of a row that the address named, by its text
TEXT_PARAMETER = "text"
LONGEST_LINK = 1500  # characters of a text that still fit into an address


def ask(run: RunFolder) -> dict[str, Any]:
    """The text to trace: picked from the run's data or typed. text, text_b and columns as `trace` takes them."""
    _take_named_row(run)
    found = models.examples(run)
    said = [_line(example) for example in found]
    if found and not st.session_state.get(state.TEXT):
        st.session_state[state.TEXT] = found[0]["text"]
        st.session_state[SECOND] = found[0]["text_b"] or ""

    def take() -> None:
        chosen = st.session_state[PICKED]
        if chosen in said:
            st.session_state[state.TEXT] = found[said.index(chosen)]["text"]
            st.session_state[SECOND] = found[said.index(chosen)]["text_b"] or ""

    left, right = st.columns([3, 2], gap="medium")
    right.selectbox(
        "Pick a text of the data",
        said,
        index=None,
        key=PICKED,
        on_change=take,
        placeholder="easy ones first, then those that go deep",
        help="Sorted by the layers they run.",
    )
    text = left.text_area(
        "Text", key=state.TEXT, height=84, max_chars=20_000, help="Any text; press Ctrl+Enter to see its route."
    )
    pairs = any(example["text_b"] is not None for example in found)
    second = left.text_area("Second text", key=SECOND, height=68, max_chars=20_000) if pairs else None
    _name(run, text or "")
    picked: dict[str, str] = next((example["columns"] for example in found if example["text"] == text), {})
    known = st.session_state.get(CELLS, {}).get(text, picked)
    return {"text": text or "", "text_b": second, "columns": known}


def _take_named_row(run: RunFolder) -> None:
    """Put what the address names into the field: a row of the run's data, or a text; once for each address."""
    if st.session_state.get(NAMED) == _named(run):
        return
    part, row = st.query_params.get(route_set_rows.PART), st.query_params.get(route_set_rows.ROW, "")
    said = st.query_params.get(TEXT_PARAMETER, "")
    if part in route_set_store.PARTS and row.isdecimal():
        data = route_set_store.part_data(run, part)
        if int(row) < len(data):
            text = st.session_state[state.TEXT] = data.texts[int(row)]
            st.session_state[SECOND] = "" if data.texts_b is None else data.texts_b[int(row)]
            cells = {str(name): str(cell) for name, cell in data.frame.iloc[int(row)].items()}
            st.session_state[CELLS] = {text: cells}
    elif said:
        st.session_state[state.TEXT] = said


def _name(run: RunFolder, text: str) -> None:
    """Let the address name the text that is shown, so that a link shows it too."""
    for parameter in (route_set_rows.PART, route_set_rows.ROW):
        st.query_params.pop(parameter, None)
    if text and len(text) <= LONGEST_LINK:
        st.query_params[TEXT_PARAMETER] = text
    else:
        st.query_params.pop(TEXT_PARAMETER, None)
    st.session_state[NAMED] = _named(run)


def _named(run: RunFolder) -> tuple[str, ...]:
    return (run.name, *(st.query_params.get(name, "") for name in (route_set_rows.PART, route_set_rows.ROW,
                                                                  TEXT_PARAMETER)))


def _line(example: Mapping[str, Any]) -> str:
    depth = example["layers"]
    answer = example["prediction"] if isinstance(example["prediction"], str) else plain(example["prediction"])
    return f"{depth} layer{'' if depth == 1 else 's'} · {answer} · {' '.join(example['text'].split())[:110]}"


def show(run: RunFolder, graph: Graph, trace: Mapping[str, Any], asked: Mapping[str, Any], change: Change) -> None:
    """The lit graph, what moved it and what a change does; beside it the answer and the reasons; every node below."""
    left, right = st.columns([5, 2], gap="large")
    with left:
        canvas.show(
            canvas_data(graph, trace=trace, classes=len(trace["probabilities"])),
            key=f"routes_canvas_{run.name}",
            height=430,
        )
        st.caption("Called: full colour. Skipped: pale, a slashed dot. Not reached: dotted. Idle: hollow.")
        st.markdown("**Does it matter**")
        route_change.ask(run)
        route_change.difference(run, asked, change)
    with right:
        _answer(trace, change)
        if change.is_none:
            route_why.routers(run, asked, trace)
        else:
            st.caption("The route under the change is shown; reset it to see why the graph went its own way.")
    nodes(trace)
    with left:  # last, because it takes longest
        route_why.words(run, asked, trace)


def _answer(trace: Mapping[str, Any], change: Change) -> None:
    value = trace["prediction"]
    st.caption("Answer" if change.is_none else "Answer under the change")
    st.header(label(value) if isinstance(value, str) else plain(value), anchor=False)
    called = sum(node["state"] == "called" for node in trace["nodes"])
    sure = "" if trace["confidence"] is None else f"{percent(trace['confidence'])} sure · "
    st.text(f"{sure}{trace['layers']} encoder layers · {called} of {len(trace['nodes'])} functions called")
    if trace["probabilities"]:
        parts.chart(figures.class_bars(trace["probabilities"], dark=parts.is_dark()), "route_classes", tools=False)


def nodes(trace: Mapping[str, Any]) -> None:
    """Every node: state, gate, milliseconds, share of compute."""
    frame = pd.DataFrame(
        [
            {
                "node": n["id"],
                "type": n["type"],
                "state": n["state"],
                "gate": n["gate"],
                "ms": n["ms"],
                "share of compute": n["share"],
            }
            for n in trace["nodes"]
        ]
    )
    with st.expander(f"All {len(frame)} nodes", icon=":material/table_rows:"):
        parts.table(frame, "nodes")
