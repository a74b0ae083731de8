"""Graphs on disk: drafts that follow every edit, and versions that stay.

A draft is `NAME.json` in the folder, its versions are in `NAME.versions`. A draft changed by somebody else is
never overwritten silently. Knows nothing of Streamlit.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import re
import tempfile
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fgdesign.errors import GraphError
from fgdesign.graph.spec import Graph, from_dict, from_json, to_dict, to_json
from fgdesign.runs.process import file_lock

DELETED = ".deleted"  # ends the file of a graph that was deleted, and can be brought back


class ConflictError(GraphError):
    """A draft was changed by somebody else since it was read."""


@dataclass(frozen=True)
class Draft:
    """A graph file: its key (the file's stem) and when it was last written (seconds since 1970)."""

    key: str
    changed: float


@dataclass(frozen=True)
class Version:
    """A saved version: its number from 1, when (ISO 8601), by whom, and the graph."""

    number: int
    saved: str
    by: str
    graph: Graph


class DraftStore:
    """The graphs of a workspace."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def drafts(self) -> list[Draft]:
        """All drafts, the last changed first."""
        found = [Draft(path.stem, path.stat().st_mtime) for path in self.folder.glob("*.json")]
        return sorted(found, key=lambda draft: -draft.changed)

    def create(self, graph: Graph) -> tuple[str, str]:
        """Write a graph under a free key made of its name. Returns the key and the stamp."""
        stem = re.sub(r"[^a-z0-9_-]+", "-", graph.name.lower()).strip("-")[:60] or "graph"
        with self._locked():
            taken = {draft.key for draft in self.drafts()}
            key = next(
                name for name in (stem, *(f"{stem}-{i}" for i in range(2, len(taken) + 3))) if name not in taken
            )
            return key, self._put(key, graph)

    def read(self, key: str) -> tuple[Graph, str]:
        """A draft and its stamp. Raises GraphError where it is missing or not a graph."""
        try:
            data = self._path(key).read_bytes()
        except OSError as error:
            raise GraphError(
                f"Cannot read the graph '{key}': {error.strerror}. Open another graph."
            ) from None
        return from_json(data), _stamp(data)

    def write(self, key: str, graph: Graph, stamp: str | None) -> str:
        """Write a draft and return its new stamp.

        Args: stamp: of the draft this one follows; None to write in any case.
        Raises: ConflictError where the file is not the one with that stamp.
        """
        path = self._path(key)
        with self._locked():  # nobody writes between the look and the writing
            there = _stamp(path.read_bytes()) if stamp is not None and path.exists() else stamp
            if there not in (stamp, _stamp(to_json(graph, indent=None).encode())):
                raise ConflictError(
                    f"The graph '{key}' was changed elsewhere. Take that graph, or keep yours as a copy."
                )
            return self._put(key, graph)

    def delete(self, key: str) -> None:
        """Put a draft aside; its versions stay. Nothing happens where it is gone already."""
        path = self._path(key)
        if path.exists():
            os.replace(path, path.with_suffix(DELETED))

    def restore(self, key: str) -> None:
        """Bring back the draft of this name that was deleted last, unless there is a new one."""
        path = self._path(key)
        if path.with_suffix(DELETED).exists() and not path.exists():
            os.replace(path.with_suffix(DELETED), path)

    def save_version(self, key: str, graph: Graph) -> int:
        """Keep a graph for good, and return the version's number. An unchanged graph makes no new version."""
        earlier = self.versions(key)
        if earlier and earlier[0].graph == graph:
            return earlier[0].number
        number = earlier[0].number + 1 if earlier else 1
        record = {
            "saved": datetime.now().astimezone().isoformat(timespec="seconds"),
            "by": _person(),
            "graph": to_dict(graph),
        }
        path = self._path(key).with_suffix(".versions") / f"{number:04d}.json"
        _write(path, json.dumps(record, indent=1, ensure_ascii=False).encode())
        return number

    def versions(self, key: str) -> list[Version]:
        """The versions of a draft, newest first; unreadable files are left out."""
        found = []
        for path in sorted(self._path(key).with_suffix(".versions").glob("[0-9]*.json"), reverse=True):
            try:
                record = json.loads(path.read_bytes())
                found.append(
                    Version(
                        int(path.stem), str(record["saved"]), str(record["by"]), from_dict(record["graph"])
                    )
                )
            except (OSError, ValueError, KeyError, TypeError, GraphError):
                continue
        return found

    def _put(self, key: str, graph: Graph) -> str:
        data = to_json(graph, indent=None).encode()
        _write(self._path(key), data)
        return _stamp(data)

    def _locked(self) -> AbstractContextManager[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        return file_lock(self.folder / ".lock")

    def _path(self, key: str) -> Path:
        if not re.fullmatch(r"[a-z0-9_-]{1,80}", key):
            raise GraphError(
                f"'{key[:80]}' is no name of a graph; it has small letters, digits, - and _ only."
            )
        return self.folder / f"{key}.json"


def _stamp(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as part:
        part.write(data)
    os.replace(part.name, path)


def _person() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
