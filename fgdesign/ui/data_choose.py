"""Bringing data in: upload, paste, samples, what is there already. Knows nothing of what is done with them."""

from __future__ import annotations

import io
from typing import IO, cast

import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.ui import library, state
from fgdesign.ui.route_set_work import done
from fgdesign.ui.words import label

TYPES = ["csv", "tsv", "txt", "json", "jsonl", "ndjson", "parquet", "xlsx"]
MOST_PASTED = 1_000_000  # characters
ROUND = "upload_round"  # session key: a fresh uploader for each, so that bytes taken are not held in memory
REFUSED = "upload_refused"  # session key: what was said of the last file, "" when it was taken
SHOWN = 12  # data sets that are listed at once


def choose() -> None:
    """Upload a file, paste a table, or take one that is there."""
    turn = st.session_state.setdefault(ROUND, 0)
    upload = st.file_uploader(
        "Upload a table", type=TYPES, max_upload_size=200, key=f"upload_{turn}",
        help="CSV, TSV, JSON lines, Parquet or Excel with a column of texts and one of labels, up to 200 MB and two "
        "million rows.",
    )  # fmt: skip
    if upload is not None:
        _take(cast(IO[bytes], upload), upload.name, upload.file_id)
    with st.popover("Paste a table", icon=":material/content_paste:", width="stretch"):
        st.text_area(
            "Cells copied from a spreadsheet, or CSV", key="pasted", height=160, max_chars=MOST_PASTED,
            placeholder="text\tlabel\nwhere is my parcel\tshipping",
        )  # fmt: skip
        if st.button("Use these rows", key="use_pasted", icon=":material/check:"):
            _take(io.BytesIO(st.session_state["pasted"].encode("utf-8", "replace")), "pasted.csv", "pasted")
    if refused := st.session_state.get(REFUSED):
        st.badge("This file was not taken", icon=":material/error:", color="red")
        st.text(refused)
    current = state.current_data()
    stored = library.uploads()
    older = {file.parent for file in stored} - {current.id if current is not None else ""}
    newest = [file for file in stored if file.id not in older]  # the others are among the versions of these
    for caption, files in (("Samples", library.samples()), ("Stored here", newest)):
        if files:
            st.caption(caption)
        for file in files[:SHOWN]:
            here = current is not None and file.id == current.id
            st.button(
                label(file.title), key=f"pick_{file.id}", type="primary" if here else "secondary", width="stretch",
                on_click=_pick, args=(file.id,),
            )  # fmt: skip


def _pick(file_id: str) -> None:
    st.session_state[REFUSED] = ""
    state.set_data(file_id)


def _take(stream: IO[bytes], name: str, key: str) -> None:
    """Keep an upload that can be read and choose it; say what is wrong with one that cannot."""
    st.session_state[REFUSED] = ""
    try:
        file = done(f"take_{key}", f"Reading {label(name)}", lambda tell: library.take(stream, name, tell),
                    ask="Read this file")  # fmt: skip
    except FgdesignError as error:
        st.session_state[REFUSED] = str(error)
    else:
        if file is None:  # somebody stopped it
            return
        state.set_data(file.id)
        st.toast(f"{label(file.name)} is stored.", icon=":material/check:")
    st.session_state[ROUND] += 1
    st.rerun()
