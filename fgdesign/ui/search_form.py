"""Begin a search from the page: what may change, by a file of one's own too, and how many trials.

Knows nothing of how it is carried out.
"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.graph import Graph, errors
from fgdesign.runs.command_line import flags
from fgdesign.runs.good_space import good_space
from fgdesign.runs.search import TRIALS, begin, require_optuna
from fgdesign.runs.space import Space, check_space, read_space, title, write_space
from fgdesign.runs.store import open_store
from fgdesign.runs.supervisor import ensure
from fgdesign.training.settings import settings_from
from fgdesign.ui import library, parts, start, state
from fgdesign.ui.words import label

CHANGES = "search_changes"  # session key: names of what may change
GIVEN = "search_space_file"  # session key: a space file


def show() -> None:
    """What is searched on what, what may change, the button that starts it, the same as a command."""
    graph, file = state.current_graph(), state.current_data()
    try:
        require_optuna()
    except FgdesignError as error:
        st.text(str(error))
        return
    if file is None or errors(graph):
        st.text("Choose data and repair the graph first: the form above says what is missing.")
        return
    st.text(f"Tries other settings of graph {graph.name}, and other graphs like it, on {file.title}. All else is as in "
            "the form above. Each trial is a run of the queue.")
    told = st.session_state.get(state.SETTINGS) or {}
    first, everything = _spaces(graph.identity, str(sorted(told.items())), graph)
    space = _changes(graph, first, everything)
    trials, parallel, prune = _counts()
    if st.button("Start search", key="start_search", type="primary", icon=":material/search:", disabled=not space,
                 help="Goes on by itself, also when this page is closed"):
        _start(graph, file, space, trials, parallel, prune)
    more = [*(("--parallel", parallel) if parallel > 1 else ()), *(() if prune else ("--no-prune",)), "--queue"]
    data = start.files(file)
    parts.show_command("search", start.graph_word(graph), data.pop("train"), "--trials", trials, "--space",
                       "space.json", *more, *flags(**data, **settings_from(told).changed))


def _changes(graph: Graph, first: Space, everything: Space) -> Space:
    """What may change: chosen from all that can, or from what a file says, whose ranges count."""
    upload = st.session_state.get(GIVEN)
    with st.container():  # there in any case, so that what is below keeps its place, and stays unfolded
        given = _given(graph)
    key = f"{CHANGES}_{graph.identity[:12]}_{upload.file_id if upload else ''}"
    if key not in st.session_state:
        st.session_state[key] = list(given or first)
    known = everything | given
    names = st.multiselect("What may change", list(known), key=key, format_func=title)
    space = {name: known[name] for name in names}
    with st.expander("What each of them may be", icon=":material/tune:"):
        frame = pd.DataFrame([{"choice": title(name), "may be": str(choice), "name": name}
                              for name, choice in space.items()])
        st.dataframe(frame, hide_index=True, key="search_space")
        st.download_button("Download as JSON", write_space(space), "space.json", "application/json",
                           key="download_space", icon=":material/download:", type="tertiary", on_click="ignore",
                           help="To change a range, edit the file and give it back below")
        st.file_uploader("A space file: its choices and ranges instead", type="json", key=GIVEN)
    return space


def _given(graph: Graph) -> Space:
    """What the given file says; nothing, with the reason, where it does not fit the graph."""
    upload = st.session_state.get(GIVEN)
    if upload is None:
        return {}
    told = st.session_state.get(state.SETTINGS) or {}
    try:
        return _read(upload.getvalue(), graph.identity, str(sorted(told.items())), graph)
    except FgdesignError as error:
        st.text(f"{upload.name}: {error}")
        return {}


@st.cache_data(max_entries=20, show_spinner=False)
def _read(content: bytes, identity: str, told: str, _graph: Graph) -> Space:
    space = read_space(content)
    check_space(space, _graph, settings_from(st.session_state.get(state.SETTINGS) or {}))
    return space


def _counts() -> tuple[int, int, bool]:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        trials = st.number_input("Trials", 1, 1000, TRIALS, key="search_trials", width=140)
        parallel = st.number_input("At a time", 1, 16, key="search_parallel", width=140,
                                   help="As far as the queue has slots; one after the other learns more from each")
        prune = st.toggle("Prune", True, key="search_prune", help="End a trial early that is worse than the middle of "
                          "those before it at the same validation")
    return int(trials), int(parallel), prune


@st.cache_data(max_entries=20, show_spinner=False)
def _spaces(identity: str, told: str, _graph: Graph) -> tuple[Space, Space]:
    """What is good for a graph, and all that can be searched."""
    settings = settings_from(st.session_state.get(state.SETTINGS) or {})
    return good_space(_graph, settings), good_space(_graph, settings, everything=True)


def _start(graph: Graph, file: library.DataFile, space: Space, trials: int, parallel: int, prune: bool) -> None:
    settings = settings_from(st.session_state.get(state.SETTINGS) or {})
    try:
        search = begin(open_store(), graph, start.files(file), settings, space=space, trials=trials, parallel=parallel,
                       prune=prune)
    except FgdesignError as error:
        st.text(str(error))
        return
    ensure()
    st.session_state[state.SEARCH] = search.name
    st.toast(f"{label(search.name)} has begun.", icon=":material/search:")
    st.rerun()  # the whole page: it is shown below
