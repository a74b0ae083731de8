"""Data sets of a workspace: each content once, under its hash, with its name, owner, time and where it came from.

    <id>.csv           the bytes as they came; id is the beginning of their SHA-256
    <id>.about.json    name, owner, time, and for a version its parent and what was changed
    <id>.r1.arrow      the table in columns, made by whoever reads it first

Knows nothing of people's screens and of what tables mean.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from fgdesign.data.kept import kept_path
from fgdesign.errors import DataError

LIMIT = 200 * 1024 * 1024  # bytes of one data set
CHUNK = 1 << 20
ENDING = re.compile(r"\.(csv|tsv|txt|json|jsonl|ndjson|parquet|xlsx)", re.IGNORECASE)
NAME = re.compile(r"[0-9a-f]{16}")


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


def add(
    stream: IO[bytes], name: str, folder: Path, *, owner: str = "", parent: str = "",
    change: Mapping[str, Any] | None = None,
) -> DataFile:
    """Copy a stream into the folder piece by piece; content that is there already keeps its parent and takes the name.

    Raises:
        DataError: it is empty, larger than 200 MB, or there is no room for it.
    """
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
        there = find(file_id, folder)
        if there is None:
            os.replace(aside, folder / f"{file_id}{ending[0].lower() if ending else '.csv'}")
    except OSError as error:
        raise DataError(f"{name} cannot be stored: {error.strerror or error}. Make room, then try again.") from None
    finally:
        aside.unlink(missing_ok=True)
    about = {"name": name, "sha256": digest.hexdigest(), "bytes": size, "stored": time.time(), "owner": owner,
             "parent": parent if parent != file_id else "", "change": dict(change or {})}  # fmt: skip
    if there is not None:
        about |= {"parent": there.parent, "change": dict(there.change)}
    _write(folder / f"{file_id}.about.json", about)
    found = find(file_id, folder)
    assert found is not None
    return found


def entries(folder: Path) -> list[DataFile]:
    """All data sets, the newest first."""
    found = (find(note.name.removesuffix(".about.json"), folder) for note in folder.glob("*.about.json"))
    return sorted((file for file in found if file is not None), key=lambda file: -file.stored)


def find(file_id: str, folder: Path) -> DataFile | None:
    """The data set with this id, or None."""
    if not NAME.fullmatch(file_id):
        return None
    paths = (path for path in folder.glob(f"{file_id}.*") if ENDING.fullmatch(path.name[len(file_id) :]))
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
    for path in (file.path, kept_path(file.path), file.path.with_name(f"{file.id}.about.json")):
        path.unlink(missing_ok=True)


def family(file: DataFile, folder: Path) -> list[DataFile]:
    """All versions that come from the same first data set, the oldest first; those of which the first is gone too."""
    known = {other.id: other for other in entries(folder)} | {file.id: file}

    def root(one: DataFile) -> str:
        seen = {one.id}
        while one.parent and one.parent not in seen:
            if one.parent not in known:
                return one.parent
            seen.add(one.parent)
            one = known[one.parent]
        return one.id

    return sorted((other for other in known.values() if root(other) == root(file)), key=lambda other: other.stored)


def _write(path: Path, about: Mapping[str, Any]) -> None:
    aside = path.with_name(f".{uuid.uuid4().hex}")
    aside.write_text(json.dumps(about, ensure_ascii=False), "utf-8")
    os.replace(aside, path)
