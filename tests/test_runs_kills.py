"""Real training that is killed, runs out of disk or memory: resumed to the same bits, or ended with advice.

FGDESIGN_FAULT_SEEDS asks for more kills than the twenty that run by default, FGDESIGN_FAULT_FIRST for others.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_up_rows import write_rows

from fgdesign.errors import RunError
from fgdesign.graph import Graph, to_json
from fgdesign.runs.folder import RunFolder
from fgdesign.runs.job import carry_on
from fgdesign.runs.request import write_request
from fgdesign.training.settings import settings_from

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")]
SEEDS = int(os.environ.get("FGDESIGN_FAULT_SEEDS", "20"))
FIRST = int(os.environ.get("FGDESIGN_FAULT_FIRST", "0"))
PROGRAM = Path(__file__).with_name("kill_runs.py")
NAMESPACE = ("unshare", "-rm")


@pytest.fixture
def place(tmp_path: Path, tiny_graph: Callable[[str], Graph]) -> Path:
    write_rows(tmp_path / "rows.csv", 90)
    (tmp_path / "graph.json").write_text(to_json(tiny_graph("routed-experts")), "utf-8")
    return tmp_path


def disturb(place: Path, what: str, *numbers: int, around: tuple[str, ...] = ()) -> dict[str, Any]:
    line = [*around, sys.executable, str(PROGRAM), what, str(place), *map(str, numbers)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60 + 60 * SEEDS)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_kills_at_random_moments_change_no_bit(place: Path) -> None:
    """F1, F4: also amid the writing of a checkpoint, and with the newest checkpoint damaged."""
    told = disturb(place, "kill", SEEDS, FIRST)
    assert told["runs"] == SEEDS and told["kills"] >= SEEDS // 2 and told["differ"] == [], told


def test_a_full_disk_puts_the_run_aside(place: Path) -> None:
    """F5: and with room again, it ends with the same bits."""
    if subprocess.run([*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", str(place)], check=False,
                      capture_output=True).returncode:
        pytest.skip("no disk of its own can be mounted here")
    told = disturb(place, "full", 60, 400, 1000, around=NAMESPACE)
    assert told == {"runs": 3, "full": 3, "differ": []}


def test_too_little_memory_is_told_with_advice(place: Path) -> None:
    """F8."""
    told = disturb(place, "memory", 40)
    assert told["state"] == "failed" and "ran out of memory" in told["message"] and "Try" in told["message"]


@pytest.mark.parametrize(("asked", "started", "message"), [
    (2, 1, "asks for 2 processes, but 1 was started"), (1, 2, "asks for 1 processes, but 2 was started"),
    (2, 2, "and 1 joined"),
])
def test_another_number_of_processes_than_asked_trains_nothing(place: Path, monkeypatch: pytest.MonkeyPatch, asked: int,
                                                               started: int, message: str) -> None:
    """F18."""
    folder = RunFolder(place / "run")
    write_request(folder, Graph("x", ()), {"train": str(place / "rows.csv")}, settings_from({"processes": asked}))
    monkeypatch.setenv("WORLD_SIZE", str(started))
    with pytest.raises(RunError, match=message):
        carry_on(folder, lambda _: None)
    assert folder.status()["state"] == "failed" and message in folder.status()["message"]
    assert folder.metrics() == [] and not folder.checkpoints.exists()
