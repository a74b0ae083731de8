"""Searches as they go: state, best so far, all trials in a table and a picture, what is found put in place; ended ones
deleted and brought back.

Knows nothing of Optuna.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.runs import search as searches
from fgdesign.runs.compare import judged
from fgdesign.runs.folder import RunFolder
from fgdesign.runs.search import AT_WORK, OPEN, Search, list_searches
from fgdesign.runs.space import title
from fgdesign.runs.store import open_store
from fgdesign.runs.supervisor import ensure
from fgdesign.ui import parts, settings_form, state
from fgdesign.ui.words import label
from fgdesign.views import search_figures
from fgdesign.views.figures import metric_name
from fgdesign.views.numbers import plain

PICTURES = ("trials", "what decided", "history")
COLOURS: dict[str, Any] = {"done": "green", "failed": "red", "stopped": "orange", "paused": "orange"}  # others blue
MORE = 10  # trials at a click
TAKEN = "search_taken"  # session key: what a trial chose was just put into the form
GONE = "searches_deleted"  # session key: names of the searches deleted last


def show() -> None:
    """The search that is looked at; nothing where there is none."""
    found, hidden = list_searches(), list_searches(deleted=True)
    if not found and not hidden:
        return
    st.subheader("Search", anchor=False)
    parts.undo(st.session_state.get(GONE, ()), _bring_back, key="undo_search")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if hidden and st.toggle("Deleted", key="searches_show_deleted", help="Kept for a week"):
            found = hidden
        search = _chosen(found)
    if search is None:
        return
    now = _now(search)
    parts.fragment(_draw, 1.0 if now[0] in AT_WORK else None)(search, now)


def _now(search: Search) -> tuple[str, bool]:
    """Its state, and whether it is deleted: what the whole page depends on."""
    return str(search.told()["state"]), search.hidden() is not None


def _chosen(found: list[Search]) -> Search | None:
    """The one that is looked at, by a list where there are several."""
    names = [search.name for search in found]
    if names and st.session_state.get(state.SEARCH) not in names:
        st.session_state[state.SEARCH] = names[0]
    if len(names) > 1:
        st.selectbox("Search", names, key=state.SEARCH, label_visibility="collapsed", width=320)
    return next((one for one in found if one.name == st.session_state[state.SEARCH]), None)


def _draw(search: Search, shown: tuple[str, bool]) -> None:
    told, trials = search.told(), search.trials()
    if _now(search) != shown or st.session_state.pop(TAKEN, False):
        st.rerun()  # the whole page: its form and its header show it too
    with st.container(key="search_desk"):
        _head(search, told, trials)
        if trials:
            _picture(search, told, trials)
            _table(search, trials)
        elif told["state"] in AT_WORK:
            st.caption("The first trial is being asked for.")
        _commands(search, told["state"])


def _head(search: Search, told: dict[str, Any], trials: list[dict[str, Any]]) -> None:
    ended = sum(trial["state"] not in OPEN for trial in trials)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge(told["state"], color=COLOURS.get(told["state"], "blue"))
        best = search.best()
        words = [search.graph().name, f"{ended} of {told['trials']} trials are through"]
        if best is not None:
            words.append(f"best {plain(best['value'])} in trial {best['number']}")
        st.text(" · ".join(words))
        st.space("stretch")
        if best is not None:
            st.button("Use the best", key="use_best", icon=":material/check:", on_click=_use,
                      args=(search, best["number"]), help="Its graph and settings into the form above")
        _wishes(search, told)
    if told["state"] == "failed" or (told["state"] == "done" and best is None):
        st.text(told["message"])
    if told["state"] in (*AT_WORK, "paused"):
        st.progress(min(1.0, ended / told["trials"]))


def _wishes(search: Search, told: dict[str, Any]) -> None:
    """Buttons for what can be done with a search now."""
    if search.hidden() is not None:
        st.button("Bring back", key="undelete_search", icon=":material/restore:", on_click=_bring_back,
                  args=([search.name],))
        return
    now = told["state"]
    if now in ("running", "resuming"):
        st.button("Pause search", key="pause_search", icon=":material/pause:", on_click=_ask, args=("pause", search),
                  help="Puts the trials at hand aside; they go on from their very step")
    if now in ("pausing", "paused", "stopped", "failed"):
        st.button("Go on", key="resume_search", icon=":material/play_arrow:", on_click=_ask, args=("resume", search),
                  help=f"Until {told['trials']} trials are through")
    if now in (*AT_WORK, "paused"):
        st.button("Stop search", key="stop_search", icon=":material/stop:", on_click=_ask, args=("stop", search),
                  disabled=now == "stopping", help="Ends the trials at hand; it can go on later with others")
    if now not in AT_WORK:
        st.button(f"{MORE} more trials", key="more_trials", icon=":material/add:", on_click=_ask,
                  args=("resume", search), kwargs={"more": MORE})
        st.button("Delete search", key="delete_search", icon=":material/delete:", on_click=_ask,
                  args=("delete", search), help="With the runs of its trials; both can be brought back for a week")


def _commands(search: Search, now: str) -> None:
    """The same from a terminal. now: the state of the search."""
    if search.hidden() is not None:
        parts.show_command("searches", "undelete", search.name, note="Bring it back from the command line")
    elif now in AT_WORK:
        parts.show_command("searches", "pause", search.name, then=("searches", "stop", search.name),
                           note="Pause or stop it from the command line")
    else:
        more = () if now == "paused" else ("--more", MORE)
        parts.show_command("searches", "resume", search.name, *more, note="Go on with it from the command line")


def _picture(search: Search, told: dict[str, Any], trials: list[dict[str, Any]]) -> None:
    kind = st.segmented_control("Picture", PICTURES, default=PICTURES[0], required=True, key="search_picture",
                                label_visibility="collapsed")
    space, dark, higher = search.space(), parts.is_dark(), bool(told["higher"])
    names = {name: title(name) for name in space}
    first = open_store().root / "runs" / search.run_name(trials[0]["number"])
    metric = f"Validation {metric_name(judged(RunFolder(first))[0])}"
    if kind == "what decided":
        figure = search_figures.importance(_importance(search.name, _through(trials), search), names, dark=dark)
    elif kind == "history":
        figure = search_figures.history(trials, metric, higher=higher, dark=dark)
    else:
        logs = [name for name, choice in space.items() if choice.log]
        figure = search_figures.parallel(trials, names, logs, metric, higher=higher, dark=dark)
    parts.chart(figure, f"search_chart_{kind}")


def _through(trials: list[dict[str, Any]]) -> int:
    return sum(trial["state"] == "done" for trial in trials)


@st.cache_data(max_entries=50, show_spinner=False)
def _importance(name: str, through: int, _search: Search) -> dict[str, float]:
    try:
        searches.require_optuna()
    except FgdesignError:
        return {}
    from fgdesign.runs.trials import importance

    return importance(_search)


def _table(search: Search, trials: list[dict[str, Any]]) -> None:
    best = search.best()
    rows = [{"": "★" if best is not None and trial["number"] == best["number"] else "", "trial": trial["number"],
             "state": trial["state"], "score": trial["value"],
             "so far": trial["values"][-1] if trial["values"] and trial["state"] in OPEN else None,
             **{title(name): _cell(value) for name, value in trial["params"].items()},
             "message": trial["message"]} for trial in reversed(trials)]
    frame = pd.DataFrame(rows)
    for column in ("so far", "message"):
        if not frame[column].any():
            frame = frame.drop(columns=column)
    number = st.column_config.NumberColumn(format="%.4f")
    config = {"score": number, "so far": number}
    event: Any = st.dataframe(frame, hide_index=True, key=f"trials_{search.name}", on_select="rerun",
                              selection_mode="single-row", column_config=config, placeholder="")
    chosen = [int(frame["trial"].iloc[row]) for row in event["selection"]["rows"] if row < len(frame)]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for number_ in chosen:
            st.button(f"Use trial {number_}", key="use_trial", icon=":material/check:", on_click=_use,
                      args=(search, number_))
            st.page_link("pages/train.py", label=f"Look at its run {label(search.run_name(number_))}",
                         query_params={"run": search.run_name(number_)})
        if not chosen:
            st.caption("Choose a trial to look at its run or to use what it chose.")
        st.space("stretch")
        parts.download(frame, search.name, key="download_trials")


def _cell(value: Any) -> Any:
    return plain(value) if isinstance(value, float) else str(value)


def _use(search: Search, number: int) -> None:
    """Put what a trial chose where the next run is made."""
    try:
        graph, settings = search.chosen(number)
    except FgdesignError as error:
        st.toast(label(str(error), 200), icon=":material/error:")
        return
    settings_form.take(settings)
    state.change(graph=graph)
    state.forget_clone()
    st.session_state[state.CLONED], st.session_state[TAKEN] = search.run_name(number), True
    st.session_state[state.NEXT_OPEN] = True
    st.toast(f"What trial {number} chose is in the graph and in the form above.", icon=":material/check:")


def _ask(wish: str, search: Search, **more: int) -> None:
    """Ask for something to be done with a search."""
    if parts.attempt(lambda: getattr(searches, wish)(open_store(), search, **more)):
        st.session_state[GONE] = [search.name] if wish == "delete" else []
        ensure()


def _bring_back(names: list[str]) -> None:
    for search in list_searches(deleted=True):
        if search.name in names:
            _ask("undelete", search)
            st.session_state[state.SEARCH] = search.name
