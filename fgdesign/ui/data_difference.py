"""What any two versions of a data set differ in: chosen, counted, and shown row by row. Knows nothing of matching."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from fgdesign.data import apart
from fgdesign.data.apart import Progress
from fgdesign.data.compare import SAMPLES
from fgdesign.data.jobs import compare_files
from fgdesign.data.profile import Told
from fgdesign.errors import FgdesignError
from fgdesign.ui import data_intake, data_profile, library, parts
from fgdesign.views.numbers import plain

CELLS = ("row before", "row after", "column", "before", "after")
KINDS = ("same", "changed", "removed", "added")


def show(file: library.DataFile, known: Sequence[library.DataFile], told: Told) -> None:
    """Choose two versions, and see what changed between them; from the parent to the one shown where nothing is chosen.

    Args: known: all versions, the oldest first.
    """
    st.markdown("**Compare two versions**")
    versions = {other.id: other for other in known}
    names = {other.id: f"version {number}" for number, other in enumerate(known, 1)}
    ids = list(versions)
    first, second = (file.parent, file.id) if file.parent in versions else (file.id, next(
        name for name in ids if name != file.id))  # fmt: skip
    left, right = st.columns(2)
    before = left.selectbox("Before", ids, ids.index(first), format_func=names.__getitem__, key=f"before_{file.id}")
    after = right.selectbox("After", ids, ids.index(second), format_func=names.__getitem__, key=f"after_{file.id}")
    if before == after:
        st.text("Both are the same version. Choose another one on one side.")
        return
    try:
        found = _found(versions[before], versions[after], told.get("columns") or told["guess"])
    except FgdesignError as error:
        st.badge("These cannot be compared", icon=":material/error:", color="red")
        st.text(str(error))
        return
    if found is not None:
        _draw(found)


def _found(before: library.DataFile, after: library.DataFile, roles: dict[str, str | None]) -> dict[str, Any] | None:
    """The difference where it is kept; otherwise worked out, of large files behind the pages. Raises DataError."""
    asked: dict[str, Any] = {
        "before": str(before.path), "after": str(after.path),
        "texts": [roles[name] for name in ("text", "text_b") if roles.get(name)], "label": roles.get("label"),
    }  # fmt: skip
    kept = data_profile.kept_at(after, {"difference": 1, **asked})
    if not kept.is_file():
        if not library.is_large(before) and not library.is_large(after):
            data_profile.write(kept, compare_files(**asked, tell=lambda part, whole: None))
        else:
            def work(progress: Progress) -> bool:
                data_profile.write(kept, apart.run(
                    "fgdesign.data.jobs:compare_files", asked, name=after.name, seconds=data_profile.SECONDS,
                    memory=data_profile.MEMORY, progress=progress))  # fmt: skip
                return True

            if not data_intake.result(f"difference_{kept.stem}", "Comparing two versions", work, ask="Compare"):
                return None
    found: dict[str, Any] = data_profile.read(str(kept))
    return found


def _draw(found: dict[str, Any]) -> None:
    """Numbers of rows, label changes, and the rows themselves."""
    for column, kind in zip(st.columns(len(KINDS)), KINDS, strict=True):
        column.metric(f"Rows {kind}", plain(found[kind]))
    for kind, names in found["columns"].items():
        if names:
            st.text(f"Columns {kind}: {', '.join(names)}")
    samples = found["samples"]
    tables = {
        "Labels given anew": pd.DataFrame(found["labels"], columns=["before", "after", "rows"]),
        "Changed cells": pd.DataFrame(samples["changed"], columns=CELLS),
        "Removed rows": _rows(samples["removed"]),
        "Added rows": _rows(samples["added"]),
    }
    for title, frame in tables.items():
        if len(frame):
            st.markdown(f"**{title}**")
            parts.table(frame, f"difference_{title.split()[0].lower()}", height=min(240, 38 * (len(frame) + 1)))
    if max(found["changed"], found["removed"], found["added"]) > SAMPLES:
        st.caption(f"The first {plain(SAMPLES)} rows of each kind are shown.")
    if not any(map(len, tables.values())):
        st.text("The rows of both are the same.")


def _rows(rows: list[list[Any]]) -> pd.DataFrame:
    """Rows with their numbers in front, one column for each of the table's."""
    return pd.DataFrame([{data_profile.ROW: row} | cells for row, cells in rows])
