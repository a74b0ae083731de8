"""The parts of the Data page that show a data set: its columns, numbers, pictures, samples and rows.

Knows nothing of repairs and of training.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from fgdesign.data.profile import Told
from fgdesign.ui import data_profile, library, parts, state
from fgdesign.ui.words import label
from fgdesign.views import figures
from fgdesign.views.numbers import percent, plain

TASKS = {"auto": "what is found", "single": "one label", "multi": "several labels", "regression": "a number"}
LABELS_AT_ONCE = 6
GUESS = ""  # the option that leaves the choice to the program


def columns(file: library.DataFile, told: Told) -> None:
    """Which columns are read, and as what."""
    table = data_profile.table_read(file)
    names = [str(name) for name in table.frame.columns]
    here, guess = state.project(), told["guess"]
    places = st.columns(4)
    for place, (key, title) in enumerate((("text", "Text"), ("text_b", "Second text"), ("label", "Label"))):
        chosen = getattr(here, key)
        options = [GUESS, *names]
        widget = f"column_{key}_{file.id}_{guess.get(key)}"  # another guess is another list: its first option says so
        places[place].selectbox(
            title, options, index=options.index(chosen) if chosen in names else 0,
            format_func=_option(guess.get(key)), key=widget, on_change=_choose_column,
            args=(key, file.id, widget),
        )  # fmt: skip
    places[3].selectbox(
        "Predict", list(TASKS), index=list(TASKS).index(here.task), format_func=TASKS.__getitem__,
        key=f"column_task_{file.id}", on_change=_choose_column, args=("task", file.id, f"column_task_{file.id}"),
    )  # fmt: skip
    if told["problem"]:
        st.badge("This cannot be learnt from yet", icon=":material/error:", color="red")
        st.text(told["problem"])
        return
    found = told["columns"]
    said = f"Text: {found['text']}" + (f" and {found['text_b']}" if found["text_b"] else "")
    st.text(f"{said} · label: {found['label']}. {told['reason']}")


def _option(guess: str | None) -> Callable[[str], str]:
    """How the options of a column read: what is found by itself is named."""
    return lambda name: name or (f"{guess} (found)" if guess else "none (found)")


def _choose_column(key: str, file_id: str, widget: str) -> None:
    value, file = st.session_state[widget], library.find(file_id)
    if file is not None:
        data_profile.forget_reading(file, key)
    state.change(**{key: value})


def numbers(file: library.DataFile, told: Told) -> None:
    """Rows, labels, what was left out, what is cut."""
    shown = {
        "Rows": plain(told["used"]),
        "Left out": plain(len(data_profile.table_read(file)) - told["used"]),
        "Labels": plain(len(told["sizes"])) if told["sizes"] else "a number",
        "Columns": plain(len(told["names"])),
    }
    if "cut" in told:
        shown[f"Over {told['limit']} tokens"] = percent(told["cut"])
    for column, (name, value) in zip(st.columns(len(shown)), shown.items(), strict=True):
        column.metric(name, value)


def pictures(told: Told) -> None:
    """How labels and lengths are spread."""
    dark = parts.is_dark()
    left, right = st.columns(2, gap="medium")
    with left:
        if "numbers" in told:
            parts.chart(figures.binned(told["numbers"], "Spread of the label", "label", dark=dark), "labels")
        else:
            parts.chart(figures.class_sizes([(name, size) for name, size in told["sizes"]], dark=dark), "labels")
    with right:
        if told["tokens"] is None:
            parts.chart(figures.binned(told["words"], "Length of texts", "words", dark=dark), "lengths")
        else:
            some = f"{plain(told['counted'])} of the " if told["counted"] < told["used"] else ""
            title = f"Length of {some}texts, beyond {told['limit']} cut"
            parts.chart(figures.binned(told["tokens"], title, "tokens", limit=told["limit"], dark=dark), "lengths")


def samples(told: Told) -> None:
    """Some texts of each label, and groups of texts that are nearly the same."""
    names = list(told["samples"])
    chosen = names
    if len(names) > LABELS_AT_ONCE:
        chosen = st.multiselect("Labels", names, default=names[:LABELS_AT_ONCE], key="sample_labels")
    rows = [{"label": name, "row": row, "text": text} for name in chosen for row, text in told["samples"][name]]
    parts.table(pd.DataFrame(rows, columns=["label", "row", "text"]), "samples", height=320)
    groups = told["near"]
    st.markdown(f"**Near-duplicates**: {plain(len(groups))} groups" if groups else "**Near-duplicates**: none")
    if groups:
        st.caption("Texts that differ in case, spaces and punctuation only; several labels in one group contradict.")
        rows = [{"group": place, "labels": len({cell for _, _, cell in group}), "row": row, "text": text, "label": cell}
                for place, group in enumerate(groups, 1) for row, text, cell in group]  # fmt: skip
        parts.table(pd.DataFrame(rows), "near_duplicates", height=280)


def title(file: library.DataFile) -> None:
    """What is looked at."""
    st.subheader(label(file.title.capitalize()), anchor=False)
