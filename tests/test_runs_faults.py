"""Faults of processes: supervisor and workers killed, stopped, stalled at any moment; no run is lost or doubled.

The workers count instead of training (toy_worker.py), so that many rounds are cheap; test_runs_kills.py has the same
with real training. FGDESIGN_FAULT_ROUNDS asks for more rounds than the few that run by default, FGDESIGN_FAULT_FIRST
for others, FGDESIGN_FAULT_LOCK for a longer lock, FGDESIGN_FAULT_SLEEP for a longer sleep, FGDESIGN_FAULT_MINUTES for
more time with one file.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest
from made_up_rows import write_rows
from toy_worker import expected

from fgdesign.graph import load_graph
from fgdesign.runs.process import end_group, is_alive, mark_of, wait_until_gone
from fgdesign.runs.store import ENDED, Job, Store, open_store

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")]
FIRST = int(os.environ.get("FGDESIGN_FAULT_FIRST", "0"))
ROUNDS = range(FIRST, FIRST + int(os.environ.get("FGDESIGN_FAULT_ROUNDS", "1")))
LOCKED = float(os.environ.get("FGDESIGN_FAULT_LOCK", "2"))  # seconds
ASLEEP = float(os.environ.get("FGDESIGN_FAULT_SLEEP", "1"))
MINUTES = float(os.environ.get("FGDESIGN_FAULT_MINUTES", "0.2"))
BACK = 30.0  # seconds until something is at work again: five are promised where the machine does nothing else
GRAPH = load_graph("linear-probe")
TOY = (sys.executable, str(Path(__file__).with_name("toy_worker.py")))
SUPERVISE = """
import sys, time
from pathlib import Path

real, clock = time.time, Path(sys.argv[1], "clock")  # what the clock is wrong by
time.time = lambda: real() + (float(clock.read_text()) if clock.exists() else 0.0)
from fgdesign.runs.supervisor import supervise

supervise(Path(sys.argv[1]), command=sys.argv[2:], slots=("cpu", "cpu"))
"""
SUBMIT = """
import sys, time
from pathlib import Path
from fgdesign.graph import load_graph
from fgdesign.runs.store import open_store

store, steps = open_store(Path(sys.argv[1])), int(sys.argv[3])
for _ in range(2):
    print(store.submit(load_graph("linear-probe"), {"train": sys.argv[2]}, {"epochs": steps, "patience": 20}).name,
          flush=True)
    time.sleep(0.7)
time.sleep(1000)
"""  # what a server does when a person trains
WISHED = {"pause": "paused", "stop": "stopped", "cancel": "cancelled"}
LONG = {"epochs": 1000, "patience": 20}  # steps, and milliseconds a step


class Machine:
    """A workspace, and the supervisor that looks after it."""

    def __init__(self, place: Path) -> None:
        self.store: Store = open_store(place / "ws")
        self.rows: dict[str, str | None] = {"train": str(write_rows(place / "rows.csv"))}
        self.boss: subprocess.Popen[bytes] | None = None
        self.server: subprocess.Popen[bytes] | None = None
        self.told = place / "submitted.txt"  # names that the server was given

    def supervise(self) -> subprocess.Popen[bytes]:
        line = [sys.executable, "-c", SUPERVISE, str(self.store.root), *TOY]
        self.boss = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self.boss

    def kill_boss(self) -> None:
        if self.boss is not None:
            self.boss.kill()
            self.boss.wait()

    def serve(self, steps: int) -> None:
        """Begin a server that submits two runs of so many steps."""
        line = [sys.executable, "-c", SUBMIT, str(self.store.root), str(self.rows["train"]), str(steps)]
        with self.told.open("ab") as told:
            self.server = subprocess.Popen(line, stdout=told, stderr=subprocess.DEVNULL)

    def kill_server(self) -> None:
        if self.server is not None:
            self.server.kill()
            self.server.wait()

    def is_busy(self) -> bool:
        """Whether something is at work, or nothing waits."""
        active = self.store.active()
        return any(job.state == "running" and is_alive(job.pid, job.pid_mark) for job in active) or not (
            active or self.store.queue())

    def submit(self, **settings: int) -> str:
        return self.store.submit(GRAPH, self.rows, settings).name

    def wait(self, name: str, *states: str) -> Job:
        wait_for(lambda: self.store.job(name).state in states, lambda: str(self.store.job(name)))
        return self.store.job(name)

    def at_work(self, name: str) -> Job:
        """The run, once it has counted a little."""
        wait_for(lambda: self.store.job(name).state == "running" and steps(self.store.job(name)) > 0)
        return self.store.job(name)

    def close(self) -> None:
        self.kill_server()
        self.kill_boss()
        for job in self.store.active():
            end_group(job.pid, job.pid_mark)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    found = Machine(tmp_path)
    yield found
    found.close()


def wait_for(done: Callable[[], bool], told: Callable[[], str] = str, seconds: float = 120,
             pause: float = 0.02) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"it took too long {told()}"
        time.sleep(pause)


def steps(job: Job) -> int:
    return int(job.folder.newest_checkpoint().rpartition("-")[2] or 0)


def begun(job: Job) -> list[int]:
    """Process numbers of all that held the run, in order."""
    file = job.folder.path / "begun.txt"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def check_whole(job: Job) -> None:
    report = job.folder.report()
    assert job.state == job.folder.told()["state"] == "succeeded", job
    assert report is not None and report["value"] == expected(job.folder.config()["settings"]["epochs"])
    logged = [entry["step"] for entry in job.folder.metrics()]
    assert len(set(logged)) == len(logged)


def check_file(file: Path) -> None:
    with sqlite3.connect(file) as found:
        assert found.execute("PRAGMA quick_check").fetchall() == [("ok",)]
    found.close()


def restored(store: Store) -> dict[str, str]:
    """Runs and their states by a copy of the file, opened as a store of its own."""
    place = store.root.with_name("restored")
    place.mkdir()
    with sqlite3.connect(store.root / "fgdesign.db") as file:
        file.execute("VACUUM INTO ?", (str(place / "fgdesign.db"),))
    file.close()
    return {job.name: job.state for job in open_store(place).jobs()}


def disturb(machine: Machine, draw: random.Random, kills: Counter[str], within: float) -> float:
    """Kill one of those at work, or all of them, and look at the file; seconds until something works again."""
    time.sleep(draw.uniform(0.2, 1.0))
    what = draw.choice(("worker", "boss", "server", "all"))
    if what in ("boss", "all"):
        machine.kill_boss()
    if what in ("server", "all"):
        machine.kill_server()
    if what in ("worker", "all"):
        for job in machine.store.active()[:1 if what == "worker" else None]:
            if job.failures < 2 and job.pid:  # three in a row at one place are given up by design
                kills[job.name] += 1
                end_group(job.pid, job.pid_mark)
    check_file(machine.store.root / "fgdesign.db")
    began = time.monotonic()
    if what in ("boss", "all"):
        machine.supervise()
    if what in ("server", "all"):
        machine.serve(steps=10)
    wait_for(machine.is_busy, seconds=within)
    return time.monotonic() - began


@pytest.mark.parametrize("seed", ROUNDS)
def test_kills_of_supervisor_server_and_workers_lose_and_double_nothing(machine: Machine, seed: int) -> None:
    """F2, F7: each, or all at once, at random moments."""
    draw = random.Random(seed)
    names = [machine.submit(epochs=draw.randint(5, 30), patience=20) for _ in range(4)]
    machine.supervise()
    machine.serve(steps=10)
    kills = Counter[str]()
    slowest = max(disturb(machine, draw, kills, within=BACK) for _ in range(6))
    machine.kill_server()
    told = machine.told.read_text().split()
    assert {*names, *told} <= {job.name for job in machine.store.jobs()}
    found = [machine.wait(job.name, *ENDED) for job in machine.store.jobs()]
    for job in found:
        check_whole(job)
        assert len(begun(job)) <= 1 + kills[job.name]  # no start without a death
    check_file(machine.store.root / "fgdesign.db")
    assert restored(machine.store) == {job.name: "succeeded" for job in found}
    print(f"round {seed}: {len(found)} runs, {len(told)} from servers, {kills.total()} of them killed, back after "
          f"{slowest:.1f} s at most")


def test_one_file_stays_whole_through_many_kills(machine: Machine) -> None:
    """F7: for as long as is asked; the file is looked at after each kill, and a copy of it opens as a store."""
    draw, kills, times = random.Random(FIRST), Counter[str](), []
    names = [machine.submit(epochs=10, patience=20)]
    machine.supervise()
    machine.serve(steps=10)
    end = time.monotonic() + 60 * MINUTES
    while time.monotonic() < end:
        if len(machine.store.queue()) < 3:
            names.append(machine.submit(epochs=draw.randint(5, 30), patience=20))
        times.append(disturb(machine, draw, kills, within=4 * BACK))
    machine.kill_server()
    names += machine.told.read_text().split()
    found = [machine.wait(job.name, *ENDED) for job in machine.store.jobs()]
    assert {*names} <= {job.name for job in found}
    for job in found:
        check_whole(job)
        assert len(begun(job)) <= 1 + kills[job.name]
    check_file(machine.store.root / "fgdesign.db")
    assert restored(machine.store) == {job.name: "succeeded" for job in found}
    times.sort()
    print(f"{MINUTES:g} minutes: {len(found)} runs, {len(times)} kills, {kills.total()} of them of runs; back after "
          f"{times[len(times) // 2]:.1f} s in the middle, {times[-1]:.1f} s at most")


def test_a_run_goes_on_without_a_supervisor_and_is_adopted(machine: Machine) -> None:
    """F2: the work of the run is not done twice, and its end is seen by the next one."""
    name = machine.submit(epochs=60, patience=20)
    machine.supervise()
    job = machine.at_work(name)
    machine.kill_boss()
    assert is_alive(job.pid, job.pid_mark)
    before = steps(job)
    wait_for(lambda: steps(job) > before)
    machine.supervise()
    check_whole(machine.wait(name, *ENDED))
    assert begun(job) == [job.pid] and machine.store.job(name).attempt == 1


def test_a_run_that_ended_alone_is_seen_by_the_next(machine: Machine) -> None:
    name = machine.submit(epochs=5, patience=1)
    machine.supervise()
    wait_for(lambda: machine.store.job(name).state != "queued")
    machine.kill_boss()
    job = machine.store.job(name)
    assert wait_until_gone(job.pid, job.pid_mark, 60)
    machine.supervise()
    job = machine.wait(name, *ENDED)
    check_whole(job)


@pytest.mark.parametrize(("when", "wish"), [*product(("starting", "running", "saving"), WISHED),
                                            ("stopping", "cancel")])
def test_wishes_in_each_state(machine: Machine, when: str, wish: str) -> None:
    """F14: one end, never two, and no process left ten seconds later. What waits is in the table of moves."""
    name = machine.submit(**LONG)
    machine.supervise()
    if when == "starting":
        wait_for(lambda: machine.store.job(name).state != "queued")
    else:
        job = machine.at_work(name)
        if when == "saving":
            wait_for(lambda: any(job.folder.checkpoints.glob("writing-*")), pause=0.0)
        elif when == "stopping":
            machine.store.stop(name)
    getattr(machine.store, wish)(name)
    asked = time.monotonic()
    job = machine.wait(name, "paused", *ENDED)
    assert time.monotonic() - asked < 10
    assert job.state == job.folder.told()["state"] == WISHED[wish]
    assert not any(mark_of(pid) for pid in begun(job))
    assert not machine.store.active() and len(begun(job)) <= 1
    if wish != "pause":
        return
    before, processes = steps(job), len(begun(job))
    machine.store.resume(name)
    machine.at_work(name)
    wait_for(lambda: steps(job) > before)
    assert len(begun(job)) == processes + 1


@pytest.mark.parametrize("seed", ROUNDS)
def test_a_stop_soon_after_a_pause_counts(machine: Machine, seed: int) -> None:
    """F14: whoever asks last is heard, whether the run was still being put aside or was already."""
    draw, name = random.Random(seed), machine.submit(**LONG)
    machine.supervise()
    job = machine.at_work(name)
    machine.store.pause(name)
    time.sleep(draw.uniform(0, 0.4))
    machine.store.stop(name)
    job = machine.wait(name, *ENDED)
    assert job.state == job.folder.told()["state"] and job.state in ("stopped", "cancelled")


@pytest.mark.parametrize("seed", ROUNDS)
def test_a_wish_at_the_very_end(machine: Machine, seed: int) -> None:
    """F14: through, or ended as was wished; the store and the folder agree."""
    draw = random.Random(seed)
    names = {machine.submit(epochs=10, patience=10): draw.choice(("pause", "stop", "cancel")) for _ in range(4)}
    machine.supervise()
    for name, wish in names.items():
        target = draw.randint(7, 10)
        wait_for(lambda name=name, target=target: steps(machine.store.job(name)) >= target)
        try:
            getattr(machine.store, wish)(name)
        except Exception as error:
            assert "not at work" in str(error)
        job = machine.wait(name, "paused", *ENDED)
        assert job.state == job.folder.told()["state"]
        assert job.state in ("succeeded", WISHED[wish])
        assert (job.folder.report() is not None) >= (job.state == "succeeded")


def test_who_is_only_asleep_is_not_replaced(machine: Machine) -> None:
    """F15: a worker and a supervisor that are stopped for a while."""
    name = machine.submit(epochs=30, patience=20)
    boss = machine.supervise()
    job = machine.at_work(name)
    os.kill(job.pid, signal.SIGSTOP)
    boss.send_signal(signal.SIGSTOP)
    second = subprocess.run([sys.executable, "-c", SUPERVISE, str(machine.store.root), *TOY], timeout=120)
    assert second.returncode == 0  # it saw that there is one, and left
    boss.send_signal(signal.SIGCONT)
    machine.store.wake()
    time.sleep(ASLEEP)
    asleep = machine.store.job(name)
    assert (asleep.state, asleep.attempt, asleep.pid) == ("running", 1, job.pid)
    os.kill(job.pid, signal.SIGCONT)
    check_whole(machine.wait(name, *ENDED))
    assert len(begun(job)) == 1


@pytest.mark.parametrize("jump", [86_400, -86_400])
def test_a_clock_that_jumps_begins_nothing_twice(machine: Machine, jump: int) -> None:
    """F15: by a day, while the run works and again between a death and the next attempt."""
    clock, aside = machine.store.root / "clock", machine.store.root / "clock.new"

    def set_clock(wrong_by: int) -> None:  # at once: an empty file would end the supervisor
        aside.write_text(str(wrong_by))
        aside.replace(clock)

    name = machine.submit(epochs=80, patience=20)
    machine.supervise()
    job = machine.at_work(name)
    set_clock(jump)
    machine.store.wake()
    time.sleep(0.5)
    now = machine.store.job(name)
    assert (now.state, now.attempt, now.pid) == ("running", 1, job.pid)
    end_group(job.pid, job.pid_mark)
    wait_for(lambda: machine.store.job(name).failures == 1)
    set_clock(0)
    check_whole(machine.wait(name, *ENDED))
    assert len(begun(job)) == 2


def test_a_number_that_another_process_has_now_is_not_the_run(machine: Machine) -> None:
    """F15: the run is taken up again, and the stranger is left alone, also by a cancel."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as stranger:
        name = machine.submit(epochs=5, patience=1)
        machine.store.change(name, ("queued",), state="running", attempt=1, pid=stranger.pid, pid_mark="1@before")
        other = machine.submit(epochs=5, patience=1)
        machine.store.change(other, ("queued",), state="stopping", wanted="cancel", attempt=1, pid=stranger.pid,
                             pid_mark="1@before")
        machine.supervise()
        check_whole(machine.wait(name, *ENDED))
        assert machine.wait(other, *ENDED).state == "cancelled" and stranger.poll() is None
        stranger.kill()


def test_a_locked_store_is_waited_for(machine: Machine) -> None:
    """F6: nobody is told of it, and nothing is lost."""
    machine.supervise()
    names = [machine.submit(epochs=5, patience=10) for _ in range(3)]
    other = sqlite3.connect(machine.store.root / "fgdesign.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    time.sleep(LOCKED)
    other.execute("COMMIT")
    other.close()
    for name in names:
        check_whole(machine.wait(name, *ENDED))
    assert (machine.store.root / "supervisor.log").read_text() == ""
