"""The supervisor's decisions, with workers that only exist on paper: who begins, what a death means, what is mended."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from made_up_rows import write_rows

from fgdesign.errors import InputError
from fgdesign.graph import load_graph
from fgdesign.runs import settle, supervisor
from fgdesign.runs.executor import LocalExecutor, Worker, pick_slot, slots_in, slots_of_machine
from fgdesign.runs.folder import RunFolder
from fgdesign.runs.process import DISK_FULL, mark_of, try_lock, wait_until_gone
from fgdesign.runs.settle import Death, judge, memory_kills
from fgdesign.runs.store import STATES, Job, Store, open_store
from fgdesign.runs.supervisor import Supervisor, ensure
from fgdesign.runs.worker import FULL, Order

GRAPH = load_graph("linear-probe")
KILLED = -9


@dataclass
class Paper:
    """A process on paper: takes an order, lives until it is told otherwise."""

    pid: int
    mark: str
    told: list[Order] = field(default_factory=list)
    gone: bool = False

    def order(self, order: Order) -> None:
        self.told.append(order)

    def dismiss(self) -> None:
        self.gone = True


class PaperExecutor:
    """Workers on paper."""

    def __init__(self) -> None:
        self.workers: list[Paper] = []
        self.codes: dict[int, int | None] = {}
        self.killed: list[int] = []

    def warm(self) -> None:
        """Nothing to make ready."""

    def take(self) -> Worker:
        self.workers.append(Paper(100 + len(self.workers), f"mark-{len(self.workers)}"))
        return self.workers[-1]  # type: ignore[return-value]

    def is_alive(self, pid: int, mark: str) -> bool:
        return any((w.pid, w.mark) == (pid, mark) and not w.gone for w in self.workers)

    def exit_code(self, pid: int) -> int | None:
        return self.codes.get(pid)

    def kill(self, pid: int, mark: str) -> None:
        self.killed.append(pid)
        self.end(pid, KILLED)

    def clear(self, pid: int) -> None:
        """Workers on paper begin nothing."""

    def close(self) -> None:
        """Nothing to let go."""

    def end(self, pid: int, code: int | None = 0) -> None:
        next(w for w in self.workers if w.pid == pid).gone = True
        self.codes[pid] = code


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "ws")


@pytest.fixture
def rows(tmp_path: Path) -> dict[str, str | None]:
    return {"train": str(write_rows(tmp_path / "rows.csv"))}


@pytest.fixture
def paper() -> PaperExecutor:
    return PaperExecutor()


def states(store: Store) -> list[str]:
    return [job.state for job in reversed(store.jobs())]


def test_what_waits_begins_in_order_where_a_slot_is_free(store: Store, rows: dict[str, str | None],
                                                         paper: PaperExecutor) -> None:
    one, two, three = (store.submit(GRAPH, rows, priority=priority) for priority in (0, 5, 0))
    boss = Supervisor(store, paper, ("cpu",))
    assert boss.look()
    assert states(store) == ["queued", "starting", "queued"]
    begun = store.job(two.name)
    assert paper.workers[0].told == [Order(str(store.root), two.name, str(two.path), 1, "cpu")]
    assert (begun.attempt, begun.slot, begun.pid, begun.pid_mark) == (1, "cpu", 100, "mark-0")
    two.write_status(state="succeeded", message="Finished.")
    paper.end(100)
    boss.look()
    assert states(store) == ["starting", "succeeded", "queued"]
    assert store.job(two.name).message == "Finished." and store.job(two.name).pid == 0
    assert Supervisor(store, paper, ("cpu", "cpu")).look()  # a successor with one slot more adopts and goes on
    assert states(store) == ["starting", "succeeded", "starting"] and len(paper.workers) == 3
    for run in (one, three):
        run.write_status(state="succeeded")
    for worker in paper.workers:
        worker.gone = True
    assert not Supervisor(store, paper, ("cpu",)).look()
    assert states(store) == ["succeeded"] * 3


@pytest.mark.parametrize(("learned", "message", "end"), [(True, "Paused.", "queued"), (False, "Paused.", "cancelled"),
                                                         (True, DISK_FULL, "paused")])
def test_a_stop_asked_while_a_run_is_put_aside(store: Store, rows: dict[str, str | None], learned: bool, message: str,
                                               end: str) -> None:
    run = store.submit(GRAPH, rows)
    store.change(run.name, STATES, state="stopping", wanted="stop", attempt=1)
    run.write_status(state="paused", attempt=1, message=message)
    if learned:
        run.log({"kind": "valid", "metrics": {"macro_f1": 0.5}})
    assert settle.settle(store, store.job(run.name), Death(0)) == end
    assert (store.job(run.name).state, run.told()["state"]) == (end, end)


def test_a_run_is_not_begun_where_another_has_begun_it(store: Store, rows: dict[str, str | None],
                                                       paper: PaperExecutor) -> None:
    run = store.submit(GRAPH, rows)
    seen = store.job(run.name)
    Supervisor(store, paper, ("cpu",)).look()
    Supervisor(store, paper, ("cpu", "cpu"))._start(seen, "cpu")  # what a supervisor would do that slept meanwhile
    assert store.job(run.name).attempt == 1 and paper.workers[1].gone and not paper.workers[1].told


# what the folder says (state, of this attempt), wish, state of the job, exit code, the kernel's word -> what it is
ENDS = [
    (("succeeded", True), "run", "running", 0, False, "succeeded"),
    (("succeeded", True), "cancel", "stopping", KILLED, False, "succeeded"),  # it was through before
    (("succeeded", True), "run", "running", KILLED, False, "succeeded"),  # the code does not count
    (("stopped", True), "stop", "stopping", 0, False, "stopped"),
    (("stopped", True), "cancel", "stopping", KILLED, False, "cancelled"),
    (("failed", True), "run", "running", 1, False, "failed"),
    (("failed", True), "pause", "stopping", 1, False, "failed"),
    (("paused", True), "run", "running", 1, False, "paused"),  # the disk was full
    (("stopped", False), "run", "starting", KILLED, False, "queued"),  # of an attempt before
    (("succeeded", False), "run", "running", None, False, "queued"),
    (("running", True), "run", "running", KILLED, False, "queued"),
    (("running", True), "run", "running", None, False, "queued"),
    (("running", True), "pause", "stopping", KILLED, False, "paused"),
    (("paused", True), "resume", "stopping", 0, False, "queued"),
    (("running", True), "resume", "stopping", KILLED, False, "queued"),
    (("succeeded", True), "resume", "stopping", 0, False, "succeeded"),
    (("running", True), "stop", "stopping", KILLED, False, "stopped"),
    (("running", True), "cancel", "stopping", KILLED, False, "cancelled"),
    (("running", True), "run", "running", FULL, False, "paused"),
    (("running", True), "run", "running", KILLED, True, "failed"),
    (("running", True), "run", "running", None, True, "failed"),
    (("running", True), "run", "running", 1, True, "queued"),  # it ended by itself: memory was taken from another
]


@pytest.mark.parametrize(("told", "wanted", "state", "code", "memory", "end"), ENDS)
def test_how_an_attempt_ended(store: Store, rows: dict[str, str | None], told: tuple[str, bool], wanted: str,
                              state: str, code: int | None, memory: bool, end: str) -> None:
    run = store.submit(GRAPH, rows)
    store.change(run.name, STATES, state=state, wanted=wanted, attempt=2)
    run.write_status(state=told[0], attempt=2 if told[1] else 1, message="as it was")
    (run.model).mkdir()
    job, death = store.job(run.name), Death(code, memory)
    assert judge(job, death)[0] == end
    assert settle.settle(store, job, death) == end == settle.settle(store, job, death)  # again, after a kill between
    settle.take_aside(job)
    after = store.job(run.name)
    assert (after.state, run.told()["state"]) == (end, end)
    assert run.model.exists() == (end != "cancelled")
    assert after.failures == (1 if end == "queued" and wanted == "run" else 0)
    assert (after.not_before > 0) == (end == "queued")


def test_deaths_at_one_place_end_the_run_and_progress_forgives_them(store: Store, rows: dict[str, str | None],
                                                                    paper: PaperExecutor) -> None:
    run = store.submit(GRAPH, rows)
    boss = Supervisor(store, paper, ("cpu",))

    def die() -> None:
        store.change(run.name, ("queued",), not_before=0.0)
        boss.look()
        paper.end(paper.workers[-1].pid, KILLED)
        boss.look()

    die()
    assert "SIGKILL" in store.job(run.name).message and run.status()["state"] == "queued"
    die()
    assert (store.job(run.name).state, store.job(run.name).failures) == ("queued", 2)
    store.change(run.name, ("queued",), not_before=0.0)
    boss.look()
    (run.checkpoints / "step-000000001").mkdir(parents=True)
    paper.end(paper.workers[-1].pid, KILLED)
    boss.look()
    assert store.job(run.name).failures == 1
    for _ in range(2):
        die()
    last = store.job(run.name)
    assert last.state == "failed" and "3 times without getting further" in last.message
    assert run.status()["state"] == "failed" and last.attempt == 5


def test_another_attempt_waits_a_little_whatever_the_clock_says(store: Store, rows: dict[str, str | None],
                                                                paper: PaperExecutor) -> None:
    run = store.submit(GRAPH, rows)
    boss = Supervisor(store, paper, ("cpu",))
    store.change(run.name, ("queued",), not_before=time.time() + 30)
    boss.look()
    assert store.job(run.name).state == "queued"
    store.change(run.name, ("queued",), not_before=time.time() + 7200)  # the clock was set back by two hours
    boss.look()
    assert store.job(run.name).state == "starting"


@pytest.mark.parametrize(("wish", "end"), [("pause", "paused"), ("stop", "stopped"), ("cancel", "cancelled")])
def test_who_does_not_end_is_ended(store: Store, rows: dict[str, str | None], paper: PaperExecutor,
                                   monkeypatch: pytest.MonkeyPatch, wish: str, end: str) -> None:
    run = store.submit(GRAPH, rows)
    boss = Supervisor(store, paper, ("cpu",))
    boss.look()
    getattr(store, wish)(run.name)
    boss.look()
    assert bool(paper.killed) == (wish == "cancel")
    monkeypatch.setattr(supervisor, "GRACE", dict.fromkeys(supervisor.GRACE, 0.0))
    boss.look()
    boss.look()
    assert paper.killed and store.job(run.name).state == run.status()["state"] == end


@pytest.mark.parametrize(("wish", "end"), [("resume", "starting"), ("stop", "cancelled")])
def test_what_is_wished_while_a_run_is_put_aside(store: Store, rows: dict[str, str | None], paper: PaperExecutor,
                                                 monkeypatch: pytest.MonkeyPatch, wish: str, end: str) -> None:
    """Its folder says paused, its process is gone, and the end is judged: then the wish comes."""
    run = store.submit(GRAPH, rows)
    boss = Supervisor(store, paper, ("cpu",))
    boss.look()
    store.pause(run.name)
    run.write_status(state="paused", message="Paused.")
    run.model.mkdir()
    paper.end(100)
    judged = settle.judge

    def late(job: Job, death: Death) -> tuple[str, str, int, float]:
        found = judged(job, death)
        monkeypatch.setattr(settle, "judge", judged)
        getattr(store, wish)(run.name)
        return found

    monkeypatch.setattr(settle, "judge", late)
    boss.look()
    assert store.job(run.name).state == "stopping"
    boss.look()
    boss.look()
    assert store.job(run.name).state == end, store.events(run.name)
    assert not run.asked_to_stop or wish == "stop"


def test_a_stop_waits_for_what_was_learned(store: Store, rows: dict[str, str | None], paper: PaperExecutor,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "GRACE", dict.fromkeys(supervisor.GRACE, 0.0))
    run = store.submit(GRAPH, rows)
    boss = Supervisor(store, paper, ("cpu",))
    boss.look()
    run.log({"kind": "valid", "metrics": {}})
    store.stop(run.name)
    boss.look()
    assert not paper.killed
    run.write_status(state="stopped")
    paper.end(100)
    boss.look()
    assert store.job(run.name).state == "stopped"


class Killed(BaseException):
    """The supervisor dies here."""


class Fate:
    """Kills the supervisor before or after its n-th step that leaves a trace: each is whole or not there at all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        self.left = at
        for owner, name in ((Store, "change"), (Store, "say"), (RunFolder, "write_status"), (Paper, "order")):
            monkeypatch.setattr(owner, name, self.around(getattr(owner, name)))

    def around(self, function: Any) -> Any:
        def step(*args: Any, **named: Any) -> Any:
            self.come()
            done = function(*args, **named)
            self.come()
            return done

        return step

    def come(self) -> None:
        self.left -= 1
        if self.left == -1:
            raise Killed


@pytest.mark.parametrize("wish", ["pause", "stop", "cancel"])
def test_a_kill_at_any_step_of_a_run_s_life_changes_nothing(store: Store, rows: dict[str, str | None],
                                                            monkeypatch: pytest.MonkeyPatch, wish: str) -> None:
    """F3: the first attempt dies, the second is wished an end, the third, after a resume, gets through."""
    monkeypatch.setattr(supervisor, "GRACE", dict.fromkeys(supervisor.GRACE, 0.0))
    monkeypatch.setattr(settle, "BACK_OFF", 0.0)
    for at in range(1000):
        run, paper = store.submit(GRAPH, rows), PaperExecutor()
        with monkeypatch.context() as patch:
            fate = Fate(patch, at)
            live(store, paper, run, wish)
        orders = [order.attempt for worker in paper.workers for order in worker.told]
        assert len(set(orders)) == len(orders), "an attempt was begun twice"
        job = store.job(run.name)
        assert job.state == run.told()["state"] == "succeeded" and job.attempt in (2, 3, 4), (at, job)
        if fate.left >= 0:
            assert at > 30
            return
    pytest.fail("it never got through")


def live(store: Store, paper: PaperExecutor, run: RunFolder, wish: str) -> None:
    """A run's life; each supervisor that is killed has a successor."""
    boss, died, wished = Supervisor(store, paper, ("cpu",)), False, False
    for _ in range(40):
        try:
            boss.look()
        except Killed:
            boss = Supervisor(store, paper, ("cpu",))
            for worker in paper.workers:
                worker.gone = worker.gone or not worker.told  # nobody is left to order it
        working = [worker for worker in paper.workers if worker.told and not worker.gone]
        assert len(working) <= 1
        job = store.job(run.name)
        if job.state in ("paused", "stopped", "cancelled"):
            with suppress(Killed):  # the page dies; a person asks again where nothing came of it
                store.resume(run.name)
        elif working and not died:
            died = True
            paper.end(working[0].pid, KILLED)
        elif working and not wished:
            wished = True
            with suppress(Killed):
                getattr(store, wish)(run.name)
        elif working and job.state == "starting":
            with suppress(Killed):
                run.write_status(state="succeeded")
                paper.end(working[0].pid)
        elif job.state == "succeeded":
            return


def test_a_store_that_cannot_be_written_is_tried_again(store: Store, paper: PaperExecutor,
                                                       monkeypatch: pytest.MonkeyPatch,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    """F5, F6: a full disk or a lock that lasts ends no supervisor."""
    boss, looks = Supervisor(store, paper, ("cpu",)), 0

    def look() -> bool:
        nonlocal looks
        looks += 1
        store.wake()
        boss.ending = looks == 3
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(boss, "look", look)
    boss.run()
    assert looks == 3 and capsys.readouterr().out.count("No space left") == 3


def test_a_folder_that_was_left_behind_is_mended(store: Store, rows: dict[str, str | None],
                                                 paper: PaperExecutor) -> None:
    """A page that was killed between the store and the folder."""
    run = store.submit(GRAPH, rows)
    store.change(run.name, ("queued",), state="paused", message="Paused.")
    assert run.status()["state"] == "queued"
    Supervisor(store, paper, ("cpu",)).look()
    assert run.status()["state"] == "paused" and not paper.workers


@pytest.mark.parametrize(("device", "slots", "used", "slot"), [
    ("auto", ("cpu",), {}, "cpu"), ("auto", ("cpu",), {"cpu": 1}, None), ("auto", ("cpu", "cpu"), {"cpu": 1}, "cpu"),
    ("auto", ("cuda:0", "cuda:1", "cpu"), {"cuda:0": 1}, "cuda:1"),
    ("auto", ("cuda:0", "cpu"), {"cuda:0": 1}, None), ("cpu", ("cuda:0", "cpu"), {"cuda:0": 1}, "cpu"),
    ("cuda", ("cuda:0", "cuda:1", "cpu"), {}, "cuda:0"), ("cuda:1", ("cuda:0", "cuda:1"), {}, "cuda:1"),
    ("cuda:1", ("cuda:0", "cuda:1"), {"cuda:1": 1}, None), ("cuda", ("cpu",), {}, "cpu"),
    ("nonsense", ("cpu",), {}, "cpu"),
])
def test_slots(device: str, slots: tuple[str, ...], used: dict[str, int], slot: str | None) -> None:
    assert pick_slot(device, slots, used) == slot


@pytest.mark.parametrize(("device", "slots", "used", "slot"), [
    ("auto", ("cuda:0", "cuda:1", "cpu"), {}, "cuda:0,1"), ("cuda", ("cuda:0", "cuda:1"), {"cuda:0": 1}, None),
    ("cuda", ("cuda:0", "cuda:1", "cuda:2"), {"cuda:0": 1}, "cuda:1,2"), ("cuda", ("cuda:0", "cpu"), {}, "cuda:0"),
    ("cpu", ("cuda:0", "cpu"), {}, "cpu"), ("auto", ("cpu",), {}, "cpu"), ("auto", ("cpu",), {"cpu": 1}, None),
])
def test_slots_of_two_processes(device: str, slots: tuple[str, ...], used: dict[str, int], slot: str | None) -> None:
    assert pick_slot(device, slots, used, 2) == slot
    if slot == "cuda:0,1":
        assert slots_in(slot) == ["cuda:0", "cuda:1"] and slots_in("cpu") == ["cpu"]


def test_gpus_are_kept_for_a_run_that_needs_more_than_are_free(store: Store, paper: PaperExecutor,
                                                               rows: dict[str, str | None]) -> None:
    look = Supervisor(store, paper, ("cuda:0", "cuda:1", "cpu")).look
    first = store.submit(GRAPH, rows, {"device": "cuda"})
    look()
    both = store.submit(GRAPH, rows, {"device": "cuda", "processes": 2})
    last, other = store.submit(GRAPH, rows, {"device": "cuda"}), store.submit(GRAPH, rows, {"device": "cpu"})
    look()
    assert [store.job(run.name).slot for run in (first, both, last, other)] == ["cuda:0", "", "", "cpu"]
    store.change(first.name, ("starting",), state="succeeded", slot="")
    look()
    assert store.job(both.name).slot == "cuda:0,1" and store.job(last.name).slot == ""


@pytest.mark.parametrize(("slots", "times"), [(("cpu",), 0), (("cuda:0", "cpu"), 1)])
def test_what_waits_is_not_read_again_and_again(store: Store, paper: PaperExecutor, rows: dict[str, str | None],
                                                monkeypatch: pytest.MonkeyPatch, slots: tuple[str, ...],
                                                times: int) -> None:
    read: list[str] = []
    monkeypatch.setattr(supervisor, "asked", lambda folder: read.append(folder.name) or 2)
    names = [store.submit(GRAPH, rows, {"device": "cpu", "processes": 2}).name for _ in range(3)]
    boss = Supervisor(store, paper, slots)
    for _ in range(4):
        boss.look()
    assert sorted(read) == sorted(names * times)
    auto = store.submit(GRAPH, rows, {"device": "cuda"})  # what waits for the CPU keeps no GPU from others
    monkeypatch.setattr(supervisor, "asked", lambda _: 1)
    boss.look()
    assert store.job(auto.name).slot == ("cuda:0" if times else "")


@pytest.mark.parametrize(("wanted", "slots"), [
    ("cpu=2", ("cpu", "cpu")), ("cuda:0=1, cpu=1", ("cuda:0", "cpu")), ("cpu", None), ("gpu=1", None), ("cpu=0", None),
])
def test_slots_as_they_are_asked_for(wanted: str, slots: tuple[str, ...] | None) -> None:
    if slots is None:
        with pytest.raises(InputError, match="FGDESIGN_SLOTS: "):
            slots_of_machine(wanted)
    else:
        assert slots_of_machine(wanted) == slots


def test_slots_of_the_visible_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert slots_of_machine("")[:2] == ("cuda:2", "cuda:3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "cuda:0" not in slots_of_machine("") and slots_of_machine("")[-1] == "cpu"


def test_the_kernel_is_asked_who_ran_out_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "KERNEL", tmp_path / "vmstat")
    assert memory_kills() == 0
    (tmp_path / "vmstat").write_text("nr_free_pages 7\noom_kill 3\n")
    assert memory_kills() == 3


def test_one_supervisor_for_a_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Any] = []
    monkeypatch.setattr(supervisor.subprocess, "Popen", lambda line, **_: begun.append(line))
    monkeypatch.setattr(supervisor, "ELECTIONS", 1)
    ensure(tmp_path)
    assert not begun  # tests start none
    monkeypatch.delenv("FGDESIGN_SUPERVISOR")
    ensure(tmp_path)
    assert len(begun) == 1 and "supervise" in begun[0]
    held = try_lock(tmp_path / supervisor.LOCK)
    assert held is not None
    with held:
        ensure(tmp_path)
        assert len(begun) == 1 and not supervisor.supervise(tmp_path, slots=("cpu",))


def test_a_warm_worker_leaves_where_nobody_is_left_to_order() -> None:
    executor = LocalExecutor((sys.executable, str(Path(__file__).with_name("toy_worker.py"))))
    executor.warm()
    worker = executor.take()
    assert executor.is_alive(worker.pid, worker.mark) and worker.mark
    worker.dismiss()
    assert worker.process.wait(60) == 0 and not executor.is_alive(worker.pid, worker.mark)
    assert executor.exit_code(worker.pid) == 0


BEGETS = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
open(sys.argv[1], "w").write(str(child.pid) + chr(10))
sys.stdin.readline()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX process groups")
def test_what_a_worker_began_ends_before_the_next_attempt(store: Store, rows: dict[str, str | None],
                                                          tmp_path: Path) -> None:
    """Rule 3: a rank, a reader of data; the worker itself was killed."""
    told = tmp_path / "child"
    run, executor = store.submit(GRAPH, rows), LocalExecutor((sys.executable, "-c", BEGETS, str(told)))
    worker = executor.take()
    end = time.monotonic() + 60
    while not (told.exists() and told.read_text().endswith("\n")):
        assert time.monotonic() < end
        time.sleep(0.02)
    child = int(told.read_text())
    store.change(run.name, STATES, state="running", attempt=1, pid=worker.pid, pid_mark=worker.mark)
    worker.process.kill()
    worker.process.wait()
    assert mark_of(child)
    Supervisor(store, executor, ()).look()
    assert store.job(run.name).state == "queued"
    assert wait_until_gone(child, mark_of(child) or "gone", 10)
    worker.dismiss()


def test_a_worker_leaves_what_was_given_to_another(store: Store, rows: dict[str, str | None]) -> None:
    run = store.submit(GRAPH, rows, {"epochs": 2, "patience": 1})
    store.change(run.name, ("queued",), state="starting", attempt=2)
    line = (sys.executable, str(Path(__file__).with_name("toy_worker.py")))
    for attempt, done in ((1, False), (2, True)):
        order = Order(str(store.root), run.name, str(run.path), attempt, "cpu")
        subprocess.run(line, input=order.line(), check=True, timeout=60)
        assert (run.path / "begun.txt").exists() == done
    assert "given to another process" in (run.path / "log.txt").read_text()
    assert store.job(run.name).state == "running" and RunFolder(run.path).status()["state"] == "succeeded"


def test_an_order_that_cannot_be_given_is_a_death(capfd: pytest.CaptureFixture[str]) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE)
    child.wait()
    Worker(child, "x").order(Order("", "", "", 1, ""))
    assert isinstance(child.stdin, io.BufferedWriter) and capfd.readouterr().err == ""
