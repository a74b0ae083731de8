"""A run taken as the model of the next: its graph, files, columns, settings and start into the form; what could not be.

Knows nothing of training.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.runs.folder import RunFolder
from fgdesign.training.settings import settings_from
from fgdesign.ui import data_profile, library, settings_form, state
from fgdesign.ui.words import label

COLUMNS = ("text", "text_b", "label", "split")


def take(run: RunFolder, *, weights: bool = False) -> None:
    """Put a run where the next one is made. weights: the next one starts from what this one has learned."""
    try:
        config, graph = run.config(), run.graph()
        settings_form.take(settings_from(config.get("settings", {})))
    except FgdesignError as error:
        st.toast(label(str(error), 200), icon=":material/error:")
        return
    data = config.get("data", {})
    file = _in_library(data.get("train"))
    changed: dict[str, Any] = {} if file is None else {
        "data": file.id, **{name: data.get(name) or "" for name in COLUMNS}, "task": data.get("task") or "auto"}
    state.change(graph=graph, **changed)
    lost = [] if file is not None else [f"its data, {data.get('train')}"]
    rest = {"file": "" if file is None else file.id}
    if file is not None:
        test = _in_library(data.get("test"))
        data_profile.set_test(file, "" if test is None else test.id)
        lost += [f"its test rows, {data['test']}"] if data.get("test") and test is None else []
    start = str(run.path.absolute()) if weights else config.get("start")
    for name, path, what in (("valid", data.get("valid"), "its validation rows"),
                             ("start", start, "the run it started from")):
        if path and Path(path).exists():
            rest[name] = path
        elif path:
            lost.append(f"{what}, {path}")
    st.session_state[state.CLONED] = run.name
    st.session_state[state.NEXT_OPEN] = True
    st.session_state[state.CLONED_REST] = {**rest, "lost": lost}
    st.toast(f"{label(run.name)} is in the form. Change one thing and train.", icon=":material/content_copy:")


def show() -> None:
    """Which run the form follows, what of it is not there any more, and the way out."""
    name = st.session_state.get(state.CLONED)
    if name is None:
        return
    rest = st.session_state.get(state.CLONED_REST) or {}
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="cloned_line"):
        start = Path(rest["start"]).name if "start" in rest else ""
        st.caption(f"As {label(name)} was trained; change one thing." +
                   (f" It starts from the weights of {label(start)}." if start else ""))
        st.button("Forget it", icon=":material/close:", type="tertiary", key="forget_clone",
                  on_click=state.forget_clone, help="The form stays as it is, and no longer follows that run")
    for what in rest.get("lost", ()):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.badge("Not as it was", icon=":material/warning:", color="orange")
            st.text(f"This could not be taken over, because it is not there any more: {what}.")


def _in_library(path: str | None) -> library.DataFile | None:
    """The data set of this file; one from elsewhere is brought in, as it is now. None where there is no file."""
    known = (*library.samples(), *library.uploads())
    found = next((file for file in known if str(file.path.resolve()) == path), None)
    if found is not None or not path:
        return found
    try:
        with Path(path).open("rb") as stream:
            return library.store(stream, "-".join(Path(path).parts[-2:]))
    except (OSError, FgdesignError):
        return None
