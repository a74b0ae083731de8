"""Runs as jobs of a Ray cluster: what it is told, what its silence means, which clusters are refused."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from enum import Enum
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from made_up_rows import write_rows
from toy_worker import expected

from fgdesign.errors import InputError, MissingExtraError
from fgdesign.graph import load_graph
from fgdesign.runs import cluster, executor, process, settle
from fgdesign.runs.cluster import RayExecutor, refuse_open
from fgdesign.runs.store import Store, open_store
from fgdesign.runs.supervisor import Supervisor

TOY = Path(__file__).with_name("toy_worker.py")


class Status(Enum):
    PENDING, RUNNING, SUCCEEDED, STOPPED = "PENDING", "RUNNING", "SUCCEEDED", "STOPPED"


class Head:
    """What a head knows of its jobs; it carries none out by itself."""

    def __init__(self) -> None:
        self.jobs: dict[str, Status] = {}
        self.asked: list[dict[str, Any]] = []
        self.silent = False

    def answer(self, mark: str = "") -> None:
        if self.silent:
            raise ConnectionError("Failed to connect to Ray")
        if mark and mark not in self.jobs:
            raise RuntimeError("Request failed with status code 404: job does not exist")

    def submit_job(self, **asked: Any) -> None:
        self.answer()
        self.asked.append(asked)
        self.jobs[asked["submission_id"]] = Status.PENDING

    def get_job_status(self, mark: str) -> Status:
        self.answer(mark)
        return self.jobs[mark]

    def stop_job(self, mark: str) -> None:
        self.answer(mark)
        self.jobs[mark] = Status.STOPPED

    def work(self) -> None:
        """Carry the last job out, by the worker of the tests, as another machine would."""
        asked = self.asked[-1]
        line = asked["entrypoint"].replace("-m fgdesign.runs.worker", shlex.quote(str(TOY)))
        env = {**os.environ, **asked["runtime_env"]["env_vars"]}
        subprocess.run(line, shell=True, check=True, timeout=60, env=env)
        self.jobs[asked["submission_id"]] = Status.SUCCEEDED


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(cluster, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(settle, "BACK_OFF", 0.0)
    return open_store(tmp_path / "ws")


@pytest.fixture
def rows(tmp_path: Path) -> dict[str, str | None]:
    return {"train": str(write_rows(tmp_path / "rows.csv"))}


def test_a_run_is_a_job_and_begins_again_where_the_head_forgot_it(store: Store, rows: dict[str, str | None],
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FGDESIGN_PRECISION", "float32")
    monkeypatch.setenv("AWS_SECRET", "x")
    head = Head()
    boss = Supervisor(store, RayExecutor(head), ("cuda:0", "cpu"))
    run = store.submit(load_graph("linear-probe"), rows, {"epochs": 3, "patience": 1})
    boss.look()
    [asked] = head.asked
    told = asked["runtime_env"]["env_vars"]
    assert told["FGDESIGN_PRECISION"] == "float32" and told[process.ELSEWHERE] and "AWS_SECRET" not in told
    assert (asked["metadata"], asked["entrypoint_num_gpus"]) == ({"run": run.name}, 1)
    assert json.loads(shlex.split(asked["entrypoint"])[1])["slot"] == "" and sys.executable in asked["entrypoint"]
    head.silent = True  # nobody knows whether it lives
    boss.look()
    assert (store.job(run.name).attempt, store.job(run.name).state) == (1, "starting")
    assert run.status()["state"] == "preparing"
    head.silent = False
    head.jobs.clear()  # the head began anew
    boss.look()
    assert (store.job(run.name).attempt, len(head.asked)) == (2, 2)
    head.work()
    boss.look()
    assert store.job(run.name).state == run.told()["state"] == "succeeded"
    report = run.report()
    assert report is not None and report["value"] == expected(3)


def test_an_end_is_carried_to_the_cluster(store: Store, rows: dict[str, str | None]) -> None:
    head = Head()
    boss = Supervisor(store, RayExecutor(head), ("cpu",))
    run = store.submit(load_graph("linear-probe"), rows)
    boss.look()
    store.cancel(run.name)
    boss.look()
    boss.look()
    assert list(head.jobs.values()) == [Status.STOPPED] and store.job(run.name).state == "cancelled"


def test_what_the_cluster_does_not_take_is_tried_again(store: Store, rows: dict[str, str | None],
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    head = Head()
    head.silent = True
    boss = Supervisor(store, RayExecutor(head), ("cpu",))
    run = store.submit(load_graph("linear-probe"), rows)
    boss.look()
    assert store.job(run.name).state == "starting" and "Ray took no job" in capsys.readouterr().out
    head.silent = False
    boss.look()
    assert store.job(run.name).attempt == 2 and len(head.jobs) == 1


@pytest.fixture
def server() -> Iterator[tuple[str, list[int]]]:
    """The address of something that answers with these codes."""
    codes = [200]

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(codes[0])
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Answer) as found:
        Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}", codes
        found.shutdown()


def test_an_open_cluster_is_refused(server: tuple[str, list[int]]) -> None:
    address, codes = server
    with pytest.raises(InputError, match="lets anyone run code: it asks for no token"):
        refuse_open(address)
    codes[0] = 401
    refuse_open(address)
    codes[0] = 500
    with pytest.raises(InputError, match="answered 500"):
        refuse_open(address)


@pytest.mark.parametrize(("address", "message"), [("http://127.0.0.1:9", "No Ray cluster answers"),
                                                  ("ray://x:10001", "It is the address of the cluster's jobs")])
def test_what_is_no_cluster_is_told(address: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        refuse_open(address)


def test_the_place_of_runs_is_named_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(executor.PLACE, "rya")
    with pytest.raises(InputError, match=r"no place 'rya' for runs\. Did you mean ray"):
        executor.executor_wanted(("x",), threads=None, log=tmp_path / "log")
    monkeypatch.setenv(executor.PLACE, "ray")
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"fgdesign\[ray\]"):
        executor.executor_wanted(("x",), threads=None, log=tmp_path / "log")
