"""What a session knows: every session key, and the project behind them, which outlives the session.

The project is one small file in the workspace: the graph being drawn, the data chosen for it, the run looked at.
Knows nothing of widgets.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import streamlit as st

from fgdesign.errors import GraphError
from fgdesign.graph import Graph, load_graph
from fgdesign.graph.spec import from_dict, to_dict
from fgdesign.runs.folder import RunFolder, list_runs, workspace
from fgdesign.runs.store import open_store
from fgdesign.ui import library

PROJECT = "project"  # session key of the Project
RECIPES = "recipes"  # session key: data file id -> Recipe of the repairs accepted for it
TESTS = "test_files"  # session key: data file id -> id of the file it is to be tested on
VIEW = "data_view"  # session key: the view of a data set below its pictures
SHOWN = "shown_finding"  # session key: the finding whose rows are shown
TEXT = "routes_text"  # session key: the text whose route is shown
NEXT_OPEN = "next_run_open"  # session key: whether the fold of the next run is open
CLONED = "runs_cloned"  # session key: the run whose settings are those of the next run
CLONED_REST = "runs_cloned_rest"  # session key: what of that run the form has no field for
SEARCH = "search_shown"  # session key: name of the search that is looked at
SETTINGS = "train_settings"  # session key: the settings of the next run, as plain data
FIRST_GRAPH = "cheap-word-first"
FIRST_DATA = "sample-support_tickets"
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


@dataclass(frozen=True)
class Project:
    """graph: what is drawn. data: a data file's id; text, text_b, label, task: how it is read, "" where guessed.

    split: the rule of its parts, "" for the usual one.
    run: name of the run looked at, "" for the newest.
    """

    graph: Graph
    data: str = FIRST_DATA
    text: str = ""
    text_b: str = ""
    label: str = ""
    task: str = "auto"
    split: str = ""
    run: str = ""
    name: str = "Sample project"


def project() -> Project:
    """The open project; the sample project on the first start."""
    if PROJECT not in st.session_state:
        st.session_state[PROJECT] = _load()
    found: Project = st.session_state[PROJECT]
    return found


def change(**values: Any) -> Project:
    """Set fields of the project and save it."""
    changed = replace(project(), **values)
    st.session_state[PROJECT] = changed
    _save(changed)
    return changed


def current_graph() -> Graph:
    """The graph being drawn."""
    return project().graph


def set_graph(graph: Graph) -> None:
    """Make this the graph being drawn."""
    change(graph=graph)


def current_data() -> library.DataFile | None:
    """The chosen data file, or None when none is chosen or it is gone."""
    return library.find(project().data)


def set_data(file_id: str) -> None:
    """Choose a data file; how its columns are read is guessed anew."""
    change(data=file_id, text="", text_b="", label="", task="auto", split="")


def keep_reading(file_id: str, **changed: str) -> None:
    """Choose another version of the data, its columns and parts read as before; `changed` ones get other names."""
    here = project()
    columns = {name: changed.get(name, getattr(here, name)) for name in ("text", "text_b", "label")}
    change(data=file_id, **columns)


def reading() -> dict[str, Any]:
    """How the chosen data are read, as `load_dataset` takes it."""
    here = project()
    return {"text": here.text or None, "text_b": here.text_b or None, "label": here.label or None, "task": here.task}


def current_run() -> RunFolder | None:
    """The run named in the address (?run=NAME), else the one looked at last, else the newest."""
    for name in (st.query_params.get("run", ""), project().run):
        if (found := run_named(name)) is not None:
            return found
    return next(iter(list_runs(workspace())), None)


def set_run(name: str) -> None:
    """Look at this run, here and in the address."""
    change(run=name)
    st.query_params["run"] = name


def forget_run() -> None:
    """Look at no run in particular."""
    change(run="")
    st.query_params.pop("run", None)


def forget_clone() -> None:
    """Let the next run follow no other."""
    for key in (CLONED, CLONED_REST):
        st.session_state.pop(key, None)


def run_named(name: str) -> RunFolder | None:
    """A run of the workspace, or one that its record knows elsewhere or by an odd name; a name is never a path."""
    path = workspace() / "runs" / name
    if RUN_NAME.fullmatch(name) and path.is_dir():
        return RunFolder(path)
    known = open_store().find(name) if name else None
    return known.folder if known is not None and known.folder.path.is_dir() else None


def _load() -> Project:
    try:
        saved = json.loads((workspace() / "project.json").read_text("utf-8"))
        graph = from_dict(saved.pop("graph"))
        known = {field.name for field in fields(Project)}
        return Project(graph, **{key: str(value) for key, value in saved.items() if key in known})
    except (OSError, ValueError, AttributeError, KeyError, GraphError):
        return Project(load_graph(FIRST_GRAPH))


def _save(changed: Project) -> None:
    folder = workspace()
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".project-{uuid.uuid4().hex}"
    values = {key: value for key, value in asdict(replace(changed, graph=Graph(""))).items() if key != "graph"}
    aside.write_text(json.dumps({**values, "graph": to_dict(changed.graph)}, ensure_ascii=False), "utf-8")
    aside.replace(folder / "project.json")
