"""Runs that two processes train together, with gloo on the CPU: as one would, killed and resumed, stopped, refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from made_up_rows import write_rows
from safetensors.torch import load_file
from supervised import end_supervisor

from fgdesign.data.apart import NICE
from fgdesign.errors import DeviceError
from fgdesign.graph import Graph, to_json
from fgdesign.graph.edit import set_params
from fgdesign.runs import ranks
from fgdesign.runs.check import _devices
from fgdesign.runs.folder import RunFolder
from fgdesign.runs.job import train
from fgdesign.runs.prepare import DataChoice
from fgdesign.runs.process import is_alive, mark_of
from fgdesign.runs.request import write_request
from fgdesign.runs.store import Store, open_store
from fgdesign.training.settings import Settings, settings_from

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX processes")
GONE = 5.0  # seconds after which nothing of a run that died is left
TOGETHER = {"processes": 2, "device": "cpu", "patience": 1000, "trial": 0}


@pytest.fixture
def place(tmp_path: Path, tiny_graph: Callable[[str], Graph]) -> Path:
    write_rows(tmp_path / "rows.csv", 90)
    (tmp_path / "routed-experts.json").write_text(to_json(tiny_graph("routed-experts")), "utf-8")
    plain = set_params(tiny_graph("two-opinions"), "head", dropout=0.0)  # noise would be drawn for each shard
    (tmp_path / "two-opinions.json").write_text(to_json(plain), "utf-8")
    return tmp_path


def learn(place: Path, graph: str, out: str, **settings: Any) -> RunFolder:
    """Train to the end in the way of the command line and the Python interface."""
    return train(place / f"{graph}.json", DataChoice(str(place / "rows.csv")), Settings(**settings), out=place / out,
                 say=lambda _: None)


def begin(place: Path, out: str, **settings: Any) -> tuple[RunFolder, subprocess.Popen[bytes]]:
    """Begin to train by the command line."""
    flags = [f"--set={name}={value}" for name, value in {**TOGETHER, **settings}.items()]
    line = ["train", str(place / "routed-experts.json"), str(place / "rows.csv"), "--out", str(place / out), *flags]
    child = subprocess.Popen([sys.executable, "-m", "fgdesign", *line], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    return RunFolder(place / out), child


def lines(run: RunFolder, kind: str = "") -> list[dict[str, Any]]:
    """What was logged, apart from notes and times."""
    return [{key: value for key, value in entry.items() if key != "time"} for entry in run.metrics()
            if entry["kind"] == kind or (not kind and entry["kind"] != "note")]


def wait_for(done: Callable[[], Any], what: str, seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < end, f"it took too long: {what}"
        time.sleep(0.02)
    return found


def trainers(run: RunFolder) -> list[psutil.Process]:
    """The processes that train a run, the first of them first."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cmdline()[1:4] == ["-m", "fgdesign.runs.rank", str(run.path)] or \
                    process.cmdline()[1:5] == ["-u", "-m", "fgdesign.runs.rank", str(run.path)]:
                found.append((int(process.environ()["RANK"]), process))
        except psutil.Error:
            continue
    return [process for _, process in sorted(found, key=lambda one: one[0])]


@posix
@pytest.mark.slow
def test_two_learn_what_one_does(place: Path) -> None:
    how = {"epochs": 2, "warm_epochs": 2, "precision": "float32", "seed": 4, "batch_size": 9}
    alone = learn(place, "two-opinions", "alone", **{**TOGETHER, **how, "processes": 1})
    both = learn(place, "two-opinions", "both", **TOGETHER, **how)
    steps, theirs = lines(alone, "step"), lines(both, "step")
    assert len(steps) == len(theirs) > 12
    assert [entry["loss"] for entry in theirs] == pytest.approx([entry["loss"] for entry in steps], abs=2e-4)
    for mine, other in zip(lines(alone, "gradients"), lines(both, "gradients"), strict=True):
        assert other["nodes"] == pytest.approx(mine["nodes"], rel=0.02, abs=1e-3)
    weights, others = (load_file(run.model / "model.safetensors") for run in (alone, both))
    for name, tensor in weights.items():
        assert torch.allclose(tensor.float(), others[name].float(), atol=2e-3), name
    assert not trainers(both)


@posix
@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 3])
def test_shards_without_rows_or_that_call_no_expert_wait_for_no_one(place: Path, size: int) -> None:
    """With one row in a batch the second process has none, with three it has one, which calls one expert of five."""
    run = learn(place, "routed-experts", "run", **TOGETHER, epochs=1, warm_epochs=1, batch_size=size, validations=1)
    assert run.status()["state"] == "succeeded"
    assert all(entry["loss"] is not None for entry in lines(run, "step"))
    notes = [entry["message"] for entry in run.metrics() if entry["kind"] == "note"]
    assert len(set(notes)) == len(notes)


@pytest.fixture
def store(place: Path) -> Iterator[Store]:
    found = open_store(place / "ws")
    yield found
    end_supervisor(found.root)


@posix
@pytest.mark.slow
def test_kills_of_one_and_of_torchrun_change_nothing(place: Path, store: Store) -> None:
    """F13: a run begins again where the last checkpoint was, nothing of it is left, and it ends with the same bits."""
    how = {**TOGETHER, "epochs": 5, "warm_epochs": 2, "checkpoint_seconds": 0.0, "batch_size": 12, "validations": 1}
    whole = learn(place, "routed-experts", "whole", **how)
    graph = place / "routed-experts.json"
    environment = {**os.environ, "FGDESIGN_WORKSPACE": str(store.root)}
    environment.pop("FGDESIGN_SUPERVISOR", None)
    flags = [f"--set={name}={value}" for name, value in how.items()]
    told = subprocess.run([sys.executable, "-m", "fgdesign", "train", str(graph), str(place / "rows.csv"), "--queue",
                           "--json", *flags], env=environment, capture_output=True, text=True, check=True)
    name = json.loads(told.stdout)["name"]
    run, total = store.job(name).folder, len(lines(whole, "step"))

    def reached(share: float) -> bool:
        return store.job(name).state == "running" and len(lines(run, "step")) >= share * total

    wait_for(lambda: reached(0.2), "the first steps")
    groups = [Path(f"/proc/{member.pid}/autogroup") for member in trainers(run)]
    assert all(member.nice() >= NICE for member in trainers(run))
    assert all(f"nice {NICE}" in group.read_text() for group in groups if group.is_file())  # behind the pages
    trainers(run)[1].kill()
    wait_for(lambda: store.job(name).attempt == 2, "the second attempt")
    wait_for(lambda: reached(0.6) and len(trainers(run)) == 2, "more steps")
    job, members = store.job(name), trainers(run)
    marks = [(member.pid, mark_of(member.pid)) for member in members]
    assert run.told()["pid"] == job.pid and all(member.ppid() == job.pid for member in members)
    psutil.Process(job.pid).kill()
    wait_for(lambda: not any(is_alive(*mark) for mark in marks), "the end of those it began", GONE)
    wait_for(lambda: store.job(name).state in ("succeeded", "failed"), "the end")
    assert store.job(name).state == "succeeded", (run.path / "log.txt").read_text()
    assert store.job(name).attempt == 3 and not trainers(run)
    deaths = [event["message"] for event in store.events(name) if event["kind"] == "queued" and event["message"]]
    assert len(deaths) == 2 and all("signal 9 (SIGKILL); it goes on from its last checkpoint" in one for one in deaths)
    assert (whole.model / "model.safetensors").read_bytes() == (run.model / "model.safetensors").read_bytes()
    assert lines(whole) == lines(run)


@posix
@pytest.mark.slow
def test_a_pause_and_a_stop_end_all_at_the_same_step(place: Path) -> None:
    run, child = begin(place, "run", epochs=1000, batch_size=16, checkpoint_seconds=1000.0, validations=1)
    wait_for(lambda: len(lines(run, "step")) >= 4, "the first steps")
    asked = time.monotonic()
    run.stop("pause")
    assert child.wait(20) == 0
    print(f"ended {time.monotonic() - asked:.2f} s after a pause was asked for")
    assert run.status()["state"] == "paused" and not trainers(run)
    at = json.loads((run.checkpoints / run.newest_checkpoint() / "state.json").read_text())["position"]
    assert at["step"] >= 1 and at["stage"] in (0, 1)
    again = subprocess.Popen([sys.executable, "-m", "fgdesign", "resume", str(run.path)], stderr=subprocess.DEVNULL)
    before = len(lines(run, "step"))
    wait_for(lambda: len(lines(run, "step")) > before, "a step after the pause")
    run.stop()
    assert again.wait(20) == 0
    assert run.status()["state"] == "stopped" and (run.model / "config.json").is_file() and not trainers(run)


@posix
@pytest.mark.slow
def test_whoever_began_it_is_not_outlived(place: Path) -> None:
    run, child = begin(place, "run", epochs=1000, validations=1)
    wait_for(lambda: len(lines(run, "step")) >= 2, "the first steps")
    marks = [(member.pid, mark_of(member.pid)) for member in trainers(run)]
    assert len(marks) == 2
    team = [*trainers(run), *trainers(run)[0].parents()[:1]]
    heard = {port.laddr.ip for member in team for port in member.net_connections("tcp") if port.status == "LISTEN"}
    assert heard == {"127.0.0.1"}  # nobody outside this machine can reach them
    child.kill()
    child.wait()
    wait_for(lambda: not any(is_alive(*mark) for mark in marks), "the end of those it began", GONE)
    assert run.status()["state"] == "failed" and "fgdesign resume" in run.status()["message"]


@posix
@pytest.mark.slow
def test_fewer_than_asked_fail_at_the_start(place: Path) -> None:
    """F18, with a torchrun that starts one process instead of two."""
    run = RunFolder(place / "run")
    graph = Graph("x", ())
    write_request(run, graph, {"train": str(place / "rows.csv")}, settings_from(TOGETHER))
    done = subprocess.run(ranks.line(run, 1), capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert run.status()["state"] == "failed"
    assert "asks for 2 processes, but 1 was started and 1 joined" in run.status()["message"]
    assert run.metrics() == [] and not run.checkpoints.exists()


@pytest.mark.parametrize(("device", "gpus", "message"), [
    ("auto", 0, ""), ("cpu", 0, ""), ("cpu", 1, ""), ("auto", 2, ""), ("cuda", 3, ""),
    ("auto", 1, "2 processes are asked, each on a GPU of its own, and there is 1 here. Set processes to 1, or"),
    ("cuda", 0, "there are 0 here. Set processes to 1, or choose device cpu."),
    ("cuda:1", 2, "2 processes are asked, and device cuda:1 is one."), ("mps", 0, "device mps is one"),
])
@posix
def test_what_stands_in_the_way_is_said(monkeypatch: pytest.MonkeyPatch, device: str, gpus: int, message: str) -> None:
    settings = Settings(processes=2, device=device)
    told = ranks.hindrance(settings, gpus)
    assert message in told and bool(message) == bool(told)
    assert ranks.hindrance(Settings(device=device), gpus) == ""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    if message:
        with pytest.raises(DeviceError, match=r"2 processes are asked"):
            ranks.require(settings)
    else:
        ranks.require(settings)


def test_the_check_counts_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert _devices(Settings(processes=2, device="cpu")) == [] == _devices(Settings())
    assert "this machine has 2 cores" in _devices(Settings(processes=4, device="cpu"))[0]
    monkeypatch.setenv("FGDESIGN_SLOTS", "cuda:0=1,cuda:1=1,cpu=1")
    assert _devices(Settings(processes=2)) == []
    assert "there are 2 here" in _devices(Settings(processes=4))[0]
    assert "this machine has 2 cores" in _devices(Settings(processes=4, device="cpu"))[0]


@pytest.mark.parametrize(("told", "threads"), [("8", 4), ("1", 1), ("3", 1)])
def test_threads_are_shared(monkeypatch: pytest.MonkeyPatch, told: str, threads: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert ranks.threads(2) == threads
