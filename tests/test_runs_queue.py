"""The queue by its command line, with real training: submit, see, stop, resume, take over by a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from made_up_rows import write_rows
from supervised import end_supervisor

from fgdesign.errors import RunError
from fgdesign.graph import Graph, to_json
from fgdesign.runs.commands import take_over
from fgdesign.runs.store import Store, open_store

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX processes")]


@pytest.fixture
def store(tmp_path: Path, tiny_graph: Callable[[str], Graph]) -> Iterator[Store]:
    """A workspace whose supervisor, if one was started, ends with the test."""
    write_rows(tmp_path / "rows.csv", 90)
    (tmp_path / "graph.json").write_text(to_json(tiny_graph("routed-experts")), "utf-8")
    found = open_store(tmp_path / "ws")
    yield found
    end_supervisor(found.root)


def call(store: Store, *words: str) -> dict[str, Any]:
    """What a command says as JSON."""
    environment = {**os.environ, "FGDESIGN_WORKSPACE": str(store.root)}
    environment.pop("FGDESIGN_SUPERVISOR", None)
    done = subprocess.run([sys.executable, "-m", "fgdesign", *words, "--json"], capture_output=True, text=True,
                          env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def wait_for(store: Store, name: str, *states: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while store.job(name).state not in states:
        assert time.monotonic() < end, f"{store.job(name)}\n{(store.root / 'supervisor.log').read_text()}"
        time.sleep(0.05)


def test_from_the_queue_to_a_report(store: Store, tmp_path: Path) -> None:
    train = ("train", str(tmp_path / "graph.json"), str(tmp_path / "rows.csv"), "--queue", "--device", "cpu")
    run = call(store, *train, "--epochs", "1")
    assert run["state"] == "queued" and Path(run["run"]).parent == store.root / "runs"
    wait_for(store, run["name"], "succeeded", "failed")
    job = store.job(run["name"])
    assert job.state == "succeeded", job.folder.path.joinpath("log.txt").read_text()
    assert job.folder.report() and job.attempt == 1
    assert [event["kind"] for event in store.events(job.name)] == ["queued", "started", "succeeded"]
    endless = call(store, *train, "--epochs", "1000", "--set", "patience=1000")["name"]
    waiting = call(store, *train, "--epochs", "0")["name"]
    wait_for(store, endless, "running")
    told = call(store, "queue")
    assert [row["run"] for row in told["running"]] == [endless]
    assert [row["run"] for row in told["queued"]] == [waiting]
    told = call(store, "queue", "pause", waiting)
    assert told["queued"] == [] and [row["run"] for row in told["paused"]] == [waiting]
    with pytest.raises(RunError, match=r"is (running|starting)\. Pause it first"):
        take_over(store.job(endless).folder)
    call(store, "queue", "stop", endless)
    wait_for(store, endless, "stopped")
    call(store, "queue", "resume", endless)
    wait_for(store, endless, "running")
    call(store, "queue", "pause", endless)
    wait_for(store, endless, "paused")
    store.job(endless).folder.path.joinpath("report.json").unlink()
    told = call(store, "queue", "stop", endless)
    assert [row["run"] for row in told["queued"] + told["running"]] == [endless]  # it may have been begun meanwhile
    wait_for(store, endless, "stopped")  # for its best to be kept, it was at work once more
    report = store.job(endless).folder.report()
    assert report and report["state"] == "stopped" and store.job(endless).attempt == 3
    assert call(store, "queue", "move", waiting, "--priority", "3")["paused"][0]["priority"] == 3
    report = call(store, "resume", waiting)  # in the terminal itself
    assert report["name"] == waiting and store.jobs()[0].state == "succeeded" and not store.job(waiting).managed
