"""What is done to data behind the pages: read, saved as a version, examined. A page shows how far it is, no more.

Nothing that a person clicks meanwhile interrupts it. Knows nothing of how it is done.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from fgdesign.data import background
from fgdesign.data.background import Job, Progress
from fgdesign.data.kept import load_kept
from fgdesign.errors import DataError
from fgdesign.ui import library, state
from fgdesign.ui.words import duration, label

Result = TypeVar("Result")

DESK = "desk"  # session key: names the session to what it began
LOOK = 0.5  # seconds between two looks at how far work is
_owners: dict[str, str] = {}  # desk -> the person at it, for requests that come outside of a session


def desk() -> str:
    """A name for this session that nobody can guess."""
    if DESK not in st.session_state:
        st.session_state[DESK] = secrets.token_urlsafe(24)
        _owners[st.session_state[DESK]] = library.person()
    found: str = st.session_state[DESK]
    return found


def owner_of(name: str) -> str | None:
    """Who is at a desk, None where there is no such desk."""
    return _owners.get(name)


def chosen(file_id: str) -> None:
    """Choose a data set that was read."""
    state.set_data(file_id)
    file = library.find(file_id)
    if file is not None:
        st.toast(f"{label(file.name)} is stored.", icon=":material/check:")


def read(file: library.DataFile, at: str, *, new: bool, then: Callable[[str], None] = chosen) -> Job:
    """Have a stored file read for the session at a desk, in which `then` is called with its id when that is done.

    A new one that cannot be read, or is not wanted any more, is taken away again.
    """
    def work(tell: Progress) -> str:
        try:
            library.keep(file, tell)
        except Exception:
            if new and load_kept(file.path) is None:
                library.forget(file)
            raise
        return file.id

    return background.begin(f"read_{file.id}", f"Reading {file.name}", work, owner=at, then=then)


def save(
    file: library.DataFile, work: Callable[[Progress], library.DataFile], then: Callable[[library.DataFile], None]
) -> None:
    """Have a version of a file made; `then` is called in this session when it is stored."""
    background.begin(saving_key(file), f"Saving {file.name}", work, owner=desk(), then=then)


def saving_key(file: library.DataFile) -> str:
    """Names the work of saving a version of a file."""
    return f"save_{file.id}_{desk()}"


def is_saving(file: library.DataFile) -> bool:
    """Whether a version of it is being saved for this session."""
    job = background.find(saving_key(file))
    return job is not None and not job.over


def take_over() -> None:
    """Choose what was read or saved since the last look, on whatever page this is."""
    for job in background.jobs(desk()):
        if job.state == "done" and job.then is not None:
            background.forget(job)
            job.then(job.result)
        elif job.state == "stopped" and job.then is not None:
            background.forget(job)


def waiting() -> None:
    """What this session has in work, each with its progress and a way to stop it, and what was refused."""
    take_over()
    going = [job for job in background.jobs(desk()) if job.then is not None]
    if any(not job.over for job in going):
        _progress([job.key for job in going if not job.over])
    for job in going:
        if job.state == "refused":
            with st.container(key=f"refused_{job.key}"):
                st.badge("This was not stored", icon=":material/error:", color="red")
                st.text(job.refused)
                st.button("Dismiss", key=f"dismiss_{job.key}", type="tertiary", on_click=background.forget,
                          args=(job,))  # fmt: skip


def result(
    key: str, title: str, work: Callable[[Progress], Result], *, ask: str = "", by_itself: bool = True
) -> Result | None:
    """What some work came to, or None while it goes on, was stopped, or waits for a press.

    Args: key: names the work. title: what is done, shown with the progress. ask: what the button says. by_itself:
    begin without a press. Raises DataError where the work was refused.
    """

    def begin() -> None:
        background.begin(key, title, work, owner=at)

    at, job = desk(), background.find(key)
    if job is None and by_itself:
        begin()
        job = background.find(key)
    if job is None or job.state == "stopped":
        st.button(ask or title, key=f"begin_{key}", icon=":material/play_arrow:", on_click=begin)
        return None
    if not job.over:
        _progress([key])
        return None
    if job.state == "done" or not by_itself:
        background.forget(job)
    if job.state == "refused":
        raise DataError(job.refused)
    found: Result = job.result
    return found


def read_first(file: library.DataFile) -> bool:
    """Whether a file's table is there; where it is not, it is being read, and is shown to be. Raises DataError."""
    if not file.stored or load_kept(file.path) is not None:
        return True
    job = background.find(f"read_{file.id}") or read(file, desk(), new=False)
    if job.state == "refused":
        raise DataError(job.refused)
    st.text("The file is being read.")
    return False


@st.fragment(run_every=LOOK)
def _progress(keys: list[str]) -> None:
    """Bars of work that goes on; the page runs again when any of it is over."""
    for key in keys:
        job = background.find(key)
        if job is None or job.over:
            st.rerun()
        with st.container(horizontal=True, vertical_alignment="center"):
            st.progress(min(1.0, job.part / job.whole), text=_said(job))
            st.button("Stop", key=f"stop_{key}", on_click=job.stop, icon=":material/stop:")


def _said(job: Job) -> str:
    """What is done, how far, and how long it will take."""
    if job.state == "waiting":
        return f"{label(job.title)}: waits for its turn"
    passed = time.time() - job.began
    text = f"{label(job.title)}: {job.part:,} of {job.whole:,}" if job.whole > 1 else label(job.title)
    left = f", about {duration(passed * (job.whole - job.part) / job.part)} left" if job.part and passed > 1 else ""
    return text + left
