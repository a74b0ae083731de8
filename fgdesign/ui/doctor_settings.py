"""Buttons beside findings that mend the graph or the settings of the next run, not the data. Each can be taken back.

Knows nothing of what was found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from fgdesign.data.lengths import tokens_read
from fgdesign.errors import FgdesignError
from fgdesign.graph.backbones import describe_backbone
from fgdesign.training.settings import settings_from
from fgdesign.ui import design_state, settings_form, state


def class_weights() -> None:
    """Class weights of the next run on or off."""
    on = settings_from(st.session_state.get(state.SETTINGS) or {}).class_weights
    st.button(
        f"Turn class weights {'off' if on else 'on'}", key="turn_class_weights", icon=":material/balance:",
        on_click=_turn_weights, args=(not on,), help="In the settings of Train, for the next run that is started "
        "there; the data stay as they are.",
    )  # fmt: skip


def _turn_weights(on: bool) -> None:
    now = settings_from(st.session_state.get(state.SETTINGS) or {})
    settings_form.take(replace(now, class_weights=on))
    st.toast(f"Class weights are {'on' if on else 'off'} in the settings of Train.", icon=":material/check:")


def text_limit() -> None:
    """Let the graph read twice as many tokens, as far as its backbone can."""
    graph, now = state.current_graph(), tokens_read(state.current_graph())
    try:
        more = min(2 * now, describe_backbone(graph.backbone).max_length)
    except FgdesignError:
        return
    if more > now and any(node.type == "text/1" for node in graph.nodes):
        st.button(
            f"Let the graph read {more} tokens", key="raise_limit", icon=":material/expand:", on_click=_read_more,
            args=(more,), help=f"{now} now. Texts take longer to train on and to answer; undo it on Design.",
        )  # fmt: skip


def _read_more(most: int) -> None:
    graph = state.current_graph()
    for node in graph.nodes:
        if node.type == "text/1" and tokens_read(replace(graph, nodes=(node,), edges=())) < most:
            design_state.do({"op": "params", "id": node.id, "params": {"max_length": most}})
    st.toast(design_state.editor().error or f"The graph reads {most} tokens now.", icon=":material/check:")


BUTTONS: dict[str, Callable[[], None]] = {"imbalance": class_weights, "long_texts": text_limit}
