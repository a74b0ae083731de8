"""One text's way through a trained graph, told in pictures and numbers. Knows nothing of how it was computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from fgdesign.graph.spec import Graph
from fgdesign.runs.folder import RunFolder
from fgdesign.ui import canvas, models, parts, state
from fgdesign.ui.words import label
from fgdesign.views import figures
from fgdesign.views.canvas import canvas_data
from fgdesign.views.numbers import percent, plain

SECOND = "routes_text_b"
PICKED = "routes_picked"
EXIT_SCORES = {"answer", "next"}  # what a trace tells of an exit: its certainty and its threshold


def ask(run: RunFolder) -> dict[str, Any]:
    """The text to trace: picked from the run's data or typed. text, text_b and columns as `trace` takes them."""
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
    known: dict[str, str] = next((example["columns"] for example in found if example["text"] == text), {})
    return {"text": text or "", "text_b": second, "columns": known}


def _line(example: Mapping[str, Any]) -> str:
    depth = example["layers"]
    answer = example["prediction"] if isinstance(example["prediction"], str) else plain(example["prediction"])
    return f"{depth} layer{'' if depth == 1 else 's'} · {answer} · {' '.join(example['text'].split())[:110]}"


def show(graph: Graph, trace: Mapping[str, Any], key: str) -> None:
    """The lit graph with the answer and the reasons beside it, every node in a table under it."""
    left, right = st.columns([5, 2], gap="large")
    with left:
        canvas.show(
            canvas_data(graph, trace=trace, classes=len(trace["probabilities"])),
            key=f"routes_canvas_{key}",
            height=430,
        )
        st.caption("Called: full colour. Skipped: pale, a slashed dot. Not reached: dotted. Idle: hollow.")
    with right:
        _answer(trace)
        exits = {name: told for name, told in trace["routers"].items() if set(told["scores"]) == EXIT_SCORES}
        for router, told in trace["routers"].items():
            if router not in exits:
                _router(router, told)
        if exits:
            _exits(exits)
    nodes(trace)


def _answer(trace: Mapping[str, Any]) -> None:
    value = trace["prediction"]
    st.caption("Answer")
    st.header(label(value) if isinstance(value, str) else plain(value), anchor=False)
    called = sum(node["state"] == "called" for node in trace["nodes"])
    sure = "" if trace["confidence"] is None else f"{percent(trace['confidence'])} sure · "
    st.text(f"{sure}{trace['layers']} encoder layers · {called} of {len(trace['nodes'])} functions called")
    if trace["probabilities"]:
        parts.chart(figures.class_bars(trace["probabilities"], dark=parts.is_dark()), "route_classes", tools=False)


def _router(router: str, told: Mapping[str, Any]) -> None:
    st.markdown(f"**{label(router)}**")
    st.text(told["reason"] or f"Chose {', '.join(told['chosen']) or 'nothing'}.")
    chart = figures.gate_bars(told["scores"], told["chosen"], dark=parts.is_dark())
    parts.chart(chart, f"route_gates_{router}", tools=False)


def _exits(exits: Mapping[str, Mapping[str, Any]]) -> None:
    scores = {name: told["scores"] for name, told in exits.items()}
    parts.chart(figures.exit_certainty(scores, dark=parts.is_dark()), "route_exits")
    for name, told in exits.items():
        st.text(f"{name}: {told['reason']}")


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
