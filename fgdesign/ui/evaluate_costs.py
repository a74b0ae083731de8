"""What mistakes cost, and which answers cost least: thresholds chosen on validation rows, a cost matrix, abstaining.

Knows nothing of how costs are counted.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from fgdesign.insight import decisions
from fgdesign.insight.answered_set import AnsweredSet
from fgdesign.runs.folder import RunFolder
from fgdesign.ui import evaluate_rows, evaluate_store, parts
from fgdesign.ui.evaluate_store import Source
from fgdesign.ui.words import label, one_line
from fgdesign.views import quality_figures
from fgdesign.views.numbers import percent, plain

MOST_CLASSES = 12  # beyond it a matrix is no longer filled in by hand


def costs(run: RunFolder, source: Source, answered: AnsweredSet) -> None:
    """Ask for prices and show what they change."""
    if answered.task == "regression":
        st.text("Numbers have no threshold and no mistakes to price. See the errors by value in the overview.")
        return
    valid = evaluate_store.answers(run, Source("valid"))
    if valid is None:
        return
    if answered.task == "single":
        _matrix(run, source, answered)
        st.divider()
    _threshold(source, answered, valid)


def _matrix(run: RunFolder, source: Source, answered: AnsweredSet) -> None:
    names = list(answered.labels)
    verdict = st.empty()
    left, right = st.columns([3, 2], gap="large")
    with right:
        price = st.number_input("A row left to a person costs", 0.0, value=0.4, step=0.1, key="evaluate_abstain")
        abstains = st.toggle("Rows may be left to a person", value=True, key="evaluate_may_abstain")
    prices = pd.DataFrame(decisions.even_costs(len(names)), index=names, columns=names)
    with left:
        if len(names) <= MOST_CLASSES:
            st.caption("What it costs: true labels down, answers across")
            prices = st.data_editor(prices, key=f"evaluate_prices_{run.name}")
        else:
            st.caption(f"With {len(names)} labels every mistake costs 1, but these:")
            dear = st.multiselect("Rows of these labels are dear to miss", names, key="evaluate_dear",
                                  format_func=one_line)
            times = st.number_input("Missing one costs", 0.0, value=5.0, key="evaluate_dear_price")
            prices.loc[dear] = prices.loc[dear] * times
    told = decisions.priced(answered, prices.to_numpy(float), price if abstains else None)
    verdict.markdown(f"**{label(told.verdict, 300)}**")
    with right:
        one, two = st.columns(2)
        one.metric("Answered", percent(told.kept))
        two.metric("Right of those", "–" if told.accuracy != told.accuracy else percent(told.accuracy))
    changed = np.flatnonzero(told.chosen != answered.outputs.argmax(1))
    cheapest = ["left to a person" if place < 0 else names[place] for place in told.chosen[changed]]
    evaluate_rows.show(run, source, answered, changed, "Rows that would be answered otherwise", "evaluate_cost_rows",
                       pd.DataFrame({"cheapest": cheapest}))


def _threshold(source: Source, answered: AnsweredSet, valid: AnsweredSet) -> None:
    st.markdown("**One label: from which probability on**")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox("Label", list(answered.labels), key="evaluate_cost_label", format_func=one_line, width=260)
        positive = st.number_input("A false positive costs", 0.0, value=1.0, key="evaluate_fp", width=180)
        negative = st.number_input("A false negative costs", 0.0, value=5.0, key="evaluate_fn", width=180)
    place = answered.labels.index(name)
    fit = decisions.threshold_costs(*decisions.of_label(valid, place), positive, negative)
    here = decisions.threshold_costs(*decisions.of_label(answered, place), positive, negative)
    line = decisions.best_threshold(fit)
    chosen, even = here.iloc[round(line * 100)], here.iloc[50]
    st.text(f"Cheapest on {plain(len(valid))} validation rows: {name} from {line:.2f} on. On {plain(len(answered))} "
            f"{source.words} that costs {plain(float(chosen['cost']))} a row, at 0.50 {plain(float(even['cost']))}; "
            f"recall {percent(float(chosen['recall']))}, precision {percent(float(chosen['precision']))}.")
    parts.chart(quality_figures.cost_curve(here, line, title="Cost by threshold", dark=parts.is_dark()),
                "evaluate_cost_curve")
    with st.expander("Every label", icon=":material/table_rows:"):
        parts.table(decisions.label_thresholds(valid, answered, positive, negative), "thresholds")

