"""The parts of the Data page: choosing a file, its columns and task, its pictures and rows.

Knows nothing of training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, cast

import streamlit as st

from fgdesign.data import Dataset, choose_columns
from fgdesign.errors import FgdesignError
from fgdesign.ui import library, parts, state
from fgdesign.ui.words import label
from fgdesign.views import figures

TYPES = ["csv", "tsv", "txt", "json", "jsonl", "ndjson", "parquet", "xlsx"]
TASKS = {"auto": "what is found", "single": "one label", "multi": "several labels", "regression": "a number"}
MOST_ROWS = 500
GUESS = ""  # the option that leaves the choice to the program


def choose() -> None:
    """Upload a file, or take one that is there."""
    upload = st.file_uploader(
        "Upload a table",
        type=TYPES,
        max_upload_size=200,
        key="upload",
        help="CSV, TSV, JSON lines, Parquet or Excel with a column of texts and one of labels.",
    )
    if upload is not None and st.session_state.get(state.UPLOADED) != upload.file_id:
        _take(cast(IO[bytes], upload), upload.name)
        st.session_state[state.UPLOADED] = upload.file_id
    files = [*library.samples(), *library.uploads()]
    current = state.current_data()
    st.caption("Samples and uploads")
    for file in files:
        here = current is not None and file.id == current.id
        st.button(
            label(file.title),
            key=f"pick_{file.id}",
            type="primary" if here else "secondary",
            width="stretch",
            on_click=state.set_data,
            args=(file.id,),
        )


def _take(stream: IO[bytes], name: str) -> None:
    """Keep an upload that can be read and choose it; say what is wrong with one that cannot."""
    try:
        file = library.store(stream, name)
        try:
            library.table(file)
        except FgdesignError:
            library.forget(file)
            raise
    except FgdesignError as error:
        st.badge("This file was not taken", icon=":material/error:", color="red")
        st.text(str(error))
        return
    state.set_data(file.id)
    st.toast(f"{label(file.name)} is stored.", icon=":material/check:")


def read(file: library.DataFile) -> Dataset | None:
    """The data set as its columns are chosen, with the widgets that choose them; None and a message if unusable."""
    try:
        table = library.table(file)
        names = [str(name) for name in table.frame.columns]
        guess = choose_columns(table)
    except FgdesignError as error:
        st.text(str(error))
        return None
    here = state.project()
    columns = st.columns(4)
    for place, (key, title) in enumerate((("text", "Text"), ("text_b", "Second text"), ("label", "Label"))):
        chosen = getattr(here, key)
        options = [GUESS, *names]
        columns[place].selectbox(
            title,
            options,
            index=options.index(chosen) if chosen in names else 0,
            format_func=_option(getattr(guess, key)),
            key=f"column_{key}_{file.id}",
            on_change=_choose_column,
            args=(key, file.id),
        )
    columns[3].selectbox(
        "Predict",
        list(TASKS),
        index=list(TASKS).index(here.task),
        format_func=TASKS.__getitem__,
        key=f"column_task_{file.id}",
        on_change=_choose_column,
        args=("task", file.id),
    )
    try:
        found = library.dataset(file, **state.reading())
    except FgdesignError as error:
        st.badge("This cannot be learnt from yet", icon=":material/error:", color="red")
        st.text(str(error))
        return None
    said = f"Text: {found.columns.text}" + (f" and {found.columns.text_b}" if found.columns.text_b else "")
    st.text(f"{said} · label: {found.columns.label}. {found.task.reason}")
    return found


def _option(guess: str | None) -> Callable[[str], str]:
    """How the options of a column read: what is found by itself is named."""
    return lambda name: name or (f"{guess} (found)" if guess else "none (found)")


def _choose_column(key: str, file_id: str) -> None:
    value = st.session_state[f"column_{key}_{file_id}"]
    state.change(**{key: value})


def numbers(file: library.DataFile, found: Dataset) -> None:
    """Rows, labels, what was left out."""
    total = len(library.table(file))
    for column, (name, value) in zip(
        st.columns(4),
        (
            ("Rows", f"{len(found):,}"),
            ("Left out", f"{total - len(found):,}"),
            ("Labels", f"{len(found.labels):,}" if found.labels else "a number"),
            ("Columns", f"{found.frame.shape[1]:,}"),
        ),
        strict=True,
    ):
        column.metric(name, value.replace(",", "\u2009"))


def pictures(found: Dataset) -> None:
    """How labels and lengths are spread."""
    dark = parts.is_dark()
    left, right = st.columns(2, gap="medium")
    with left:
        if found.task.kind == "regression" and found.targets is not None:
            parts.chart(
                figures.histogram(found.targets.tolist(), "Spread of the label", "label", dark=dark), "labels"
            )
        else:
            parts.chart(figures.class_balance(label_names(found), dark=dark), "labels")
    with right:
        lengths = [text.count(" ") + 1 for text in found.texts]
        parts.chart(figures.histogram(lengths, "Length of texts", "words", dark=dark), "lengths")


def label_names(found: Dataset) -> list[str]:
    """The label of every row by name; a row with several counts for each."""
    if found.targets is None:
        return []
    if found.task.kind == "multi":
        return [name for column, name in enumerate(found.labels) for _ in range(int(found.targets[:, column].sum()))]
    return [found.labels[int(place)] for place in found.targets]


def rows(found: Dataset) -> None:
    """The first rows that hold a searched text."""
    wanted = st.text_input("Search the texts", key="search_rows", placeholder="a word", icon=":material/search:")
    frame = found.frame.assign(row=found.row_numbers)
    if wanted:
        frame = frame[frame[found.columns.text].str.contains(wanted, case=False, regex=False)]
    st.caption(f"{len(frame):,} rows" + (f", the first {MOST_ROWS} are shown" if len(frame) > MOST_ROWS else ""))
    parts.table(frame[["row", *found.frame.columns]].head(MOST_ROWS), "rows", height=320)
