"""Groups of rows: which are answered worse, whether groups of people are answered alike, what swapping words changes.

Knows nothing of how it is counted.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from fgdesign.insight import fairness, slicing
from fgdesign.insight.answered_set import AnsweredSet
from fgdesign.runs.folder import RunFolder
from fgdesign.ui import evaluate_rows, models, parts, route_set_work
from fgdesign.ui.evaluate_store import Source
from fgdesign.ui.words import label, one_line
from fgdesign.views import figures, quality_figures
from fgdesign.views.numbers import plain

SLICES = "evaluate_slices"
RATES = {"rate": "answered so", "opportunity": "found of the true ones", "false_alarm": "false alarms",
         "accuracy": "right", "mean answer": "mean answer", "mean error": "mean error"}


def slice_look(run: RunFolder, source: Source, answered: AnsweredSet) -> None:
    """Every value of every column against the other rows."""
    known = slicing.slice_columns(answered)
    place = st.empty()
    chosen = st.multiselect("Columns", known, default=known, key="evaluate_slice_columns", format_func=one_line)
    table = slicing.slices(answered, chosen) if chosen else pd.DataFrame(columns=list(slicing.COLUMNS))
    place.markdown(f"**{label(slicing.verdict(table, answered.task), 300)}**")
    table = table.assign(name=table["column"].astype(str) + ": " + table["value"].astype(str))
    number = answered.task == "regression"
    title = "Minus the mean absolute error by group" if number else "Share of right answers by group"
    elsewhere = float(answered.right.mean()) if answered.right is not None else None
    parts.chart(quality_figures.forest(table, "name", "score", title=title, q="q", zero=elsewhere, share=not number,
                                       dark=parts.is_dark()), SLICES, tools=False, clicks=True)
    st.caption("Full points differ from all other rows: q < 0.05 after Benjamini and Hochberg. Bars are 95 % "
               "intervals. Click a point to see its rows.")
    picked = parts.clicked(SLICES)
    if isinstance(picked, int) and picked < len(table):
        row = table.iloc[picked]
        places = slicing.slice_rows(answered, row["column"], row["value"])
        if answered.loss is not None:
            places = places[np.argsort(-answered.loss[places], kind="stable")]
        evaluate_rows.show(run, source, answered, places, f"{row['name']}, worst first", "evaluate_slice_rows")
    with st.expander("The numbers", icon=":material/table_rows:"):
        parts.table(table.drop(columns="name"), "slices")


def fairness_look(run: RunFolder, source: Source, answered: AnsweredSet) -> None:
    """Rates by a column, then answers after swapping words for groups."""
    positive = ""
    if answered.task != "regression":
        positive = st.selectbox("The answer that matters", list(answered.labels), key="evaluate_positive",
                                format_func=one_line, width=320)
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Groups of a column", anchor=False)
        _groups(answered, positive)
    with right:
        st.subheader("Words swapped", anchor=False)
        found = _swap(run, source, answered, positive)
    if found is not None and len(found.table):
        order = found.table.sort_values(["flipped", "change"], key=lambda c: -c.abs() if c.name == "change" else ~c,
                                        ignore_index=True)
        st.markdown("**Rows whose words were swapped**, changed answers first")
        parts.table(order, "swapped", height=320)


def _groups(answered: AnsweredSet, positive: str) -> None:
    columns = slicing.slice_columns(answered)
    own = [name for name in columns if name not in ("label", "length", "script")] or columns
    if not own:
        st.text("No column of these rows makes groups.")
        return
    column = st.selectbox("Column", [*own, *(name for name in columns if name not in own)], key="evaluate_group_by",
                          format_func=one_line)
    found = fairness.group_rates(answered, column, positive)
    st.markdown(f"**{label(found.verdict, 300)}**")
    rates = [name for name in found.table.columns if f"{name}_low" in found.table.columns]
    dark = parts.is_dark()
    parts.chart(quality_figures.group_rates(found.table, rates, [RATES[name] for name in rates],
                                            share=answered.task != "regression", dark=dark), "evaluate_group_rates")
    st.caption("The gap in “answered so” is the demographic parity difference, the gap in “found of the true ones” "
               "the equal opportunity difference. p: groups dealt out at random. Bars are 95 % intervals.")
    parts.table(found.gaps, "gaps")
    with st.expander("Rates of every group", icon=":material/table_rows:"):
        parts.table(found.table, "groups")


def _swap(run: RunFolder, source: Source, answered: AnsweredSet, positive: str) -> fairness.Swapped | None:
    usual = "\n".join(f"{first} / {second}" for first, second in fairness.PAIRS)
    lines = st.text_area("Words that are exchanged, one pair a line", usual, key="evaluate_words", height=120)
    pairs = fairness.read_pairs(lines)
    kept = f"evaluate_swapped_{run.name}_{source.name}_{hash((pairs, positive))}"
    if kept not in st.session_state:
        change = fairness.swap(answered.data, pairs)
        if not len(change.rows):
            st.text("No row has any of these words, so nothing can be swapped.")
            return None
        made = route_set_work.done(
            kept, f"Answering {plain(len(change.rows))} rows with swapped words",
            lambda progress: fairness.swap_and_answer(models.trained(run), answered, pairs, positive, progress),
            by_itself=False, ask=f"Swap the words in {plain(len(change.rows))} rows")
        if made is None:
            return None
        st.session_state[kept] = made
    found: fairness.Swapped = st.session_state[kept]
    st.markdown(f"**{label(found.verdict, 300)}**")
    what = f"Change of the probability of {positive}" if positive else "Change of the answer"
    parts.chart(figures.histogram(found.table["change"].tolist(), figures.words(what, 60), "", dark=parts.is_dark()),
                "evaluate_swap_histogram")
    return found
