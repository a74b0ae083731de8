"""The settings of the next run: few, with good defaults, and the button that starts it. Knows nothing of torch."""

from __future__ import annotations

from typing import Any

import streamlit as st

from fgdesign.graph import errors
from fgdesign.ui import parts, start, state

DEVICES = ("auto", "cpu", "cuda", "mps")


def show() -> None:
    """What will be trained on what, the settings, problems that stand in the way, the start button."""
    graph, file = state.current_graph(), state.current_data()
    st.text(f"Graph {graph.name} on {file.title if file else 'no data yet'}")
    epochs, seed, device = st.columns(3)
    chosen: dict[str, Any] = {
        "epochs": epochs.number_input(
            "Epochs",
            1,
            1000,
            None,
            placeholder="chosen by the size of the data",
            key="epochs",
            help="Passes over the rows with the trained layers. Empty: a good number is chosen.",
        ),
        "seed": int(seed.number_input("Seed", 0, 2**31 - 1, 0, key="seed", help="The same seed gives the same run.")),
        "device": device.selectbox("Device", DEVICES, key="device", help="auto takes a GPU where there is one."),
    }
    wrong = errors(graph)
    for problem in wrong[:5]:
        st.text(f"{problem.message} {problem.fix}")
    if wrong:
        st.page_link("pages/design.py", label="Repair the graph in Design", icon=":material/build:")
        return
    start.train_button(graph, key="start_run", **chosen)
    if file is not None:
        parts.show_command(*start.command_words(graph, file, **chosen))
