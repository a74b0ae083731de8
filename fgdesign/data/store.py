"""Data sets of a workspace: each content once, under its hash, with its name, owner, time and where it came from.

    <id>.csv           the bytes as they came; id is the beginning of their SHA-256
    <id>.about.json    name, owner, time, and for a version its parent and what was changed
    <id>.r8.arrow      the table in columns, made by whoever reads it first

Knows nothing of people's screens and of what tables mean.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from fgdesign.data.kept import forget_kept
from fgdesign.errors import DataError

LIMIT = 200 * 1024 * 1024  # bytes of one data set
CHUNK = 1 << 20
ENDINGS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".xlsx")
NAME = re.compile(r"[0-9a-f]{16}")
ASIDE = re.compile(r"\.[0-9a-f]{32}")  # what is being written
LEFT = 3600.0  # seconds after which nobody writes it any more


@dataclass(frozen=True)
class DataFile:
    """A table on disk.

    Attributes:
        id: "sample-NAME" or the beginning of the content's SHA-256.
        name: what a person calls it.
        path: where its bytes are.
        owner: who brought it, "" where nobody said.
        stored: seconds since 1970, 0 for a sample.
        parent: the data set this is a version of, "" for none.
        change: what made this version of its parent: "said" for people, "recipe" or "edits" as JSON.
    """

    id: str
    name: str
    path: Path
    owner: str = ""
    stored: float = 0.0
    parent: str = ""
    change: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def title(self) -> str:
        """The name as a person says it: "support_tickets.csv" -> "support tickets"."""
        return Path(self.name).stem.replace("_", " ").replace("-", " ")


class Incoming:
    """A data set that is on its way in: written aside piece by piece, in the store only once it is whole.

    What a killed process leaves aside is swept away by who comes later. Use it as a context. `known` says, once it is
    published, whether its content was there before.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder, self.known = name, folder, False
        self._digest, self._size = hashlib.sha256(), 0
        with disk_told(self.name):
            folder.mkdir(parents=True, exist_ok=True)
            _sweep(folder)
            self._aside = folder / f".{uuid.uuid4().hex}"
            self._file = self._aside.open("xb")

    def __enter__(self) -> Incoming:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            self._file.close()
        self._aside.unlink(missing_ok=True)

    def write(self, piece: bytes) -> None:
        """Take the next bytes. Raises DataError: they are too many, or there is no room for them."""
        self._size += len(piece)
        if self._size > LIMIT:
            raise DataError(
                f"{self.name} is larger than {LIMIT >> 20} MB, the most that is kept. Upload a part of it."
            )
        self._digest.update(piece)
        with disk_told(self.name):
            self._file.write(piece)

    def publish(self, *, owner: str = "", parent: str = "", change: Mapping[str, Any] | None = None) -> DataFile:
        """Put it into the store; content that is there already keeps its parent and takes the name.

        Raises DataError: it is empty, or there is no room for it.
        """
        if not self._size:
            raise DataError(f"{self.name} is empty. Choose a file with a header and rows.")
        ending = Path(self.name).suffix.lower()
        file_id = self._digest.hexdigest()[:16]
        there = find(file_id, self.folder)
        self.known = there is not None
        about: dict[str, Any] = {
            "name": self.name, "sha256": self._digest.hexdigest(), "bytes": self._size, "stored": time.time(),
            "owner": owner, "parent": parent if parent != file_id else "", "change": dict(change or {}),
        }  # fmt: skip
        if there is not None:
            about |= {"parent": there.parent, "change": dict(there.change)}
        with disk_told(self.name):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            if there is None:
                os.replace(self._aside, self.folder / f"{file_id}{ending if ending in ENDINGS else '.csv'}")
            _write(self.folder / f"{file_id}.about.json", about)
        found = find(file_id, self.folder)
        assert found is not None
        return found


@contextmanager
def disk_told(name: str) -> Iterator[None]:
    """Where the disk refuses what is written of a data set, a DataError that says what is in the way and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            why, do = "the disk is full", "Make room"
        else:
            where = f" ({error.filename})" if error.filename else ""
            why, do = f"{error.strerror or error}{where}", "Let the workspace's folder be written to"
        raise DataError(f"{name} cannot be stored: {why}. {do}, then try again; nothing was changed.") from None


def _sweep(folder: Path) -> None:
    """Take away what processes that were killed left aside."""
    for path in folder.glob(".*"):
        with suppress(OSError):
            if ASIDE.fullmatch(path.name) and time.time() - path.stat().st_mtime > LEFT:
                path.unlink()


def add(
    stream: IO[bytes], name: str, folder: Path, *, owner: str = "", parent: str = "",
    change: Mapping[str, Any] | None = None,
) -> DataFile:
    """Copy a stream into the folder piece by piece, as `Incoming` does.

    Raises:
        DataError: it is empty, larger than 200 MB, or there is no room for it.
    """
    with Incoming(name, folder) as incoming:
        while piece := stream.read(CHUNK):
            incoming.write(piece)
        return incoming.publish(owner=owner, parent=parent, change=change)


def entries(folder: Path) -> list[DataFile]:
    """All data sets, the newest first."""
    found = (find(note.name.removesuffix(".about.json"), folder) for note in folder.glob("*.about.json"))
    return sorted((file for file in found if file is not None), key=lambda file: -file.stored)


def find(file_id: str, folder: Path) -> DataFile | None:
    """The data set with this id, or None."""
    if not NAME.fullmatch(file_id):
        return None
    paths = (path for path in folder.glob(f"{file_id}.*") if path.name[len(file_id) :].lower() in ENDINGS)
    path = next((path for path in paths if not path.name.endswith(".about.json")), None)
    try:
        about = json.loads((folder / f"{file_id}.about.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if path is None or not isinstance(about, dict):
        return None
    change = about.get("change")
    return DataFile(
        file_id, str(about.get("name", path.name)), path, str(about.get("owner", "")), float(about.get("stored") or 0),
        str(about.get("parent", "")), change if isinstance(change, dict) else {},
    )  # fmt: skip


def remove(file: DataFile) -> None:
    """Take a data set away."""
    forget_kept(file.path)
    for path in (file.path, file.path.with_name(f"{file.id}.about.json")):
        path.unlink(missing_ok=True)


def family(file: DataFile, folder: Path) -> list[DataFile]:
    """All versions that come from the same first data set, the oldest first; those of which the first is gone too.

    What a version was made of stands before it, also where it was brought in again later.
    """
    known = {other.id: other for other in entries(folder)} | {file.id: file}

    def line(one: DataFile) -> list[str]:
        found = [one.id]
        while one.parent and one.parent not in found:
            found.append(one.parent)
            if one.parent not in known:
                break
            one = known[one.parent]
        return found

    lines = {other.id: line(other) for other in known.values()}
    members = [other for other in known.values() if lines[other.id][-1] == lines[file.id][-1]]
    first = {other.id: min(one.stored for one in members if other.id in lines[one.id]) for other in members}
    return sorted(members, key=lambda other: (first[other.id], len(lines[other.id])))


def _write(path: Path, about: Mapping[str, Any]) -> None:
    aside = path.with_name(f".{uuid.uuid4().hex}")
    try:
        aside.write_text(json.dumps(about, ensure_ascii=False), "utf-8")
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
