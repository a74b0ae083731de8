"""Does it matter: force a branch, pass a node by, move a threshold, edit a word, and see what the answer does.

The change stands in the address, so that a link shows the same. Knows nothing of how it is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.insight.intervene import Change, branches_of, bypassable
from fgdesign.runs.folder import RunFolder
from fgdesign.ui import models, shell
from fgdesign.ui.words import label
from fgdesign.views.numbers import percent, plain

FORCE, PASS, MOVE, EDIT = "force", "bypass", "threshold", "edited"  # query parameters


def from_address() -> Change:
    """The change that the address names; what cannot be read is left out."""
    force = dict(pair.split(":", 1) for pair in st.query_params.get_all(FORCE) if ":" in pair)
    moved = dict(pair.split(":", 1) for pair in st.query_params.get_all(MOVE) if ":" in pair)
    thresholds = {node: float(value) for node, value in moved.items() if value.replace(".", "", 1).isdecimal()}
    return Change(force=force, bypass=frozenset(st.query_params.get_all(PASS)), thresholds=thresholds)


def ask(run: RunFolder) -> None:
    """The controls: what is forced, passed by, moved."""
    network, now = models.trained(run).network, from_address()
    selectors = network.nodes_of_role("router", "exit")
    exits, passed = network.nodes_of_role("exit"), bypassable(network)
    forced = [f"{node}: {branch}" for node in selectors for branch in branches_of(network, node)]
    columns = st.columns([3, 3, 3, 1], vertical_alignment="bottom")
    chosen = [f"{node}: {branch}" for node, branch in now.force.items()]
    columns[0].multiselect("Force a branch", forced, [name for name in chosen if name in forced],
                           key=f"ask_{FORCE}", on_change=_forced, placeholder="as the router chose",
                           help="Its weight becomes one, as in a graph without the other branches.",
                           disabled=not forced)
    columns[1].multiselect("Pass a node by", passed, sorted(now.bypass & set(passed)), key=f"ask_{PASS}",
                           on_change=_passed, placeholder="none", help="It hands its input on unchanged.")
    node = exits[0] if exits else None
    if node:
        common = next(iter(now.thresholds.values()), float(network.module_of(node).get_buffer("threshold")))
        columns[2].slider("Threshold of all exits", 0.0, 1.0, min(1.0, common), 0.01, key=f"ask_{MOVE}",
                          on_change=_moved, args=(exits,), help="How sure a graph has to be to answer there.")
    columns[3].button("Reset", key="ask_reset", on_click=reset, disabled=now.is_none, type="tertiary")


def _forced() -> None:
    pairs = [name.split(": ", 1) for name in st.session_state[f"ask_{FORCE}"]]
    st.query_params[FORCE] = [f"{node}:{branch}" for node, branch in dict(pairs).items()]


def _passed() -> None:
    st.query_params[PASS] = st.session_state[f"ask_{PASS}"]


def _moved(exits: list[str]) -> None:
    value = st.session_state[f"ask_{MOVE}"]
    st.query_params[MOVE] = [f"{node}:{value:g}" for node in exits]


def reset() -> None:
    """Back to what the graph does by itself."""
    for name in (FORCE, PASS, MOVE):
        st.query_params.pop(name, None)
        st.session_state.pop(f"ask_{name}", None)


def difference(run: RunFolder, asked: Mapping[str, Any], change: Change) -> None:
    """The answer before and under the change, and of a text with some words edited."""
    one = models.one_text(run, **asked)
    if not change.is_none:
        _row("Changed", one.first, one.verdict(change))
    with st.expander("Edit a word", icon=":material/edit:"):
        edited = st.text_area("The text with other words", asked["text"], key=f"edited_{hash(asked['text'])}",
                              height=84, max_chars=20_000, label_visibility="collapsed")
        if edited and edited != asked["text"]:
            try:
                _row("Edited", one.first, models.one_text(run, **{**asked, "text": edited}).verdict(change))
            except FgdesignError as error:
                shell.show_error(error)


def _row(what: str, before: Any, after: Any) -> None:
    same = before.prediction == after.prediction
    with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"difference_{what}"):
        st.badge(f"{what}: the answer {'stays' if same else 'flips'}", color="gray" if same else "orange",
                 icon=":material/equal:" if same else ":material/swap_horiz:")
        st.text(f"{_said(before)}  →  {_said(after)}")


def _said(verdict: Any) -> str:
    sure = "" if verdict.confidence is None else f" ({percent(verdict.confidence)})"
    name = verdict.prediction if verdict.confidence is not None else plain(float(verdict.prediction))
    return f"{label(name) if not sure else name}{sure}"
