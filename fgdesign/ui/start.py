"""Begin a training run from a page: on what, with which settings, and the button. Knows nothing of torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.graph import STARTERS, Graph, errors, require_valid, to_json
from fgdesign.runs import command_line
from fgdesign.runs.folder import FINAL_STATES, RunFolder, list_runs, workspace
from fgdesign.runs.seeds import submit_seeds
from fgdesign.runs.store import open_store
from fgdesign.runs.supervisor import ensure
from fgdesign.ui import data_profile, library, state
from fgdesign.ui.words import label


def begin(graph: Graph, file: library.DataFile, *, seeds: int = 1, **settings: Any) -> RunFolder:
    """Put a run, or one for each of several seeds, into the queue and look at the first.

    Raises GraphError for a graph with errors.
    """
    require_valid(graph)
    if not library.is_large(file):  # a large one is read by the run itself, which says what is wrong
        library.dataset(file, **state.reading())
    chosen = {name: value for name, value in settings.items() if value is not None}
    data, source = files(file), rest(file).get("start")
    if seeds > 1:
        first = int(chosen.get("seed", 0))
        run = submit_seeds(open_store(), graph, data, chosen, range(first, first + seeds), start=source)[0]
    else:
        run = open_store().submit(graph, data, chosen, start=source)
    ensure()
    state.forget_clone()
    st.session_state.pop(state.NEXT_OPEN, None)
    state.set_run(run.name)
    return run


def files(file: library.DataFile) -> dict[str, str]:
    """Which files and columns a run on this one learns from and is tested on."""
    test = data_profile.test_of(file)
    parts = {"valid": rest(file).get("valid"), "test": None if test is None else str(test.path.resolve())}
    return {"train": str(file.path.resolve()), **{part: path for part, path in parts.items() if path}, **columns()}


def rest(file: library.DataFile) -> dict[str, str]:
    """What a clone takes over without a field: `start`, a run whose weights are used; of its own data `valid` too."""
    held = st.session_state.get(state.CLONED_REST) or {}
    names = ("valid", "start") if held.get("file") == file.id else ("start",)
    return {name: held[name] for name in names if name in held}


def columns() -> dict[str, str]:
    """What a person set about columns and task; what is guessed is left out."""
    here = state.project()
    chosen = {
        "text": here.text,
        "text_b": here.text_b,
        "label": here.label,
        "task": "" if here.task == "auto" else here.task,
        "split": here.split,
    }
    return {name: value for name, value in chosen.items() if value}


def train_button(graph: Graph, *, key: str = "train_now", seeds: int = 1, **settings: Any) -> None:
    """The button that trains `graph` on the chosen data and goes to the live curves."""
    file = state.current_data()
    if file is None:
        st.page_link("pages/data.py", label="Choose data to train on", icon=":material/table:")
        return
    wrong = errors(graph)
    hint = f"First repair: {wrong[0].message}" if wrong else "Starts at once with the settings that suit the data."
    if st.button(
        f"Train on {label(file.title)}" + (f", {seeds} seeds" if seeds > 1 else ""),
        key=key,
        type="primary",
        icon=":material/play_arrow:",
        help=label(hint, 300),
        disabled=bool(wrong),
    ):
        try:
            run = begin(graph, file, seeds=seeds, **settings)
        except FgdesignError as error:
            st.text(str(error))
            return
        st.switch_page("pages/train.py", query_params={"run": run.name})


def command_words(graph: Graph, file: library.DataFile, **settings: Any) -> list[str]:
    """The words after `fgdesign` that train the same."""
    told: dict[str, Any] = {**files(file), "start": rest(file).get("start"), **settings}
    return command_line.command(graph_word(graph), Path(told.pop("train")), workspace() / "runs" / "NAME", **told)


def graph_word(graph: Graph) -> str:
    """What a command calls a graph: a starter's name, else a file that holds this very graph, by its content."""
    if graph.name in STARTERS and STARTERS[graph.name].graph.identity == graph.identity:
        return graph.name
    file = workspace() / "commands" / f"{graph.identity[:12]}.json"
    try:
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            aside = file.with_name(f"{file.name}.{uuid4().hex}")  # whoever copies the command finds a whole file
            aside.write_text(to_json(graph), "utf-8")
            aside.replace(file)
    except OSError:
        return f"{graph.name}.json"
    return str(file)


def running() -> list[RunFolder]:
    """Runs that are at work now."""
    return [run for run in list_runs(workspace()) if run.status()["state"] not in (*FINAL_STATES, "paused")]
