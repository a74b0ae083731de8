"""Data files of the workspace: samples, uploads kept once by content, and their tables while the app runs.

An upload is stored under the hash of its bytes; its own name is only data. Knows nothing of pages.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import streamlit as st

from fgdesign.data import Dataset, Table, load_dataset, read_table
from fgdesign.errors import DataError
from fgdesign.runs.folder import workspace
from fgdesign.ui.launch import app_root
from fgdesign.ui.words import title

SAMPLES = ("support_tickets", "product_reviews", "market_news")
LIMIT = 200 * 1024 * 1024  # bytes of one upload
CHUNK = 1 << 20
ENDING = re.compile(r"\.(csv|tsv|txt|json|jsonl|ndjson|parquet|xlsx)", re.IGNORECASE)


@dataclass(frozen=True)
class DataFile:
    """A table on disk. id: "sample-NAME" or the beginning of the content's SHA-256. name: what a person calls it."""

    id: str
    name: str
    path: Path

    @property
    def title(self) -> str:
        return title(self.name)


def samples() -> list[DataFile]:
    """The data sets that come with the product."""
    folder = app_root() / "sample_data"
    paths = (folder / f"{name}.csv" for name in SAMPLES)
    return [DataFile(f"sample-{path.stem}", path.name, path) for path in paths if path.is_file()]


def uploads() -> list[DataFile]:
    """Data sets of this workspace, the newest first."""
    notes = sorted((workspace() / "data").glob("*.about.json"), key=lambda path: -path.stat().st_mtime)
    return [file for note in notes if (file := _from_note(note)) is not None]


def find(file_id: str) -> DataFile | None:
    """The data set with this id, or None."""
    return next((file for file in (*samples(), *uploads()) if file.id == file_id), None)


def store(stream: IO[bytes], name: str) -> DataFile:
    """Copy an upload into the workspace piece by piece, once for each content.

    Raises: DataError when it is empty or larger than 200 MB.
    """
    folder = workspace() / "data"
    folder.mkdir(parents=True, exist_ok=True)
    aside, digest, size = folder / f".{uuid.uuid4().hex}", hashlib.sha256(), 0
    try:
        with aside.open("xb") as file:
            while chunk := stream.read(CHUNK):
                size += len(chunk)
                if size > LIMIT:
                    raise DataError(
                        f"{name} is larger than {LIMIT >> 20} MB, the most that is kept. Upload a part of it."
                    )
                digest.update(chunk)
                file.write(chunk)
        if not size:
            raise DataError(f"{name} is empty. Choose a file with a header and rows.")
        ending = ENDING.fullmatch(Path(name).suffix)
        file_id = digest.hexdigest()[:16]
        aside.replace(folder / f"{file_id}{ending[0].lower() if ending else '.csv'}")
    finally:
        aside.unlink(missing_ok=True)
    note = folder / f"{file_id}.about.json"
    note.write_text(
        json.dumps({"name": name, "sha256": digest.hexdigest(), "bytes": size, "stored": time.time()}), "utf-8"
    )
    found = _from_note(note)
    assert found is not None
    return found


def forget(file: DataFile) -> None:
    """Remove an upload that turned out to be no table."""
    file.path.unlink(missing_ok=True)
    (workspace() / "data" / f"{file.id}.about.json").unlink(missing_ok=True)


def table(file: DataFile) -> Table:
    """The file's table, read once while the app runs. Raises DataError."""
    return _table(str(file.path), file.path.stat().st_mtime_ns, file.name)


def dataset(file: DataFile, **columns: Any) -> Dataset:
    """Texts and targets of a file; `columns` as `load_dataset` takes them. Raises DataError."""
    return _dataset(str(file.path), file.path.stat().st_mtime_ns, file.name, tuple(sorted(columns.items())))


@st.cache_resource(max_entries=2, show_spinner="Reading the file")
def _table(path: str, changed: int, name: str) -> Table:
    with Path(path).open("rb") as file:
        return read_table(file, name=name)


@st.cache_resource(max_entries=2, show_spinner="Reading texts and labels")
def _dataset(path: str, changed: int, name: str, columns: tuple[tuple[str, Any], ...]) -> Dataset:
    return load_dataset(_table(path, changed, name), **dict(columns))


def _from_note(note: Path) -> DataFile | None:
    file_id = note.name.removesuffix(".about.json")
    path = next((p for p in note.parent.glob(f"{file_id}.*") if p != note), None)
    try:
        about = json.loads(note.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return DataFile(file_id, str(about.get("name", path.name)), path) if path and isinstance(about, dict) else None
