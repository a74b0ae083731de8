"""Versions of a data set: who made which when, what changed, back to an older one; and how its rows are shared out.

Knows nothing of how versions are made.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from fgdesign.data import Dataset, split
from fgdesign.data.profile import Told
from fgdesign.data.split_rule import SplitRule, split_rule
from fgdesign.data.store import family
from fgdesign.errors import DataError, FgdesignError
from fgdesign.ui import data_difference, library, parts, state

KINDS = {"": "at random, by label", "group": "by group", "time": "by time"}
PARTS = ("train", "valid", "test")


def versions(file: library.DataFile, told: Told) -> None:
    """All versions, the newest first, each with what made it and a way back to it; what any two differ in."""
    known = family(file, library.folder())
    sample = library.find(known[0].parent) if known[0].parent else None
    if sample is not None and sample.id not in {other.id for other in known}:
        known.insert(0, sample)
    st.caption("Nothing is overwritten: each save is a version of its own, and each can be gone back to.")
    numbered = list(enumerate(known, 1))
    for number, other in reversed(numbered):
        here = other.id == file.id
        with st.container(horizontal=True, vertical_alignment="center", key=f"version_{other.id}"):
            when = datetime.fromtimestamp(other.stored).strftime("%Y-%m-%d %H:%M") if other.stored else "a sample"
            st.badge(f"version {number}", color="blue" if here else "gray")
            st.text(f"{when}{' · ' + other.owner if other.owner else ''} · {other.name}")
            st.space("stretch")
            if here:
                st.caption("shown")
            else:
                st.button("Go to it", key=f"back_{other.id}", on_click=state.keep_reading, args=(other.id,))
        for sentence in other.change.get("said", []):
            st.text(f"   {sentence}")
    if len(known) > 1:
        data_difference.show(file, known, told)


def splits(file: library.DataFile, told: Told) -> None:
    """How rows are shared out, and what each part holds."""
    try:
        rule = split_rule(state.project().split)
    except DataError:
        rule = SplitRule()
    kind = "group" if rule.group else "time" if rule.time else ""
    others = [name for name in told["names"] if name not in told["columns"].values()]
    first, second, third, fourth, fifth = st.columns([3, 3, 2, 2, 2])
    key = f"{file.id}_{state.project().split}"
    chosen = first.selectbox("Share rows out", list(KINDS), index=list(KINDS).index(kind),
                             format_func=KINDS.__getitem__, key=f"split_kind_{key}")  # fmt: skip
    column = ""
    if chosen:
        named = rule.group or rule.time
        column = second.selectbox("Column", others, index=others.index(named) if named in others else None,
                                  placeholder="choose a column", key=f"split_column_{key}") or ""  # fmt: skip
    valid = third.number_input("Validation share", 0.0, 0.9, rule.valid, 0.025, "%.3f", key=f"split_valid_{key}")
    test = fourth.number_input("Test share", 0.0, 0.9, rule.test, 0.025, "%.3f", key=f"split_test_{key}")
    seed = fifth.number_input("Seed", 0, 2**31 - 1, rule.seed, key=f"split_seed_{key}", disabled=chosen == "time")
    if chosen and not column:
        st.text(f"Choose the column to split {KINDS[chosen]}." if others else "There is no other column to split by.")
        return
    try:
        wanted = SplitRule(valid, test, int(seed), **({chosen: column} if chosen else {}))
        if str(wanted) != str(rule):
            state.change(split=str(wanted))
        if library.is_large(file):
            st.text("The parts of a large data set are made when training starts.")
            return
        _parts(library.dataset(file, **state.reading()), wanted)
    except FgdesignError as error:
        st.badge("This split is not possible", icon=":material/error:", color="red")
        st.text(str(error))


def _parts(data: Dataset, rule: SplitRule) -> None:
    """Rows and labels of each part, and notes."""
    found = split(data, rule)
    rows: list[dict[str, Any]] = []
    targets = np.asarray(data.targets)
    for part in PARTS:
        at = getattr(found, part)
        line: dict[str, Any] = {"part": part, "rows": len(at), "share": len(at) / max(1, len(data))}
        if data.task.kind == "regression":
            line["mean"] = float(targets[at].mean()) if len(at) else None
        else:
            classes = len(data.labels)
            counts = targets[at].sum(0) if data.task.kind == "multi" else np.bincount(targets[at], minlength=classes)
            line |= {name: int(number) for name, number in zip(data.labels, counts, strict=True)}
        rows.append(line)
    parts.table(pd.DataFrame(rows), "parts")
    for note in found.notes:
        st.text(note)
