"""All runs of the workspace: found again, marked, noted, compared, cloned, deleted and brought back.

Knows nothing of training.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.runs import command_line
from fgdesign.runs.folder import RunFolder
from fgdesign.runs.store import STATES, Job, Store, open_store
from fgdesign.training.settings import settings_from
from fgdesign.ui import clone, parts, runs_compare, runs_table, state
from fgdesign.ui.words import label

UNDO_SECONDS = 300.0  # for so long a deletion can be undone at one click, also after a reload
CHOSEN = "runs_chosen"  # session key: names of the runs that are chosen in the table
DELETED = "runs_deleted"  # session key: names of the runs deleted last


def show() -> None:
    """The filter, the table, and what can be done with the runs that are chosen in it."""
    store = open_store()
    everything = store.jobs()
    if not everything and not store.jobs(deleted=True):
        st.text("No run yet.")
        return
    if DELETED not in st.session_state:  # the page was loaded anew
        st.session_state[DELETED] = [job.name for job in store.jobs(deleted=True) if job.trial is None
                                     and time.time() - (job.deleted_at or 0.0) < UNDO_SECONDS]
    parts.undo(st.session_state[DELETED], _bring_back, key="undo_delete")
    deleted, jobs = _filtered(store, everything)
    chosen = _table(jobs)
    if deleted:
        for name in chosen:
            st.button(f"Bring back {label(name, 60)}", key=f"undelete_{name}", icon=":material/restore:",
                      on_click=_bring_back, args=([name],))
    elif len(chosen) == 1:
        _one(next(job for job in jobs if job.name == chosen[0]))
    elif chosen:
        runs_compare.show([job.folder for job in jobs if job.name in chosen])
        names = [job.name for job in jobs if job.name in chosen]
        st.button(f"Delete {len(names)} runs", icon=":material/delete:", key="delete_runs", on_click=_delete,
                  args=(names,))
    else:
        st.caption("Choose one run to look at it, mark it, clone or delete it; two or more to compare them.")


def show_deleted(run: RunFolder) -> None:
    """What is left to do with a run that the address names, and that was deleted."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="run_deleted"):
        st.badge("deleted", icon=":material/delete:", color="orange")
        st.text("It is kept for a week.")
        st.button("Bring it back", icon=":material/restore:", key="bring_back_run", on_click=_bring_back,
                  args=([run.name],))


def _filtered(store: Store, everything: Sequence[Job]) -> tuple[bool, list[Job]]:
    """The filter's fields; whether deleted runs are shown, and the runs that fit."""
    groups = sorted({job.group_name for job in everything if job.group_name})
    tags = sorted({tag for job in everything for tag in job.tags})
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        search = st.text_input("Find", key="runs_search", placeholder="name, note, tag", width=200)
        states = st.multiselect("State", STATES, key="runs_states", width=220)
        tag = st.selectbox("Tag", tags, None, key="runs_tag", width=140, placeholder="any") or ""
        group = st.selectbox("Group", groups, None, key="runs_group", width=180, placeholder="any",
                             help="Several seeds of one run") or ""
        starred = st.toggle("Starred", key="runs_starred")
        deleted = st.toggle("Deleted", key="runs_show_deleted", help="Kept for a week")
    jobs = store.jobs(states=states or None, search=search, tag=tag, group=group, starred=starred, deleted=deleted)
    if group:
        runs_compare.summary([job.folder for job in jobs])
    return deleted, jobs


def _table(jobs: Sequence[Job]) -> list[str]:
    """The table; names of the chosen runs, in its order."""
    by_name = {job.name: job for job in jobs}
    frame = runs_table.rows([job.folder for job in jobs])
    mine = [by_name[name] for name in frame["run"]]
    frame.insert(0, "star", ["★" if job.starred else "" for job in mine])
    frame["tags"] = [list(job.tags) for job in mine]
    frame["note"] = [job.note for job in mine]
    frame["group"] = [job.group_name for job in mine]
    if frame.empty:
        st.text("No run fits. Take something out of the filter.")
        return []
    names = frame["run"].tolist()
    key = f"runs_{abs(hash(tuple(names)))}"  # another list, another selection: a row is not another run's

    def choose() -> None:
        rows = st.session_state[key]["selection"]["rows"]
        st.session_state[CHOSEN] = [names[row] for row in rows]
        if len(rows) == 1 and not by_name[names[rows[0]]].deleted_at:
            state.set_run(names[rows[0]])

    if len(jobs) > runs_table.MOST:
        st.caption(f"The newest {runs_table.MOST} of {len(jobs)} runs that fit; a narrower filter shows the others.")
    config = {**runs_table.SHOWN, "tags": st.column_config.ListColumn("tags")}
    st.dataframe(frame, hide_index=True, key=key, on_select=choose, selection_mode="multi-row", column_config=config,
                 placeholder="")
    parts.download(frame.assign(tags=[", ".join(job.tags) for job in mine]), "runs", key="download_runs")
    return [name for name in names if name in st.session_state.get(CHOSEN, [])]


def _one(job: Job) -> None:
    """What can be done with one run."""
    name = job.name
    with st.container(border=True, key="run_desk"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.text(name)
            st.space("stretch")
            st.button("Unstar" if job.starred else "Star", icon=":material/star:", key="star_run", on_click=_mark,
                      args=(name, not job.starred))
            st.button("Clone", icon=":material/content_copy:", key="clone_run", on_click=clone.take, args=(job.folder,),
                      help="Its graph, data and settings into the form above; change one thing and train.")
            if (job.folder.model / "config.json").is_file():
                st.button("Train further", icon=":material/double_arrow:", key="further_run", on_click=clone.take,
                          args=(job.folder,), kwargs={"weights": True},
                          help="The same into the form, for a new run that starts from what this one has learned")
            st.button("Delete", icon=":material/delete:", key="delete_run", on_click=_delete, args=([name],))
        tags, note = st.columns(2)
        parts.show_stored(f"tags_{name}", ", ".join(job.tags))
        parts.show_stored(f"note_{name}", job.note)
        tags.text_input("Tags, with commas", key=f"tags_{name}", on_change=_tag, args=(name,))
        note.text_input("Note", key=f"note_{name}", on_change=_note, args=(name,))
        words = _command(job.folder)
        if words:
            parts.show_command(*words, note="The command that trains the same")


def _command(run: RunFolder) -> list[str]:
    try:
        config = run.config()
        changed = settings_from(config["settings"]).changed
    except (FgdesignError, KeyError):
        return []
    columns = {name: config["data"].get(name) for name in ("text", "text_b", "label", "valid", "test", "split")}
    columns |= {"task": None if config["data"].get("task") == "auto" else config["data"].get("task"),
                "start": config.get("start")}
    out = run.path.with_name(f"{run.name}-again")
    return command_line.command(str(run.path / "graph.json"), Path(config["data"]["train"]), out, **columns, **changed)


def _mark(name: str, on: bool) -> None:
    parts.attempt(lambda: open_store().star(name, on))


def _tag(name: str) -> None:
    key = f"tags_{name}"
    parts.attempt(lambda: open_store().tag(name, st.session_state[key].split(",")))
    parts.show_stored(key, ", ".join(open_store().job(name).tags), anew=True)


def _note(name: str) -> None:
    parts.attempt(lambda: open_store().note(name, st.session_state[f"note_{name}"]))


def _delete(names: list[str]) -> None:
    gone = [name for name in names if parts.attempt(partial(open_store().delete, name))]
    st.session_state[DELETED], st.session_state[CHOSEN] = gone, [name for name in names if name not in gone]
    if state.project().run in gone or st.query_params.get("run") in gone:
        state.forget_run()


def _bring_back(names: list[str]) -> None:
    st.session_state[DELETED] = [name for name in names if not parts.attempt(partial(open_store().undelete, name))]
