"""Data files of the workspace: samples, uploads kept once by content, and their tables while the app runs.

A file that somebody brought is read in a process of its own, with limits; its table stays on disk. Knows nothing of
pages.
"""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import streamlit as st

from fgdesign.data import Dataset, Table, apart, load_dataset, read_table
from fgdesign.data import store as stored
from fgdesign.data.apart import Progress
from fgdesign.data.kept import load_kept
from fgdesign.data.store import DataFile
from fgdesign.runs.folder import workspace
from fgdesign.ui.launch import app_root

__all__ = [
    "LARGE", "DataFile", "dataset", "find", "folder", "forget", "is_large", "keep", "person", "samples", "store",
    "table", "table_at", "uploads", "version",
]  # fmt: skip

SAMPLES = ("support_tickets", "product_reviews", "market_news")
LARGE = 2 << 20  # bytes from which on a file is examined in a process of its own


def folder() -> Path:
    """Where this workspace keeps its data."""
    return workspace() / "data"


def samples() -> list[DataFile]:
    """The data sets that come with the product."""
    paths = (app_root() / "sample_data" / f"{name}.csv" for name in SAMPLES)
    return [DataFile(f"sample-{path.stem}", path.name, path) for path in paths if path.is_file()]


def uploads() -> list[DataFile]:
    """Data sets of this workspace, the newest first."""
    return stored.entries(folder())


def find(file_id: str) -> DataFile | None:
    """The data set with this id, or None."""
    return next((file for file in samples() if file.id == file_id), None) or stored.find(file_id, folder())


def store(stream: IO[bytes], name: str) -> DataFile:
    """Keep an upload, once for each content. Raises DataError when it is empty or larger than 200 MB."""
    return stored.add(stream, name, folder(), owner=person())


def keep(file: DataFile, progress: Progress | None = None) -> None:
    """Read a file in a process of its own and keep its table, where that is not done. Raises DataError."""
    if file.stored and load_kept(file.path) is None:
        apart.run("fgdesign.data.jobs:keep_copy", {"path": str(file.path), "name": file.name}, name=file.name,
                  progress=progress)


def version(
    file: DataFile, job: str, change: Mapping[str, Any], owner: str, progress: Progress | None = None, **what: Any
) -> DataFile:
    """A new data set made of this one. Raises DataError.

    Args:
        job: the function of `fgdesign.data.jobs` that makes it.
        change: "recipe" or "edits", as JSON, kept with it.
        owner: who makes it.
        what: further arguments of the job.
    """
    with stored.disk_told(file.name):
        folder().mkdir(parents=True, exist_ok=True)
    about = {"owner": owner, "parent": file.id, "change": dict(change)}
    name = f"{Path(file.name).stem}.csv"
    arguments = {"path": str(file.path), "name": name, "about": about, "folder": str(folder()), **what}
    file_id = apart.run(f"fgdesign.data.jobs:{job}", arguments, name=file.name, progress=progress)
    found = find(file_id)
    assert found is not None
    return found


def forget(file: DataFile) -> None:
    """Take an upload away."""
    stored.remove(file)


def person() -> str:
    """Who is at the screen: the name they logged in with, else that of the account the app runs under."""
    try:
        named = st.user.get("email") or st.user.get("name")
        return str(named) if named else getpass.getuser()
    except (KeyError, OSError):
        return ""


def is_large(file: DataFile) -> bool:
    """Whether the page must not hold the table, and does not examine it itself."""
    return file.path.stat().st_size > LARGE


def table(file: DataFile) -> Table:
    """The file's table, read once while the app runs. Raises DataError."""
    keep(file)
    return _table(str(file.path), file.path.stat().st_mtime_ns, file.name)


def table_at(path: str, changed: int, name: str) -> Table:
    """The table of a path as it was when it changed last."""
    found: Table = _table(path, changed, name)
    return found


def dataset(file: DataFile, **columns: Any) -> Dataset:
    """Texts and targets of a file; `columns` as `load_dataset` takes them. Raises DataError."""
    keep(file)
    return _dataset(str(file.path), file.path.stat().st_mtime_ns, file.name, tuple(sorted(columns.items())))


@st.cache_resource(max_entries=4, show_spinner="Reading the file")
def _table(path: str, changed: int, name: str) -> Table:
    return read_table(path, name=name)


@st.cache_resource(max_entries=2, show_spinner="Reading texts and labels")
def _dataset(path: str, changed: int, name: str, columns: tuple[tuple[str, Any], ...]) -> Dataset:
    return load_dataset(_table(path, changed, name), **dict(columns))
