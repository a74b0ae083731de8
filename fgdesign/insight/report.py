"""A report of a run on some rows: chapters of sentences, figures and tables, as one HTML file or as CSV files.

Knows nothing of Streamlit, or of where answers come from.
"""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from fgdesign.data.write import safe_csv
from fgdesign.insight import certainty, decisions, fairness, quality, slicing
from fgdesign.insight.answered_set import AnsweredSet, answered
from fgdesign.views import figures, quality_figures
from fgdesign.views.numbers import plain
from fgdesign.views.report_html import Section, report_html

if TYPE_CHECKING:
    from fgdesign.runs.trained import TrainedRun

ROWS_SHOWN = 25
LONGEST = 240


def sections(answered: AnsweredSet, *, valid: AnsweredSet | None = None, told: Mapping[str, Any] | None = None,
             group_by: str = "", positive: str = "") -> list[Section]:
    """The chapters there can be.

    Args:
        answered: labelled rows. valid: validation rows of the run, on which a temperature is fitted.
        told: the run's report.json. group_by, positive: a column and an answer to compare groups by.
    Raises: DataError without labels, or for an unknown column.
    """
    quality.require_labels(answered)
    found = [_summary(answered)]
    found += [_numbers(answered)] if answered.task == "regression" else _classes(answered)
    if answered.task != "regression" and valid is not None and valid.targets is not None:
        found.append(_certainty(answered, valid))
    table = slicing.slices(answered)
    named = table.assign(name=table["column"].astype(str) + ": " + table["value"].astype(str))
    found.append(Section("Groups of rows", [slicing.verdict(table, answered.task)], [quality_figures.forest(
        named, "name", "score", title="Score by group, 95 % intervals", q="q", share=answered.task != "regression")],
        {"slices": table}))
    if group_by:
        groups = fairness.group_rates(answered, group_by, positive)
        found.append(Section(f"Groups of {group_by}", [groups.verdict], [], {"gaps": groups.gaps,
                                                                             "groups": groups.table}))
    exits = pd.DataFrame((told or {}).get("exits") or [])
    if len(exits):
        found.append(Section("Exits", [f"{plain(float(answered.layers.mean()))} encoder layers a text on these rows."],
                             [figures.exit_depth(exits.to_dict("records"))], {"exits": exits}))
    found.append(_rows(answered))
    if told:
        found.append(_made(told))
    return found


def html(name: str, answered: AnsweredSet, words: str, chapters: Sequence[Section]) -> str:
    """The report as one file. Args: words: what the rows are, such as "test rows"."""
    about = f"{plain(len(answered))} {words} · fgdesign · {time.strftime('%Y-%m-%d %H:%M')}"
    return report_html(f"Report of {name}", about, chapters)


def tables_zip(chapters: Sequence[Section]) -> bytes:
    """Every table as a CSV file of its own, safe to open in a spreadsheet, in one archive."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for chapter in chapters:
            for name, frame in chapter.tables.items():
                archive.writestr(f"{name.replace(' ', '_')}.csv", safe_csv(frame))
    return packed.getvalue()


def write_report(run: TrainedRun, out: Path, data: str | None = None, tables: Path | None = None) -> None:
    """Write the report of a run on a labelled file, or on its own test rows (validation rows where it has none).

    Args: tables: where every table goes as CSV, in one archive. Raises: DataError or RunError.
    """
    own = run.parts()
    words = "rows of " + Path(data).name if data else ("test rows" if len(own["test"]) else "validation rows")
    rows = run.load(data) if data else (own["test"] if len(own["test"]) else own["valid"])
    found = answered(run, rows)
    chapters = sections(found, valid=answered(run, own["valid"]), told=run.folder.report())
    out.write_text(html(run.folder.name, found, words, chapters), "utf-8")
    if tables is not None:
        tables.write_bytes(tables_zip(chapters))


def _summary(answered: AnsweredSet) -> Section:
    scores = quality.scores(answered)
    first = scores.iloc[0]
    line = f"{figures.metric_name(first['metric'])} {plain(first['value'])}, 95 % interval {plain(first['low'])} to " \
           f"{plain(first['high'])}."
    return Section("Verdict", [line, "Intervals are from a bootstrap over rows."], [],
                   {"metrics": scores.assign(metric=scores["metric"].map(figures.metric_name))})


def _classes(answered: AnsweredSet) -> list[Section]:
    table = quality.class_table(answered)
    worst = table.iloc[0]
    named = {row["label"]: row for row in table.to_dict("records")}
    pictures = [figures.per_class(named)]
    tables = {"classes": table}
    said = [f"The weakest label is {worst['label']}: F1 {plain(float(worst['f1']))} on {plain(int(worst['rows']))} "
            "rows."]
    if answered.task == "single":
        pictures.insert(0, figures.confusion(quality.confusion_matrix(answered).tolist(), answered.labels))
        tables["confused"] = quality.confused(answered)
    _, areas = quality.curves(answered)
    weak = areas.sort_values("average_precision")["label"].tolist()[:4]
    points, some = quality.curves(answered, weak)
    curves = [quality_figures.roc(points, some), quality_figures.precision_recall(points, some)]
    mean = float(areas["roc_auc"].mean())
    return [Section("Labels", said, pictures, tables),
            Section("Curves", [f"Mean area under the ROC curve {plain(mean)}; the weakest labels are drawn."], curves,
                    {"areas": areas})]


def _numbers(answered: AnsweredSet) -> Section:
    rows, bins = quality.residuals(answered)
    worst = bins.loc[bins["mae"].idxmax()]
    return Section("Numbers", [f"Errors are largest from {plain(float(worst['from']))} to {plain(float(worst['to']))}: "
                               f"mean absolute error {plain(float(worst['mae']))}."],
                   [quality_figures.predicted_true(rows), quality_figures.error_by_value(bins)],
                   {"error by value": bins})


def _certainty(answered: AnsweredSet, valid: AnsweredSet) -> Section:
    told = certainty.tempered(valid, answered)
    before, after = certainty.reliability(answered), certainty.reliability(told.answered)
    return Section("Certainty", [told.verdict], [quality_figures.reliability(before, after),
                                                 quality_figures.coverage(decisions.coverage(answered))],
                   {"reliability": before, "reliability after temperature scaling": after})


def _rows(answered: AnsweredSet) -> Section:
    tables = {}
    for kind in quality.KINDS[:2]:
        places = quality.telling_rows(answered, kind, ROWS_SHOWN)
        frame = answered.at(places).frame()
        shown = [name for name in ("row", "text", "text_b", "label", "prediction", "confidence") if name in frame]
        name = {"wrong and sure": "largest errors", "unsure": "middle errors"}[kind] \
            if answered.task == "regression" else kind
        tables[name] = frame[shown].assign(text=frame["text"].str.slice(0, LONGEST))
    return Section("Rows", ["The rows that tell most."], [], tables)


def _made(told: Mapping[str, Any]) -> Section:
    """Versions, hashes and seconds, so that the run can be made again."""
    tables = {}
    for title in ("versions", "hashes", "seconds"):
        values = told.get(title) or {}
        tables[title] = pd.DataFrame({title: list(values), "value": [
            plain(v) if isinstance(v, float) else str(v) for v in values.values()]})
    graph = told.get("graph", "")
    return Section("How it was made", [f"Graph {graph}." if graph else "The graph, the data and the versions."], [],
                   {name: frame for name, frame in tables.items() if len(frame)})
