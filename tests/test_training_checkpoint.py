"""Checkpoints under truncation, bit flips, missing files and death at every point of a save."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fgdesign.runs.process import is_disk_full
from fgdesign.training import checkpoint
from fgdesign.training.checkpoint import Snapshot, latest, save

FILES = ("tensors.safetensors", "state.json", "manifest.json")


def snapshot(number: int) -> Snapshot:
    made = Snapshot(state={"position": {"step": number}, "loss": 0.1 + number})
    made.put("model", {"weight": torch.full((3, 4), float(number)), "count": torch.tensor(number)})
    made.put("best", {"weight": torch.arange(6.0).view(2, 3).T})
    return made


def step_of(folder: Path) -> int | None:
    found = latest(folder)
    if found is None:
        return None
    assert float(found.group("model")["weight"][0, 0]) == found.state["position"]["step"]
    return int(found.state["position"]["step"])


def test_what_is_saved_comes_back_to_the_bit(tmp_path: Path) -> None:
    save(tmp_path / "new" / "folder", 7, snapshot(7))
    found = latest(tmp_path / "new" / "folder")
    assert found is not None and found.state == snapshot(7).state
    assert found.tensors.keys() == snapshot(7).tensors.keys()
    assert all(torch.equal(tensor, snapshot(7).tensors[name]) for name, tensor in found.tensors.items())


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    for number in (5, 9, 10, 1_000_000):
        save(tmp_path, number, snapshot(number))
    assert [item.name for item in sorted(tmp_path.iterdir())] == ["step-000000010", "step-001000000"]
    assert step_of(tmp_path) == 1_000_000


def test_nothing_is_nothing(tmp_path: Path) -> None:
    assert latest(tmp_path) is None and latest(tmp_path / "absent") is None


def empty(file: Path) -> None:
    file.write_bytes(b"")


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(bytes(data))


def no_object(file: Path) -> None:
    file.write_text("[1]")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("harm", [empty, truncate, flip, no_object, Path.unlink])
def test_a_broken_one_is_set_aside_and_the_one_before_used(tmp_path: Path, name: str,
                                                           harm: Callable[[Path], Any]) -> None:
    save(tmp_path, 1, snapshot(1))
    broken = save(tmp_path, 2, snapshot(2))
    harm(broken / name)
    assert step_of(tmp_path) == 1
    assert (tmp_path / "broken-step-000000002").is_dir() and not broken.exists()
    save(tmp_path, 2, snapshot(2))
    assert step_of(tmp_path) == 2
    harm(broken / name)
    assert step_of(tmp_path) == 1 and (tmp_path / "broken-step-000000002-2").is_dir()


def test_every_single_bit_of_a_manifest_counts(tmp_path: Path) -> None:
    save(tmp_path, 1, snapshot(1))
    file = save(tmp_path, 2, snapshot(2)) / "manifest.json"
    whole = file.read_bytes()
    for place in range(0, len(whole), 3):
        data = bytearray(whole)
        data[place] ^= 1 << place % 8
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(bytes(data))
        assert checkpoint._read(file.parent) is None or json.loads(data) == json.loads(whole)


def test_all_broken_is_nothing(tmp_path: Path) -> None:
    for number in (1, 2):
        empty(save(tmp_path, number, snapshot(number)) / "state.json")
    assert latest(tmp_path) is None
    assert len(list(tmp_path.glob("broken-*"))) == 2


def die_at(point: int, folder: str) -> None:
    """F3: save checkpoint 3, killed by the system before the n-th write, sync, rename or removal."""
    left = [point]

    def deadly(call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **named)
        return run

    for owner, names in ((os, ("fsync", "rename", "unlink", "rmdir", "mkdir")), (Path, ("write_text",)),
                         (checkpoint, ("save_file",))):
        for name in names:
            setattr(owner, name, deadly(getattr(owner, name)))
    save(Path(folder), 3, snapshot(3))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_death_at_every_point_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for point in range(100):
        folder = tmp_path / str(point)
        for number in (1, 2):
            save(folder, number, snapshot(number))
        child = context.Process(target=die_at, args=(point, str(folder)))
        child.start()
        child.join()
        assert step_of(folder) == (3 if (folder / "step-000000003").is_dir() else 2)
        save(folder, 4, snapshot(4))
        assert step_of(folder) == 4
        assert not list(folder.glob("writing-*")) and len(list(folder.glob("step-*"))) == 2
        if child.exitcode == 0:
            break
    assert child.exitcode == 0 and point >= 8


def test_no_room_at_any_write_leaves_a_whole_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F5: said as what it is, and once there is room the same number is saved."""
    for point in range(100):
        folder, left = tmp_path / str(point), [point]
        save(folder, 1, snapshot(1))

        def narrow(call: Callable[..., Any], left: list[int] = left) -> Callable[..., Any]:
            def run(*args: Any, **named: Any) -> Any:
                left[0] -= 1
                if left[0] == -1:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return call(*args, **named)
            return run

        failed = None
        with monkeypatch.context() as patch:
            for owner, name in ((checkpoint, "save_file"), (Path, "write_text"), (Path, "mkdir"), (Path, "rename"),
                                (os, "fsync")):
                patch.setattr(owner, name, narrow(getattr(owner, name)))
            try:
                save(folder, 2, snapshot(2))
            except OSError as error:
                failed = error
        assert failed is None or is_disk_full(failed)
        assert step_of(folder) == (2 if (folder / "step-000000002").is_dir() else 1)
        save(folder, 2, snapshot(2))
        assert step_of(folder) == 2 and not list(folder.glob("writing-*"))
        if failed is None:
            break
    assert failed is None and point >= 8
