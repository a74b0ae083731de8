"""Bringing data in: upload, paste, samples, what is there already. Knows nothing of what is done with them."""

from __future__ import annotations

import streamlit as st

from fgdesign.data.store import Incoming
from fgdesign.errors import FgdesignError
from fgdesign.ui import data_intake, data_upload, library, state
from fgdesign.ui.words import label

MOST_PASTED = 1_000_000  # characters
SHOWN = 12  # data sets that are listed at once


def choose() -> None:
    """Upload a file, paste a table, or take one that is there."""
    data_upload.show()
    with st.popover("Paste a table", icon=":material/content_paste:", width="stretch"):
        st.text_area(
            "Cells copied from a spreadsheet, CSV, or Markdown", key="pasted", height=160, max_chars=MOST_PASTED,
            placeholder="text\tlabel\nwhere is my parcel\tshipping",
        )  # fmt: skip
        st.button("Use these rows", key="use_pasted", icon=":material/check:", on_click=_paste)
    data_intake.waiting()
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
                on_click=state.set_data, args=(file.id,),
            )  # fmt: skip


def _paste() -> None:
    """Keep what was pasted and have it read."""
    text = st.session_state["pasted"].encode("utf-8", "replace")
    try:
        with Incoming("pasted.csv", library.folder()) as incoming:
            incoming.write(text)
            file = incoming.publish(owner=library.person())
    except FgdesignError as error:
        st.toast(label(str(error), 200), icon=":material/error:")
    else:
        data_intake.read(file, data_intake.desk(), new=not incoming.known)
