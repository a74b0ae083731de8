"""Real training that is disturbed and taken up again until it is through: run as a program.

    python tests/kill_runs.py kill FOLDER SEEDS [FIRST]    killed with SIGKILL at random moments
    python tests/kill_runs.py full FOLDER KB...      on a disk of so many kB that then grows (in a mount namespace)
    python tests/kill_runs.py memory FOLDER MB       with so little memory left to it

FOLDER has graph.json and rows.csv. Each seed or size is a run of its own; a fork of this process trains, so torch is
imported once. Prints one JSON object; `differ` has the runs whose weights, metrics or report differ from those of an
undisturbed run.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import torch

from fgdesign.graph import load_graph
from fgdesign.runs.folder import RunFolder
from fgdesign.runs.job import carry_on
from fgdesign.runs.process import DISK_FULL, is_disk_full
from fgdesign.runs.request import write_request
from fgdesign.runs.sinks import settled
from fgdesign.runs.worker import FULL
from fgdesign.training.settings import settings_from

SETTINGS = {"epochs": 3, "warm_epochs": 2, "checkpoint_seconds": 0.0, "patience": 1000, "device": "cpu", "seed": 3}


def request(place: Path, name: str) -> RunFolder:
    folder = RunFolder(place / "disk" / name if (place / "disk").exists() else place / name)
    shutil.rmtree(folder.path, ignore_errors=True)
    write_request(folder, load_graph(place / "graph.json"), {"train": str(place / "rows.csv")}, settings_from(SETTINGS))
    return folder


def begin(folder: RunFolder) -> int:
    """Train in a fork of this process; returns its number."""
    child = os.fork()
    if not child:
        try:
            carry_on(folder, lambda message: None)
        except Exception as error:
            os._exit(FULL if is_disk_full(error) else 1)
        os._exit(0)
    return child


def result(folder: RunFolder) -> dict[str, Any]:
    """What two runs have to have in common: weights to the bit, metrics, report."""
    logged = [{key: value for key, value in entry.items() if key != "time"} for entry in folder.metrics()
              if entry["kind"] != "note"]
    report = folder.report() or {}
    return {"weights": (folder.model / "model.safetensors").read_bytes(), "metrics": logged,
            "report": [report.get(part) for part in ("train", "valid", "test", "routers", "best_at")]}


def kill(folder: RunFolder, seed: int, seconds: float) -> dict[str, int]:
    """Kill once, take up again: how many kills, those amid a checkpoint, and checkpoints that were damaged after."""
    draw, told = random.Random(seed), {"kills": 0, "amid": 0, "damaged": 0}
    child, end = begin(folder), time.monotonic() + draw.uniform(0.05, seconds)
    while time.monotonic() < end:
        if os.waitpid(child, os.WNOHANG)[0]:
            return told
        time.sleep(0.005)
    aimed = time.monotonic() + 0.5 * (seed % 2)  # every other seed aims at the writing of a checkpoint
    while time.monotonic() < aimed and not list(folder.checkpoints.glob("writing-*")):
        time.sleep(0.0002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if folder.told()["state"] == "succeeded":  # it was through: its checkpoints may be gone, and nobody takes it up
        return told
    lost = (folder.path / "metrics.jsonl").read_bytes()[settled(folder):] if folder.log_size() else b""
    assert lost.count(b'"kind": "step"') <= 1, "more than a step was lost, though each has a checkpoint"
    told |= {"kills": 1, "amid": int(bool(list(folder.checkpoints.glob("writing-*"))))}
    newest = folder.newest_checkpoint()
    if seed % 4 == 0 and newest and not (folder.path / "report.json").exists():
        file = folder.checkpoints / newest / draw.choice(("tensors.safetensors", "state.json", "manifest.json"))
        os.truncate(file, draw.randrange(file.stat().st_size))
        told["damaged"] = 1
    os.waitpid(begin(folder), 0)
    notes = [entry["message"] for entry in folder.metrics() if entry["kind"] == "note"]
    assert any("damaged" in note for note in notes) == bool(told["damaged"]), notes
    return told


def fill(folder: RunFolder, size: int) -> dict[str, int]:
    """Train on a disk of `size` kB, then on one with room: how often the disk was full."""
    disk = folder.path.parent
    subprocess.run(["mount", "-o", f"remount,size={size}k", str(disk)], check=True)
    code = os.waitstatus_to_exitcode(os.waitpid(begin(folder), 0)[1])
    told = folder.told()
    full = code == FULL or (told["state"], told["message"]) == ("paused", DISK_FULL)
    assert full or told["state"] == "succeeded", told
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    if full:
        os.waitpid(begin(folder), 0)
    return {"full": int(full)}


def every(place: Path, disturb: Callable[[RunFolder, int], dict[str, int]], numbers: Sequence[int],
          wanted: dict[str, Any]) -> dict[str, Any]:
    """A run for each number: sums of what the disturber says, and what differs."""
    told: Counter[str] = Counter()
    differ = []
    for number in numbers:
        folder = request(place, f"run-{number}")
        told.update({"runs": 1, **disturb(folder, number)})
        found = result(folder)
        differ += [[number, key] for key in wanted if wanted[key] != found[key]]
        shutil.rmtree(folder.path)
    return {**told, "differ": differ}


def main(what: str, place: Path, numbers: list[int]) -> dict[str, Any]:
    torch.set_num_threads(1)
    whole = request(place, "whole")
    if what == "memory":
        limit = psutil.Process().memory_info().vms + numbers[0] * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        os.waitpid(begin(whole), 0)
        return whole.told()
    os.waitpid(begin(whole), 0)
    wanted, again = result(whole), request(place, "again")
    began = time.monotonic()
    os.waitpid(begin(again), 0)  # the first one was slower, and moments drawn from it may fall behind the end
    seconds = time.monotonic() - began
    if what == "kill":
        first = numbers[1] if len(numbers) > 1 else 0
        return every(place, lambda folder, seed: kill(folder, seed, seconds), range(first, first + numbers[0]), wanted)
    (place / "disk").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place / "disk")], check=True)
    return every(place, fill, numbers, wanted)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), [int(word) for word in sys.argv[3:]])))
