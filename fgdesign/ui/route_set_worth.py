"""What routing is worth on a data set: exits by depth, functions by ablation, routers by their health and controls.

Knows nothing of how any of it is computed.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from fgdesign.insight.ablation import MOST_ROWS, importance
from fgdesign.insight.answered_set import AnsweredSet
from fgdesign.insight.depth import exit_table
from fgdesign.insight.router_health import Health, Keep, earns, health, stability
from fgdesign.insight.statistics import Estimate
from fgdesign.runs.folder import RunFolder, list_runs, workspace
from fgdesign.ui import models, parts, route_set_rows, route_set_store, route_set_work
from fgdesign.ui.words import label
from fgdesign.views import route_figures, worth_figures
from fgdesign.views.numbers import percent, plain

EXITS = "routes_exits"
SEEDS = "routes_seeds"  # session key: runs of other seeds to compare with


def exits(run: RunFolder, part: str, answered: AnsweredSet) -> None:
    """What each exit answers, how right it is there, and how right it would be on the rows that went on."""
    if not answered.answers.exit_names or answered.right is None:
        st.text("This graph has no exit: every row runs to its end." if not answered.answers.exit_names
                else "Rows with labels are needed to see how right each exit is.")
        return
    table = route_set_store.kept_table(run, f"{part}-exits", lambda: exit_table(models.trained(run), answered))
    early = float(table[table["exit"] != "answer"]["share"].sum())
    st.markdown(f"**{percent(early)} of the rows leave early; a row runs {plain(float(answered.layers.mean()))} "
                "encoder layers on average.**")
    parts.chart(route_figures.exit_curve(table, dark=parts.is_dark()), EXITS, tools=False, clicks=True)
    picked = parts.picked(EXITS)
    if picked in table["exit"].tolist():
        route_set_rows.show(run, part, answered, np.flatnonzero(answered.exit == picked), f"Answered at {picked}",
                            "routes_exit_rows")
    else:
        st.caption("An exit pays where the rows that went on past it are answered better in the end than it would have "
                   "answered them. Bars are 95 % intervals (Wilson). Click an exit to see its rows.")
    with st.expander("The numbers", icon=":material/table_rows:"):
        parts.table(table, "exits")


def worth(run: RunFolder, part: str, answered: AnsweredSet) -> None:
    """What is lost without each function, and with each branch forced."""
    if answered.targets is None:
        st.text("What a function is worth shows on rows with labels only.")
        return
    rows = min(MOST_ROWS, len(answered))
    made = route_set_work.done(
        f"worth_{run.name}_{part}", f"Passing each function by, on {plain(rows)} rows",
        lambda progress: route_set_store.kept_table(
            run, f"{part}-worth", lambda: importance(models.trained(run), answered.data, progress=progress)),
        ask="Find out what each function is worth")
    if made is None:
        st.caption("Each function is passed by, and each branch forced, on the same rows; what that costs is shown.")
        return
    number = answered.task == "regression"
    st.markdown(f"**{label(_worth_words(made, number), 300)}**")
    parts.chart(worth_figures.importance_bars(made, number=number, dark=parts.is_dark()), "routes_worth", tools=False)
    st.caption(f"{plain(rows)} rows. Bars are 95 % intervals of a paired bootstrap over rows; q after Benjamini and "
               "Hochberg over all changes. Grey: no clear difference.")
    with st.expander("The numbers", icon=":material/table_rows:"):
        parts.table(made, "importance")


def _worth_words(table: pd.DataFrame, number: bool) -> str:
    if table.empty:
        return "Nothing in this graph can be passed by or forced."
    scale, unit = (1.0, "in mean absolute error") if number else (100.0, "points of right answers")
    clear = table[table["lost_low"] > 0]
    if clear.empty:
        return "Nothing here is clearly missed: no single change costs right answers."
    first = clear.iloc[0]
    what = f"Without {first['node']}" if first["change"] == "pass by" else \
        f"With {first['node']} always at {first['change']}"
    spare = table[(table["change"] == "pass by") & (table["lost_low"] <= 0)]["node"].tolist()
    rest = "" if not spare else f" Not clearly missed: {', '.join(spare[:4])}" + (
        f" and {len(spare) - 4} more." if len(spare) > 4 else ".")
    return f"{what}, {plain(float(first['lost']) * scale)} {unit} are lost: the dearest change.{rest}"


def routers(run: RunFolder, part: str, answered: AnsweredSet) -> None:
    """Health of every router, and whether routing earns its keep."""
    told = health(answered)
    if not told and not answered.answers.exit_names:
        st.text("This graph has no router and no exit.")
        return
    kept = _keeps(run, part, answered)
    for keep in kept or ():
        if keep.name == "exits":
            _keep(keep, answered)
    for router in told:
        st.subheader(label(router.router), anchor=False, divider="gray")
        for keep in kept or ():
            if keep.name == router.router:
                _keep(keep, answered)
        _health(router)
    if told:
        _table_of(told)
    _seeds(run, part, answered)


def _keeps(run: RunFolder, part: str, answered: AnsweredSet) -> list[Keep] | None:
    if answered.targets is None:
        st.text("Whether routing earns its keep shows on rows with labels only.")
        return None
    name = f"{part}-keep"

    def make(progress: Any) -> list[Keep]:
        found = earns(models.trained(run), answered.data, progress=progress)
        route_set_store.keep_json(run, name, [
            {"name": k.name, "score": k.score, "layers": k.layers, "verdict": k.verdict,
             "table": k.table.to_dict("records")} for k in found])
        return found

    known = route_set_store.kept_json(run, name)
    if known is not None:
        return [Keep(k["name"], k["score"], k["layers"], pd.DataFrame(k["table"]), k["verdict"]) for k in known]
    rows = min(MOST_ROWS, len(answered))
    return route_set_work.done(f"keep_{run.name}_{part}", f"Trying other routings on {plain(rows)} rows", make,
                               ask="Does routing earn its keep?")


def _keep(keep: Keep, answered: AnsweredSet) -> None:
    st.markdown(f"**{label(keep.verdict, 400)}**")
    number = answered.task == "regression"
    parts.chart(worth_figures.control_bars(keep.table, number=number, dark=parts.is_dark()), f"keep_{keep.name}",
                tools=False)
    st.caption("The same graph on the same rows under another routing: right of zero, the trained routing is better. "
               "Bars are 95 % intervals of a paired bootstrap; p is exact (McNemar) where answers are right or wrong.")
    with st.expander("The numbers", icon=":material/table_rows:"):
        parts.table(keep.table, f"controls_{keep.name}")


def _health(router: Health) -> None:
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.caption(f"Where {plain(router.rows)} rows went; the dotted line is the even share.")
        parts.chart(worth_figures.load_bars(router.load, dark=parts.is_dark()), f"load_{router.router}", tools=False)
    with right:
        if router.collapsed:
            st.badge("collapsed: one branch takes nearly all rows", icon=":material/warning:", color="orange")
        if router.dead:
            st.badge(f"not used: {label(', '.join(router.dead))}", icon=":material/block:", color="gray")
        sure = "" if router.sureness is None else f" A row's choice is {percent(router.sureness)} sure."
        st.text(f"The load is {percent(router.spread)} even.{sure}")
        st.text(_information("the class", router.by_class))
        st.text(_information("the length", router.by_length))


def _information(what: str, told: Estimate | None) -> str:
    if told is None:
        return f"Without labels nothing is known of {what}."
    sure = told.p is not None and told.p < 0.05
    p = "" if told.p is None else f", p {plain(told.p)}"
    return (f"The route tells {'something' if sure else 'nothing clear'} of {what}: {plain(told.value)} nats "
            f"({plain(told.low)} to {plain(told.high)}{p}).")


def _table_of(told: list[Health]) -> None:
    rows = [{"router": h.router, "rows": h.rows, "branch": branch, "load": load, "spread": h.spread,
             "sureness": h.sureness, "information_class": h.by_class.value if h.by_class else None,
             "information_length": h.by_length.value} for h in told for branch, load in h.load.items()]
    with st.expander("The numbers of every router", icon=":material/table_rows:"):
        parts.table(pd.DataFrame(rows), "router_health")


def _seeds(run: RunFolder, part: str, answered: AnsweredSet) -> None:
    """How alike runs of the same graph and data route the same rows."""
    st.subheader("Other seeds", anchor=False, divider="gray")
    mine = run.config()
    graph = run.graph().identity
    others = [other for other in list_runs(workspace()) if other.name != run.name
              and (other.model / "config.json").is_file() and other.config().get("data") == mine.get("data")
              and other.graph().identity == graph]
    if not others:
        st.text("No other run of this graph on these data. Train it again with another seed to see whether its routes "
                "are stable.")
        return
    chosen = st.multiselect("Runs of this graph on these data", [other.name for other in others], key=SEEDS,
                            placeholder="pick runs to compare", max_selections=4)
    picked = [other for other in others if other.name in chosen]
    if not picked:
        return
    sets = [answered]
    for other in picked:
        found = route_set_work.done(
            f"answer_{run.name}_{part}_{other.name}", f"Answering the same rows with {other.name}",
            partial(route_set_store.answer_with, run, part, other))
        if found is None:
            return
        sets.append(found)
    table = stability(sets)
    names = [run.name, *(other.name for other in picked)]
    table["first"], table["second"] = (table[side].map(lambda i: names[i]) for side in ("first", "second"))
    st.markdown(f"**Routes agree at {float(table['agreement'].mean()):.2f} (adjusted Rand index: 1 the same, 0 as by "
                "chance), names of branches aside.**")
    parts.table(table, "stability")
