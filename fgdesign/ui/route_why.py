"""Why one text went its way: each router and exit with what it would have meant to go another, and the words that
moved it. Knows nothing of how any of it is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.runs.folder import RunFolder
from fgdesign.ui import models, parts, shell
from fgdesign.ui.words import label
from fgdesign.views import figures
from fgdesign.views.marked_text import marked_text
from fgdesign.views.numbers import percent, plain

WHAT = "routes_words_of"  # session key: the number whose words are shown


def routers(run: RunFolder, asked: Mapping[str, Any], trace: Mapping[str, Any]) -> None:
    """Every router the text came to: its scores, its reason, and whether its choice mattered."""
    badges = models.one_text(run, **asked).badges()
    exits = {name: told for name, told in trace["routers"].items() if set(told["scores"]) == {"answer", "next"}}
    for name, told in trace["routers"].items():
        if name not in exits:
            _router(name, told, badges.get(name), asked["text"])
    if exits:
        _exits(run, asked, exits, badges)


def _router(name: str, told: Mapping[str, Any], badge: Any, text: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{label(name)}**")
        show_badge(badge)
    st.text(told["reason"] or f"Chose {', '.join(told['chosen']) or 'nothing'}.")
    if told.get("span"):
        st.html(marked_text(text, [told["span"]], [1.0]))
    chart = figures.gate_bars(told["scores"], told["chosen"], dark=parts.is_dark())
    parts.chart(chart, f"route_gates_{name}", tools=False)
    if badge is not None:
        st.caption(label(badge.why, 200))
        with st.expander("What every branch would have said"):
            st.dataframe(_alternatives(badge), hide_index=True, key=f"alternatives_{name}")


def _exits(run: RunFolder, asked: Mapping[str, Any], exits: Mapping[str, Any], badges: Mapping[str, Any]) -> None:
    depths = models.one_text(run, **asked).depths()
    scores = {depth.node: {"answer": depth.sure, "next": depth.threshold} for depth in depths}
    parts.chart(figures.exit_certainty(scores or {n: t["scores"] for n, t in exits.items()}, dark=parts.is_dark()),
                "route_exits")
    last = list(exits)[-1]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{label(last)}**")
        show_badge(badges.get(last))
    st.text(exits[last]["reason"])
    if badges.get(last) is not None:
        st.caption(label(badges[last].why, 200))
    with st.expander("What every exit would have said"):
        st.dataframe(pd.DataFrame([
            {"exit": depth.node, "layers": depth.layers, "answer": depth.verdict.prediction, "sure": depth.sure,
             "threshold": depth.threshold, "reached": depth.node in exits} for depth in depths]), hide_index=True,
            key="depths", column_config={"sure": st.column_config.NumberColumn(format="%.2f"),
                                         "threshold": st.column_config.NumberColumn(format="%.2f")})


def show_badge(badge: Any) -> None:
    """Decisive or redundant, in a word and a sign."""
    if badge is None:
        return
    if badge.decisive:
        st.badge("decisive", icon=":material/priority_high:", color="orange",
                 help="Another branch would have changed the answer: found out by forcing each of them.")
    else:
        st.badge("redundant", icon=":material/equal:", color="gray",
                 help="Whatever it had chosen, the answer would have been the same: found out by forcing each branch.")


def _alternatives(badge: Any) -> pd.DataFrame:
    return pd.DataFrame([
        {"branch": a.branch + (" (chosen)" if a.taken else ""), "answer": a.verdict.prediction,
         "sure": "–" if a.verdict.confidence is None else percent(a.verdict.confidence),
         "moves the answer by": "–" if a.taken else f"{a.shift:+.3f}", "flips": "yes" if a.flips else ""}
        for a in badge.alternatives])


def words(run: RunFolder, asked: Mapping[str, Any], trace: Mapping[str, Any]) -> None:
    """The text shaded by what its words did to the answer, or to a gate."""
    learned = {f"gate of {name}": (name, told["chosen"][0]) for name, told in trace["routers"].items()
               if told["type"] == "router/1" and told["chosen"]}
    chosen = st.segmented_control("Words that moved", ["the answer", *learned], key=WHAT, default="the answer",
                                  required=True, help="Integrated gradients, by Captum; exact for word functions.")
    try:
        told = models.words_of(run, asked, learned.get(str(chosen)))
    except FgdesignError as error:
        shell.show_error(error)
        return
    st.html(marked_text(told.text, told.spans, told.values.tolist()))
    exact = "Exact shares." if told.error == 0 else f"Completeness error {percent(told.error)}."
    st.caption(label(f"{told.what}: {plain(told.start)} without the words, {plain(told.reached)} with them. Blue "
                     f"raised it, underlined vermilion lowered it. {exact}", 300))
