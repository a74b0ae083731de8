"""The report of a run on some rows, to download or print, and every table as CSV. Knows nothing of how it is made."""

from __future__ import annotations

import streamlit as st

from fgdesign.insight import report as reports
from fgdesign.insight import slicing
from fgdesign.insight.answered_set import AnsweredSet
from fgdesign.runs.folder import RunFolder
from fgdesign.ui import evaluate_store, parts
from fgdesign.ui.evaluate_store import Source
from fgdesign.ui.words import label, one_line


def report(run: RunFolder, source: Source, answered: AnsweredSet) -> None:
    """Offer the files, and say what is in them."""
    if answered.targets is None:
        st.text("A report needs rows with labels. Pick a labelled file under Rows.")
        return
    valid = evaluate_store.answers(run, Source("valid")) if answered.task != "regression" else None
    columns = slicing.slice_columns(answered)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        by = st.selectbox("Compare groups of", columns, index=None, key="evaluate_report_by", format_func=one_line,
                          placeholder="no column", width=260)
        positive = "" if answered.task == "regression" else str(st.selectbox(
            "by the answer", list(answered.labels), key="evaluate_report_positive", format_func=one_line, width=260))
    with st.spinner("Writing the report"):
        chapters = reports.sections(answered, valid=valid, told=run.report(), group_by=by or "", positive=positive)
        page = reports.html(run.name, answered, source.words, chapters)
    st.markdown(f"**{label(chapters[0].sentences[0], 300)}**")
    with st.container(horizontal=True):
        st.download_button("Download the report", page, f"report-{run.name}.html", "text/html", type="primary",
                           icon=":material/download:", on_click="ignore", key="evaluate_report_html")
        st.download_button("All tables as CSV", reports.tables_zip(chapters), f"tables-{run.name}.zip",
                           "application/zip", icon=":material/table:", on_click="ignore", key="evaluate_report_zip")
    st.caption(f"One HTML file of {len(page) >> 20} MB that needs no network and prints well. In it: "
               + label(", ".join(chapter.title.lower() for chapter in chapters), 400) + ".")
    for chapter in chapters:
        with st.expander(label(chapter.title), icon=":material/article:"):
            for sentence in chapter.sentences:
                st.text(sentence)
            for name, frame in chapter.tables.items():
                st.caption(label(name))
                parts.table(frame, f"report_{name}")
    parts.show_command("report", run.path, f"report-{run.name}.html")
