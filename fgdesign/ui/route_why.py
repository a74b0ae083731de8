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
from fgdesign.views import figures, worth_figures
from fgdesign.views.marked_text import marked_text
from fgdesign.views.numbers import percent, plain

MOVED = "routes_moved_at"  # session key: the router or exit whose movers are shown
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
            parts.table(_alternatives(badge), f"alternatives_{name}")


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
        parts.table(pd.DataFrame([
            {"exit": depth.node, "layers": depth.layers, "answer": depth.verdict.prediction,
             "sure": round(depth.sure, 3), "threshold": round(depth.threshold, 3), "reached": depth.node in exits}
            for depth in depths]), "depths")


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


def functions(run: RunFolder, asked: Mapping[str, Any], trace: Mapping[str, Any]) -> None:
    """Which functions above a router or exit moved its choice, each found out by passing it by."""
    known = [name for name, told in trace["routers"].items() if told["type"] in ("router/1", "exit/1")]
    if not known:
        return
    chosen = st.selectbox("Functions that moved a choice", known, index=None, key=MOVED,
                          placeholder="pick a router or an exit", width=320,
                          help="Each function above it is passed by; what its score then is shows what the function "
                               "added.")
    if chosen is None:
        return
    from fgdesign.insight.movers import upstream

    try:
        model = models.trained(run)
        table = upstream(model, model.one(**asked), chosen)
    except FgdesignError as error:
        shell.show_error(error)
        return
    if table.empty:
        st.text(f"Nothing above {label(chosen)} can be passed by.")
        return
    first = table.iloc[0]
    what = "its choice" if trace["routers"][chosen]["type"] == "router/1" else "how sure it was"
    turns = " Without it the choice would be another one." if first["flips"] else ""
    st.markdown(f"**{label(first['node'])} moved {what} most: {first['moved']:+.3f} of {first['before']:.3f}.{turns}**")
    parts.chart(worth_figures.signed_bars(table["node"].tolist(), table["moved"].tolist(),
                                    f"What each function added at {chosen}", dark=parts.is_dark()),
                "route_moved", tools=False)
    with st.expander("The numbers", icon=":material/table_rows:"):
        parts.table(table, "moved")


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
