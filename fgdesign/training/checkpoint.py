"""Checkpoints that survive a kill at any moment: written aside, synced, renamed, each with checksums.

Holds tensors as safetensors and the rest as JSON, nothing pickled. Knows nothing of graphs or data.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

KEPT = 2


@dataclass
class Snapshot:
    """What a run needs to go on exactly where it was. tensors: by "group/name". state: plain data."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)

    def put(self, group: str, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            self.tensors[f"{group}/{name}"] = tensor.detach().cpu().contiguous()

    def group(self, group: str) -> dict[str, Tensor]:
        return {name.removeprefix(f"{group}/"): tensor for name, tensor in self.tensors.items()
                if name.startswith(f"{group}/")}


def save(folder: Path, number: int, snapshot: Snapshot) -> Path:
    """Write checkpoint `number`; the last two are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    target, aside = folder / f"step-{number:09d}", folder / f"writing-{number:09d}"
    for stale in (*folder.glob("writing-*"), target):
        shutil.rmtree(stale, ignore_errors=True)
    aside.mkdir()
    save_file(snapshot.tensors, aside / "tensors.safetensors")
    (aside / "state.json").write_text(json.dumps(snapshot.state))
    names = ("tensors.safetensors", "state.json")
    (aside / "manifest.json").write_text(json.dumps({name: _sha256(aside / name) for name in names}))
    for file in aside.iterdir():
        _sync(file)
    _sync(aside)
    aside.rename(target)
    _sync(folder)
    for old in sorted(folder.glob("step-*"))[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def latest(folder: Path) -> Snapshot | None:
    """The newest whole checkpoint; broken ones are set aside as "broken-..." and the one before is used."""
    for target in sorted(folder.glob("step-*"), reverse=True):
        snapshot = _read(target)
        if snapshot is not None:
            return snapshot
        _set_aside(target)
    return None


def _read(target: Path) -> Snapshot | None:
    try:
        manifest = json.loads((target / "manifest.json").read_text())
        if any(_sha256(target / name) != digest for name, digest in manifest.items()) or len(manifest) != 2:
            return None
        tensors = load_file(target / "tensors.safetensors")
        return Snapshot(tensors, json.loads((target / "state.json").read_text()))
    except (OSError, ValueError, AttributeError):
        return None


def _set_aside(target: Path) -> None:
    place = target.with_name(f"broken-{target.name}")
    count = 2
    while place.exists():
        place = target.with_name(f"broken-{target.name}-{count}")
        count += 1
    target.rename(place)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
