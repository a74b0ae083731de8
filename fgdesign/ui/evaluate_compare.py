"""Runs beside each other on the same rows: which is better, where they differ, and what their graphs differ in.

Knows nothing of how it is counted.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.graph.compare import compare
from fgdesign.insight import comparison
from fgdesign.insight.answered_set import AnsweredSet
from fgdesign.runs.folder import RunFolder, list_runs, workspace
from fgdesign.ui import canvas, evaluate_rows, evaluate_store, models, parts, shell, state
from fgdesign.ui.evaluate_store import Source
from fgdesign.ui.words import label, one_line
from fgdesign.views import quality_figures
from fgdesign.views.canvas import canvas_data
from fgdesign.views.figures import metric_name, words

OTHERS, BARS = "evaluate_others", "evaluate_differences"
MOST = 5


def compare_look(run: RunFolder, source: Source, answered: AnsweredSet) -> None:
    """Ask for other runs and compare each with this one."""
    known = [other.name for other in list_runs(workspace())
             if other.name != run.name and (other.model / "config.json").is_file()]
    if not known:
        st.text("There is no other trained run to compare with. Train another graph on the same file.")
        return
    asked = [name for name in st.query_params.get_all("with") if name in known]
    names = st.multiselect("Compare with", known, default=asked, key=OTHERS, max_selections=MOST, format_func=one_line,
                           placeholder="other runs, measured on the same rows")
    st.query_params["with"] = names
    found: dict[str, tuple[RunFolder, AnsweredSet]] = {}
    for name in names:
        other = state.run_named(name)
        if other is None:
            continue
        try:
            theirs = evaluate_store.answers(other, source)
            if theirs is not None:
                comparison.require_same(answered, theirs)
                found[name] = other, theirs
        except FgdesignError as error:
            st.markdown(f"**{label(name)} cannot be compared.**")
            shell.show_error(error)
    if not found:
        if not names:
            st.text(f"Pick a run to compare {run.name} with.")
        return
    if len(found) > 1:
        table = comparison.compare_many({run.name: answered, **{name: one for name, (_, one) in found.items()}})
        title = f"Gain over {words(run.name)}"
        parts.chart(quality_figures.forest(table.iloc[1:], "run", "gain", title=title, zero=0, q="q",
                                           share=answered.task != "regression", dark=parts.is_dark()), "evaluate_many")
        parts.table(table, "runs")
        name = str(st.segmented_control("Look at", list(found), default=next(iter(found)), required=True,
                                        key="evaluate_against", format_func=label))
    else:
        name = next(iter(found))
    _duel(run, source, answered, *found[name])


def _duel(run: RunFolder, source: Source, answered: AnsweredSet, other: RunFolder, theirs: AnsweredSet) -> None:
    spent = tuple(float(comparison.compute_of(models.trained(one), found).mean())
                  for one, found in ((run, answered), (other, theirs)))
    duel = comparison.compare_runs(answered, theirs, (run.name, other.name), (spent[0], spent[1]))
    st.markdown(f"**{label(duel.verdict, 300)}**")
    st.text(duel.test)
    dark, (left, right) = parts.is_dark(), st.columns(2, gap="large")
    table = duel.table.assign(name=[metric_name(one) for one in duel.table["metric"]])
    with left:
        title = f"Gain of {words(other.name)} (right is better)"
        parts.chart(quality_figures.forest(table, "name", "gain", title=title, zero=0, share=False, dark=dark),
                    "evaluate_gains", tools=False)
        parts.table(duel.table, "comparison")
    apart = comparison.differing(answered, theirs)
    with right:
        parts.chart(quality_figures.differences({name: len(rows) for name, rows in apart.items()}, dark=dark), BARS,
                    tools=False, clicks=True)
        st.caption(f"First: {label(run.name)}. Second: {label(other.name)}. Click a bar to see its rows.")
    clicked = parts.clicked(BARS)
    kind = clicked if clicked in apart else next(iter(apart))
    rows = apart[kind]
    sure = {"its answer": theirs.prediction[rows]}
    if theirs.confidence is not None:
        sure["its confidence"] = np.round(theirs.confidence[rows], 3)
    evaluate_rows.show(run, source, answered, rows, kind.capitalize(), "evaluate_duel_rows", pd.DataFrame(sure))
    _graphs(run, other, answered, theirs)


def _graphs(run: RunFolder, other: RunFolder, answered: AnsweredSet, theirs: AnsweredSet) -> None:
    """What the graphs differ in, and what the rows that called each function gained."""
    st.subheader("Graphs", anchor=False)
    changes = compare(models.trained(run).graph, models.trained(other).graph)
    st.text(f"From {run.name} to {other.name}: {changes}.")
    left, right = st.columns([3, 2], gap="large")
    with left:
        if changes.changes:
            canvas.show(canvas_data(changes.graph, changes=changes, classes=len(answered.labels)),
                        key=f"evaluate_graphs_{run.name}_{other.name}", height=400)
        else:
            st.text("Both runs trained the same graph.")
    gains = comparison.node_gains(answered, theirs)
    mine = gains[gains["rows"] < len(answered)]
    with right:
        if mine.empty:
            st.text("Every row called the same functions, so no function tells rows apart.")
            return
        table = mine.sort_values("gain", key=abs, ascending=False, ignore_index=True)
        parts.chart(quality_figures.forest(table, "node", "gain", title="Gain of the rows that called it", zero=0,
                                           q="q", share=answered.task != "regression", dark=parts.is_dark()),
                    "evaluate_node_gains", tools=False)
        st.caption("What rows that called a function gained over the first run: a difference between groups of rows, "
                   "not a proof that the function is the cause.")


