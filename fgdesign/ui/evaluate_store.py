"""The rows a run is judged on: a part of its own data, or another file; answered once and kept beside the run.

Knows nothing of how they are shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from fgdesign.errors import DataError
from fgdesign.runs.folder import RunFolder
from fgdesign.ui import library, models, route_set_store, route_set_work
from fgdesign.ui.route_set_store import PARTS
from fgdesign.views.numbers import plain

if TYPE_CHECKING:
    from fgdesign.data import Dataset
    from fgdesign.insight.answered_set import AnsweredSet
    from fgdesign.insight.settings import Opinions

BY_ITSELF = 5_000  # rows that are answered without being asked


@dataclass(frozen=True)
class Source:
    """Which rows. part: of the run's own data, "" for a file. file: id of a data file, "" for a part."""

    part: str = ""
    file: str = ""

    @property
    def name(self) -> str:
        """Names it in files and keys."""
        return self.part or f"file-{self.file}"

    @property
    def words(self) -> str:
        """As people say it."""
        found = library.find(self.file) if self.file else None
        return PARTS.get(self.part) or (f"rows of {found.title}" if found else "rows of a file that is gone")


def data_of(run: RunFolder, source: Source) -> Dataset:
    """The rows. Raises RunError or DataError."""
    if source.part:
        return route_set_store.part_data(run, source.part)
    file = library.find(source.file)
    if file is None:
        raise DataError("This data file is gone. Pick another one.")
    return _file_data(str(run.path), str(file.path), file.path.stat().st_mtime_ns)


def kept(run: RunFolder, source: Source) -> AnsweredSet | None:
    """The answers where they are there already, None where not."""
    if source.part:
        return route_set_store.kept(run, source.part)
    path = route_set_store.file_of(run, f"{source.name}.npz")
    return _kept(run, source, str(path), path.stat().st_mtime_ns) if path.is_file() else None


def answer(run: RunFolder, source: Source, progress: Callable[[int, int], None] | None = None) -> AnsweredSet:
    """The answers, computed where they are not kept yet. Raises RunError or DataError."""
    if source.part:
        return route_set_store.answer(run, source.part, progress)
    found = kept(run, source)
    if found is None:
        from fgdesign.insight.answered_set import answered

        found = answered(models.trained(run), data_of(run, source), progress)
        found.save(route_set_store.file_of(run, f"{source.name}.npz"))
    return found


def answers(run: RunFolder, source: Source) -> AnsweredSet | None:
    """The answers, with progress where they are not kept yet; None while that waits for a press."""
    found = kept(run, source)
    if found is not None:
        return found
    count = len(data_of(run, source))
    models.trained(run)
    return route_set_work.done(
        f"answer_{run.name}_{source.name}", f"Answering {plain(count)} {source.words} with {run.name}",
        lambda progress: answer(run, source, progress), by_itself=count <= BY_ITSELF,
        ask=f"Answer {plain(count)} {source.words}")


def opinions(run: RunFolder, source: Source, answered: AnsweredSet) -> Opinions | None:
    """What every exit would answer to the rows, kept beside the run; None while that waits for a press."""
    from fgdesign.insight.settings import load_opinions
    from fgdesign.insight.settings import opinions as ask

    path = route_set_store.file_of(run, f"{source.name}-opinions.npz")
    found = _opinions(run, source, str(path), path.stat().st_mtime_ns) if path.is_file() else None
    if found is not None:
        return found

    def work(progress: Callable[[int, int], None]) -> Opinions:
        made = ask(models.trained(run), answered, progress)
        made.save(path)
        return made

    if load_opinions(path, answered) is not None:  # written while another session asked
        return load_opinions(path, answered)
    return route_set_work.done(f"opinions_{run.name}_{source.name}", "Asking every exit about every row", work,
                               by_itself=len(answered) <= BY_ITSELF, ask="Ask every exit about every row")


@st.cache_resource(max_entries=4, show_spinner="Reading the file")
def _file_data(path: str, file: str, changed: int) -> Dataset:
    model = models.trained(RunFolder(Path(path)))
    try:
        return model.load(file)
    except DataError:
        return model.load(file, require_label=False)


@st.cache_resource(max_entries=8, show_spinner=False, hash_funcs={RunFolder: lambda run: str(run.path)})
def _kept(run: RunFolder, source: Source, file: str, changed: int) -> AnsweredSet | None:
    from fgdesign.insight.answered_set import load_answered

    return load_answered(Path(file), data_of(run, source))


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs={RunFolder: lambda run: str(run.path)})
def _opinions(run: RunFolder, source: Source, file: str, changed: int) -> Opinions | None:
    from fgdesign.insight.settings import load_opinions

    answered = kept(run, source)
    return None if answered is None else load_opinions(Path(file), answered)
