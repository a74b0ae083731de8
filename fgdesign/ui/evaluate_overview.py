"""How good a run is: metrics with intervals, classes, confusions, curves, the rows that tell most; and how sure.

Knows nothing of how any of it is counted.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from fgdesign.insight import certainty, quality
from fgdesign.insight.answered_set import AnsweredSet
from fgdesign.runs.folder import RunFolder
from fgdesign.ui import evaluate_rows, evaluate_store, parts, report_view
from fgdesign.ui.evaluate_store import Source
from fgdesign.ui.words import label, one_line
from fgdesign.views import figures, quality_figures
from fgdesign.views.numbers import percent, plain

CONFUSION, POINTS, PAIRS, KIND, CLASSES = ("evaluate_confusion", "evaluate_points", "evaluate_pairs", "evaluate_kind",
                                           "evaluate_classes")
MOST_METRICS = 6


def overview(run: RunFolder, source: Source, answered: AnsweredSet) -> None:
    """The verdict, then what proves it."""
    if answered.targets is None:
        without_labels(run, source, answered)
        return
    scores = _scores(run.name, source.name, answered)
    st.markdown(f"**{label(verdict(run, source, answered, scores), 300)}**")
    known = scores.head(MOST_METRICS)
    for column, row in zip(st.columns(max(1, len(known))), known.itertuples(), strict=False):
        column.metric(figures.metric_name(row.metric), plain(row.value),
                      help="95 % interval from a bootstrap over rows" if row.low == row.low else None)
        if row.low == row.low:
            column.caption(f"{plain(row.low)} to {plain(row.high)}")
    if answered.task == "regression":
        _numbers(run, source, answered)
    else:
        _classes(run, source, answered)
        _curves(answered)
    _telling(run, source, answered)
    _tables(run, source, answered, scores)


def verdict(run: RunFolder, source: Source, answered: AnsweredSet, scores: pd.DataFrame) -> str:
    """The result in a sentence."""
    first = scores.iloc[0]
    layers = float(answered.layers.mean())
    told = f"{run.name}: {figures.metric_name(first['metric'])} {plain(first['value'])} (95 % interval " \
           f"{plain(first['low'])} to {plain(first['high'])}) on {plain(len(answered))} {source.words}, " \
           f"{plain(layers)} encoder layers a text."
    if answered.task == "single" and len(worst := quality.confused(answered, 1)):
        pair = worst.iloc[0]
        told += f" The commonest mistake: {plain(int(pair['rows']))} rows of {pair['label']} answered as " \
                f"{pair['prediction']}."
    return told


def without_labels(run: RunFolder, source: Source, answered: AnsweredSet) -> None:
    """What can be said of rows without labels."""
    st.markdown(f"**{plain(len(answered))} {label(source.words)} without labels: what is answered can be seen, not "
                "whether it is right.**")
    if answered.task == "single":
        parts.chart(figures.class_balance(answered.prediction.tolist(), dark=parts.is_dark()), "evaluate_answers")
    evaluate_rows.show(run, source, answered, np.arange(len(answered)), "Rows", "evaluate_bare")


@st.cache_data(max_entries=16, show_spinner="Drawing rows anew")
def _scores(run: str, source: str, _answered: AnsweredSet) -> pd.DataFrame:
    return quality.scores(_answered)


def _classes(run: RunFolder, source: Source, answered: AnsweredSet) -> None:
    dark = parts.is_dark()
    table = quality.class_table(answered)
    if answered.task == "multi":
        parts.chart(quality_figures.forest(table, "label", "recall", low="recall_low", high="recall_high", dark=dark,
                                           title="Recall of each label, weakest F1 first"), "evaluate_recall")
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        matrix = quality.confusion_matrix(answered)
        parts.chart(figures.confusion(matrix.tolist(), answered.labels, dark=dark), CONFUSION, tools=False, clicks=True)
    with right:
        named = {row["label"]: row for row in table.to_dict("records")}
        parts.chart(figures.per_class(named, dark=dark), "evaluate_per_class", tools=False)
    cell = parts.clicked(CONFUSION)
    if isinstance(cell, list) and len(cell) == 2 and set(cell) <= set(answered.labels):
        rows = quality.cell_rows(answered, *cell)
        evaluate_rows.show(run, source, answered, rows, f"{cell[0]} answered as {cell[1]}", "evaluate_cell_rows")
    else:
        st.caption("Click a cell of the confusion matrix to see its rows.")


def _curves(answered: AnsweredSet) -> None:
    areas = _areas(answered)
    worst = areas.sort_values("average_precision")["label"].tolist()
    chosen = st.multiselect("Curves of", worst, default=worst[: min(4, len(worst))], key=CLASSES,
                            max_selections=quality_figures.MOST_CURVES, format_func=one_line)
    if not chosen:
        return
    points, some = quality.curves(answered, chosen)
    left, right = st.columns(2, gap="large")
    with left:
        parts.chart(quality_figures.roc(points, some, dark=parts.is_dark()), "evaluate_roc")
    with right:
        parts.chart(quality_figures.precision_recall(points, some, dark=parts.is_dark()), "evaluate_pr")


def _areas(answered: AnsweredSet) -> pd.DataFrame:
    return quality.curves(answered)[1]


def _numbers(run: RunFolder, source: Source, answered: AnsweredSet) -> None:
    rows, bins = quality.residuals(answered)
    dark, (left, right) = parts.is_dark(), st.columns(2, gap="large")
    with left:
        parts.chart(quality_figures.predicted_true(rows, dark=dark), POINTS, tools=False, clicks=True)
    with right:
        parts.chart(quality_figures.error_by_value(bins, dark=dark), "evaluate_bins")
    left, right = st.columns(2, gap="large")
    with left:
        parts.chart(figures.histogram(rows["error"].tolist(), "Residuals: predicted less true", "", dark=dark),
                    "evaluate_residuals")
    place = parts.clicked(POINTS)
    if isinstance(place, int) and place < len(answered):
        evaluate_rows.show(run, source, answered, np.array([place]), "The point", "evaluate_point_rows")
    else:
        st.caption("Click a point to see its row.")


def _telling(run: RunFolder, source: Source, answered: AnsweredSet) -> None:
    names = dict(zip(quality.KINDS, ("Largest errors", "Middle errors", "Smallest errors"), strict=True)) \
        if answered.task == "regression" else {kind: kind.capitalize() for kind in quality.KINDS}
    kind = st.segmented_control("Rows that tell most", list(names), default=quality.KINDS[0], required=True, key=KIND,
                                format_func=names.__getitem__)
    rows = quality.telling_rows(answered, str(kind))
    evaluate_rows.show(run, source, answered, rows, names[str(kind)], "evaluate_telling_rows")


def _tables(run: RunFolder, source: Source, answered: AnsweredSet, scores: pd.DataFrame) -> None:
    with st.expander("The numbers", icon=":material/table_rows:"):
        parts.table(scores, "metrics")
        if answered.task != "regression":
            parts.table(quality.class_table(answered), "classes")
        if answered.task == "single":
            parts.table(quality.confused(answered), "confused")
    report = run.report()
    if report is not None and source.part:
        report_view.routing(report)
        report_view.details(run, report)
    if source.file:
        return
    parts.show_command("evaluate", run.path, "DATA.csv", "--json",
                       note="Measure this run on another file from the command line")


def sure(run: RunFolder, source: Source, answered: AnsweredSet) -> None:
    """Reliability, one temperature fitted on validation rows, and what leaving unsure rows to a person gains."""
    valid = evaluate_store.answers(run, Source("valid"))
    if valid is None:
        return
    told = certainty.tempered(valid, answered)
    st.markdown(f"**{label(told.verdict, 300)}**")
    dark, (left, right) = parts.is_dark(), st.columns(2, gap="large")
    before, after = certainty.reliability(answered), certainty.reliability(told.answered)
    with left:
        parts.chart(quality_figures.reliability(before, after, dark=dark), "evaluate_reliability")
        st.caption(f"The temperature {plain(told.temperature)} was fitted on {plain(len(valid))} validation rows and "
                   f"is shown on {plain(len(answered))} {label(source.words)}. No answer changes, only how sure it is.")
    with right:
        from fgdesign.insight.decisions import coverage

        table = coverage(answered)
        asked = st.slider("Answer from this certainty on", 0.0, 1.0, 0.8, 0.01, key="evaluate_asked")
        parts.chart(quality_figures.coverage(table, asked=asked, dark=dark), "evaluate_coverage")
        kept = answered.confidence >= asked if answered.confidence is not None else np.zeros(0, bool)
        right_of = answered.right[kept].mean() if answered.right is not None and kept.any() else float("nan")
        st.text(f"{percent(float(kept.mean()))} of the rows are answered"
                + (f", {percent(float(right_of))} of them right." if kept.any() else "."))
    with st.expander("The numbers", icon=":material/table_rows:"):
        parts.table(before, "reliability")
        parts.table(after, "reliability_tempered")
