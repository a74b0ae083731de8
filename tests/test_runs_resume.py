"""Real training processes, killed at random moments and resumed, end with the bits of one that was left alone."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from made_up_rows import write_rows

from fgdesign.errors import RunError
from fgdesign.graph import Graph, to_json
from fgdesign.runs import folder
from fgdesign.runs.folder import RunFolder
from fgdesign.runs.job import resume, train
from fgdesign.runs.prepare import DataChoice
from fgdesign.runs.process import mark_of, myself
from fgdesign.training.settings import Settings

KILLS = 4
posix = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")


def train_line(place: Path, out: Path, *more: str) -> list[str]:
    return ["train", str(place / "graph.json"), str(place / "rows.csv"), "--out", str(out), "--epochs", "6", "--device",
            "cpu", "--set", "warm_epochs=3", "--set", "checkpoint_seconds=0", "--set", "patience=1000", *more]


def start(*line: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "fgdesign", *line], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


def lines(run: Path) -> list[dict[str, Any]]:
    """What was logged, apart from notes and times."""
    logged = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [{key: value for key, value in entry.items() if key != "time"} for entry in logged
            if entry["kind"] != "note"]


@pytest.fixture
def place(tmp_path: Path, tiny_graph: Callable[[str], Graph]) -> Path:
    write_rows(tmp_path / "rows.csv", 90)
    (tmp_path / "graph.json").write_text(to_json(tiny_graph("routed-experts")), "utf-8")
    return tmp_path


def wait_for(done: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


@posix
@pytest.mark.slow
def test_kills_of_the_command_line_change_nothing(place: Path) -> None:
    whole, broken = place / "whole", place / "broken"
    assert start(*train_line(place, whole)).wait(300) == 0
    assert not (whole / "checkpoints").exists()  # of what is finished nothing goes on
    draw = random.Random(5)
    total = len(lines(whole))
    child = start(*train_line(place, broken))
    kills = 0
    for number in range(KILLS):
        until = min(total, 1 + number * total // KILLS)  # killed ever later, at a random moment of that part
        wait_for(partial(reached, child, broken, until))
        time.sleep(draw.uniform(0, 0.15))
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
            kills += 1
        child.wait()
        status = RunFolder(broken).status()
        if status["state"] == "succeeded":
            break
        assert status["state"] == "failed" and "fgdesign resume" in status["message"]
        child = start("resume", str(broken))
    code = child.wait(300)
    assert code == 0 and kills >= KILLS - 2
    assert (whole / "model/model.safetensors").read_bytes() == (broken / "model/model.safetensors").read_bytes()
    assert lines(whole) == lines(broken)
    notes = [entry["message"] for entry in RunFolder(broken).metrics() if entry["kind"] == "note"]
    assert len(set(notes)) == len(notes)
    one, other = (RunFolder(path).report() for path in (whole, broken))
    assert one and other and all(one[part] == other[part] for part in ("train", "valid", "test", "routers", "best_at"))


def reached(child: subprocess.Popen[bytes], run: Path, until: int) -> bool:
    return child.poll() is not None or logged(run) >= until


def logged(run: Path) -> int:
    return len(lines(run)) if (run / "metrics.jsonl").exists() else 0


@posix
@pytest.mark.slow
def test_a_polite_end_is_told_and_a_stop_keeps_the_best(place: Path) -> None:
    run = RunFolder(place / "run")
    child = start(*train_line(place, run.path))
    wait_for(lambda: logged(run.path) >= 3)
    with pytest.raises(RunError, match="Another process is training"):
        resume(run)
    child.send_signal(signal.SIGTERM)
    assert child.wait(60) == 1
    raw = json.loads((run.path / "status.json").read_text())
    assert raw["state"] == "failed" and raw["message"].startswith("Interrupted.")
    child = start("resume", str(run.path))
    before = logged(run.path)
    wait_for(lambda: logged(run.path) > before)
    run.stop()
    assert child.wait(120) == 0
    status, report = run.status(), run.report()
    assert status["state"] == "stopped" and "kept" in status["message"]
    assert report is not None and report["state"] == "stopped" and (run.model / "model.safetensors").is_file()
    assert start("resume", str(run.path)).wait(300) == 0
    assert run.status()["state"] == "succeeded"
    assert run.status()["worked"] > status["worked"] > raw["worked"] > 0  # seconds of all attempts, no pause between
    whole = place / "whole"
    assert start(*train_line(place, whole)).wait(300) == 0
    assert (whole / "model/model.safetensors").read_bytes() == (run.model / "model.safetensors").read_bytes()
    assert lines(whole) == lines(run.path)


def test_a_listener_that_is_gone_is_told_as_an_interruption(place: Path) -> None:
    def gone(message: str) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        train(place / "graph.json", DataChoice(str(place / "rows.csv")), Settings(epochs=1, device="cpu"),
              out=place / "run", say=gone)
    status = RunFolder(place / "run").status()
    assert status["state"] == "failed"
    assert re.fullmatch("Interrupted. Go on with: fgdesign resume .*run", status["message"])


def test_time_at_work_is_counted_over_kills_and_without_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, clock = RunFolder(tmp_path), [100.0]
    monkeypatch.setattr(folder.time, "time", lambda: clock[0])

    def tell(seconds: float, **changes: Any) -> float:
        clock[0] += seconds
        run.write_status(**changes)
        return float(run.told()["worked"])

    child = subprocess.Popen([sys.executable, "-c", ""])
    dead = {"pid": child.pid, "mark": mark_of(child.pid)}
    child.wait()
    assert tell(0, state="preparing", started=100.0, **myself()) == 0
    assert tell(2, state="running") == 2
    assert tell(3, progress=0.5) == tell(0, **dead) == 5  # here it is killed
    assert tell(50, managed=False) == 5  # by another process: nobody knows when it ended
    assert tell(50, state="preparing", started=200.0, **myself()) == 5
    assert tell(1, state="paused") == tell(70, state="preparing", started=300.0, **myself()) == 6
    assert tell(4, state="succeeded") == tell(9, message="Finished.") == 10
    run.forget()
    assert run.told()["worked"] == 0


def test_a_dead_process_reads_as_failed(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    run.write_status(state="running", pid=child.pid, mark="0@0")
    assert run.status()["state"] == "failed" and "fgdesign resume" in run.status()["message"]
    run.write_status(pid=os.getpid(), mark=mark_of(os.getpid()))
    assert run.status()["state"] == "running"
    run.write_status(mark="0@0")  # of another process that had this number before
    assert run.status()["state"] == "failed"


def test_the_log_is_cut_where_a_checkpoint_was(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.log_size() == 0 and run.metrics() == []
    run.log({"kind": "note", "message": "one\u2028line"})
    size = run.log_size()
    run.log({"kind": "step", "loss": float("nan")})
    assert run.metrics(1)[0]["loss"] is None
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "st')
    assert len(run.metrics()) == 2
    run.cut_log(size)
    assert [entry["message"] for entry in run.metrics()] == ["one\u2028line"] and run.log_size() == size
    run.cut_log(10**6)
    assert run.log_size() == size
