"""The store of runs: the queue and its states, what people say about runs, adoption, versions, many writers."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from made_up_rows import write_rows
from sqlalchemy import inspect, text

from fgdesign.errors import InputError, RunError
from fgdesign.graph import load_graph
from fgdesign.runs.folder import RunFolder, list_runs
from fgdesign.runs.process import mark_of
from fgdesign.runs.schema import VERSION, open_engine
from fgdesign.runs.seeds import submit_seeds
from fgdesign.runs.store import AT_WORK, KEEPS, STATES, Job, Store, open_store

GRAPH = load_graph("linear-probe")
WRITES = int(os.environ.get("FGDESIGN_FAULT_WRITES", "150"))
FILES = int(os.environ.get("FGDESIGN_FAULT_FILES", "5"))
LOCKED = float(os.environ.get("FGDESIGN_FAULT_LOCK", "2"))  # seconds


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "ws")


@pytest.fixture
def rows(tmp_path: Path) -> dict[str, str | None]:
    return {"train": str(write_rows(tmp_path / "rows.csv"))}


def put(store: Store, name: str, state: str) -> None:
    assert store.change(name, STATES, state=state)


def test_two_runs_of_one_name_in_different_folders_are_not_one(store: Store, rows: dict[str, str | None],
                                                               tmp_path: Path) -> None:
    first = store.submit(GRAPH, rows, {"epochs": 1}, out=tmp_path / "one" / "mine")
    with pytest.raises(RunError, match=r"There is a run 'mine' already, in .*one/mine'\. Choose another name"):
        store.submit(GRAPH, rows, {"epochs": 2}, out=tmp_path / "two" / "mine")
    [job] = store.jobs()
    assert job.path == str(first.path) and not (tmp_path / "two" / "mine").exists()


def test_a_submitted_run_waits_and_is_a_folder(store: Store, rows: dict[str, str | None]) -> None:
    run = store.submit(GRAPH, rows, {"epochs": 1}, priority=2, group="g", owner="ann", tags=["a"], note="first")
    job = store.job(run.name)
    assert (job.state, job.priority, job.group_name, job.owner, job.tags, job.note) == ("queued", 2, "g", "ann", ("a",),
                                                                                    "first")
    assert run.status()["state"] == "queued" and run.graph().name == GRAPH.name
    assert run.config()["settings"]["epochs"] == 1 and Path(run.config()["data"]["train"]).is_absolute()
    assert [one.name for one in list_runs(store.root)] == [run.name] and job.folder == run


def test_who_lists_the_runs_just_then_takes_no_submission_away(store: Store, rows: dict[str, str | None],
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    real = Store._add

    def seen(self: Store, folder: RunFolder, **values: Any) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Store, "_add", real)
            open_store(self.root).adopt()  # another page
        real(self, folder, **values)

    monkeypatch.setattr(Store, "_add", seen)
    run = store.submit(GRAPH, rows, {}, priority=3, group="g")
    job = store.job(run.name)
    assert (job.state, job.managed, job.priority, job.group_name) == ("queued", True, 3, "g")


def test_a_submission_whose_page_died_is_in_the_queue(store: Store, rows: dict[str, str | None],
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(Store, "_add", lambda *_, **__: 1 / 0)
        store.submit(GRAPH, rows, {})
    [job] = store.jobs()
    assert (job.state, job.managed) == ("queued", True) and [one.name for one in store.queue()] == [job.name]


def test_two_who_submit_at_once_get_folders_of_their_own(store: Store, rows: dict[str, str | None]) -> None:
    with ThreadPoolExecutor(8) as threads:
        runs = list(threads.map(lambda seed: store.submit(GRAPH, rows, {"seed": seed}), range(16)))
    assert len({run.name for run in runs}) == len(store.queue()) == 16
    assert sorted(run.config()["settings"]["seed"] for run in runs) == list(range(16))


@pytest.mark.parametrize(("data", "settings", "message"), [
    ({"train": "x.csv"}, {"epochs": 5000}, "Setting epochs is 5000"),
    ({"train": "x.csv"}, {"epoch": 1}, "There is no setting 'epoch'"),
    ({"train": "x.csv", "labels": "y"}, {}, "There is no part 'labels'"),
    ({}, {}, "No training file"),
])
def test_a_wrong_request_leaves_nothing(store: Store, data: dict[str, str | None], settings: dict[str, object],
                                        message: str) -> None:
    with pytest.raises(InputError, match=message):
        store.submit(GRAPH, data, settings)
    assert store.jobs() == [] and list_runs(store.root) == []


# state before, what is asked, state and wish after (None: refused)
MOVES = [
    ("queued", "pause", ("paused", "run")), ("queued", "stop", ("cancelled", "run")),
    ("queued", "cancel", ("cancelled", "run")), ("paused", "cancel", ("cancelled", "run")),
    ("paused", "stop", ("cancelled", "run")), ("paused", "resume", ("queued", "run")), ("paused", "pause", None),
    *((state, wish, ("stopping", wish)) for state in AT_WORK for wish in ("pause", "stop", "cancel")),
    *((state, wish, None) for state in ("succeeded", "failed", "cancelled", "stopped")
      for wish in ("pause", "stop", "cancel")),
    *((state, wish, ("queued", "run")) for state in ("failed", "cancelled", "stopped") for wish in ("resume", "retry")),
    *((state, "resume", None) for state in ("queued", "starting", "running", "stopping", "succeeded")),
    *((state, "delete", None) for state in AT_WORK),
]


@pytest.mark.parametrize(("state", "wish", "after"), MOVES)
def test_moves(store: Store, rows: dict[str, str | None], state: str, wish: str,
               after: tuple[str, str] | None) -> None:
    run = store.submit(GRAPH, rows)
    put(store, run.name, state)
    if after is None:
        with pytest.raises(RunError, match=state):
            getattr(store, wish)(run.name)
        assert store.job(run.name).state == state
        return
    getattr(store, wish)(run.name)
    assert (store.job(run.name).state, store.job(run.name).wanted) == after
    assert run.asked_to_stop == (after[0] == "stopping") and run.asked_to_pause == (after == ("stopping", "pause"))
    if after[0] != "stopping":
        assert run.status()["state"] == after[0]
    assert store.events(run.name)[-1]["kind"] in (wish, "resumed")


@pytest.mark.parametrize("state", ["queued", "paused"])
def test_a_stop_keeps_the_best_of_a_run_that_waits(store: Store, rows: dict[str, str | None], state: str) -> None:
    run = store.submit(GRAPH, rows)
    put(store, run.name, state)
    run.log({"kind": "valid", "metrics": {"macro_f1": 0.5}})
    if state == "paused":
        run.stop("pause")  # as it was asked before
    store.stop(run.name)
    assert (store.job(run.name).state, run.status()["state"]) == ("queued", "queued")
    assert run.asked_to_stop and not run.asked_to_pause and store.job(run.name).message == KEEPS
    store.pause(run.name)
    store.resume(run.name)
    assert not run.asked_to_stop
    store.stop(run.name)
    store.stop(run.name)  # twice: it is not to have its turn
    assert store.job(run.name).state == "cancelled"


def test_a_wish_is_not_lost_when_the_state_changes_under_it(store: Store, rows: dict[str, str | None],
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    run = store.submit(GRAPH, rows)
    put(store, run.name, "stopping")
    seen = store.job

    def slow(name: str) -> Job:
        found = seen(name)
        monkeypatch.setattr(store, "job", seen)
        put(store, name, "paused")  # it was put aside after it was seen
        return found

    monkeypatch.setattr(store, "job", slow)
    store.stop(run.name)
    assert store.job(run.name).state == "cancelled" and store.events(run.name)[-1]["kind"] == "stop"


def test_one_that_is_being_paused_can_be_asked_to_go_on(store: Store, rows: dict[str, str | None]) -> None:
    run = store.submit(GRAPH, rows)
    put(store, run.name, "running")
    store.pause(run.name)
    for _ in range(2):
        store.resume(run.name)
    assert (store.job(run.name).state, store.job(run.name).wanted) == ("stopping", "resume") and run.asked_to_pause
    assert [event["kind"] for event in store.events(run.name)] == ["queued", "pause", "resumed"]
    store.pause(run.name)  # another change of mind
    assert store.job(run.name).wanted == "pause"


def test_what_two_pages_ask_at_once_is_asked_once(store: Store, rows: dict[str, str | None]) -> None:
    run = store.submit(GRAPH, rows)
    put(store, run.name, "running")
    for _ in range(2):
        store.pause(run.name)
    store.stop(run.name)  # another wish
    assert [event["kind"] for event in store.events(run.name)] == ["queued", "pause", "stop"]


def test_a_run_at_hand_is_in_one_list_whatever_its_state(store: Store, rows: dict[str, str | None]) -> None:
    names = {state: store.submit(GRAPH, rows).name for state in (*STATES, "gone")}
    for state in STATES:
        put(store, names[state], state)
    store.delete(names["gone"])
    found = [[one.name for one in part] for part in store.at_hand()]
    assert found == [[names[state] for state in states] for states in (AT_WORK, ("queued",), ("paused",))]


def test_priorities_and_order(store: Store, rows: dict[str, str | None]) -> None:
    a, b, c, d = (store.submit(GRAPH, rows).name for _ in range(4))

    def order() -> list[str]:
        return ["abcd"[[a, b, c, d].index(job.name)] for job in store.queue()]

    assert order() == ["a", "b", "c", "d"]
    store.set_priority(c, 5)
    assert order() == ["c", "a", "b", "d"]
    store.reorder(d, before=b)
    assert order() == ["c", "a", "d", "b"]
    store.reorder(b, before=c)
    assert order() == ["b", "c", "a", "d"]
    store.reorder(a, before=None)
    assert order() == ["b", "c", "d", "a"]
    with pytest.raises(RunError, match="does not wait"):
        store.reorder(a, before="nobody")
    with pytest.raises(RunError, match="no run 'nobody'"):
        store.set_priority("nobody", 1)


def test_what_people_say_and_ask(store: Store, rows: dict[str, str | None]) -> None:
    one, two = (store.submit(GRAPH, rows, owner=owner).name for owner in ("ann", "bob"))
    store.tag(one, ["good", " ", "good", "old "])
    store.note(one, "the <b>better</b> one")
    store.star(one)
    assert store.job(one).tags == ("good", "old")
    asked: list[tuple[dict[str, object], list[str]]] = [
        ({"search": "BETTER probe"}, [one]), ({"tag": "old"}, [one]), ({"starred": True}, [one]),
        ({"owner": "bob"}, [two]), ({"states": ["queued"]}, [two, one]), ({"states": ["failed"]}, []),
        ({"group": "none"}, []), ({"search": "nothing"}, []),
    ]
    for filters, names in asked:
        assert [job.name for job in store.jobs(**filters)] == names, filters  # type: ignore[arg-type]
    store.delete(one)
    assert [job.name for job in store.jobs()] == [two] == [run.name for run in list_runs(store.root)]
    assert [job.name for job in store.jobs(deleted=True)] == [one] and store.queue()[0].name == two
    store.undelete(one)
    assert {job.name for job in store.jobs()} == {one, two} and store.job(one).starred
    store.delete(two)
    assert store.purge() == [] and store.purge(older=-1) == [two]
    assert [job.name for job in store.jobs()] == [one] and not (store.root / "runs" / two).exists()


def test_runs_of_a_terminal_are_adopted(store: Store) -> None:
    folder = RunFolder(store.root / "runs" / "mine")
    folder.path.mkdir(parents=True)
    folder.write("config.json", {"data": {}})
    folder.write_status(state="preparing", pid=os.getpid(), mark=mark_of(os.getpid()), started=time.time())
    assert [(job.name, job.state, job.managed, job.owner) for job in store.jobs()] == [
        ("mine", "running", False, "terminal")]
    assert store.active() == [] and store.queue() == []
    folder.write_status(state="succeeded")
    assert store.job("mine").state == "running" and store.jobs()[0].state == "succeeded"


def test_several_seeds_are_one_group(store: Store, rows: dict[str, str | None]) -> None:
    runs = submit_seeds(store, GRAPH, rows, {"epochs": 1}, [1, 2, 3], group="three")
    assert {job.name for job in store.jobs(group="three")} == {run.name for run in runs}
    assert [run.config()["settings"]["seed"] for run in runs] == [1, 2, 3]


def test_an_older_file_is_brought_up_and_a_newer_one_refused(tmp_path: Path) -> None:
    file = tmp_path / "old.db"
    open_engine(str(file)).dispose()
    with sqlite3.connect(file) as old:
        old.execute("ALTER TABLE job DROP COLUMN trial")
        old.execute("CREATE TABLE metric (run TEXT)")
        old.execute("UPDATE meta SET value = '1'")
    old.close()
    engine = open_engine(str(file))
    with engine.begin() as connection:
        assert connection.execute(text("SELECT trial FROM job")).all() == []
        assert not inspect(connection).has_table("metric")
        assert connection.scalar(text("SELECT value FROM meta")) == str(VERSION)
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA synchronous")) == 2
        connection.execute(text("UPDATE meta SET value = '99'"))
    engine.dispose()
    with pytest.raises(RunError, match="version 99; this fgdesign knows versions up to"):
        open_engine(str(file))


@pytest.mark.parametrize("content", [b"this is no database, but a text that is long enough" * 50])
def test_a_broken_file_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.db").write_bytes(content)
    with pytest.raises(RunError, match="cannot be opened: file is not a database"):
        open_engine(str(tmp_path / "x.db"))


WRITE_EVENTS = """
import sys, time
from pathlib import Path
from fgdesign.runs.schema import open_engine
from fgdesign.runs.store import Store

place, writer, count, files = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for number in range(files):
    open_engine(str(place / f"{number}.db")).dispose()
store = Store(open_engine(str(place / "fgdesign.db")), place)
(place / f"ready-{writer}").touch()
while len(list(place.glob("ready-*"))) < 8:  # all write at once, and none loads its modules meanwhile
    time.sleep(0.01)
for number in range(count):
    store.say(f"run-{writer}", "tick", str(number))
"""


def test_eight_processes_make_and_write_the_same_files(tmp_path: Path) -> None:
    """F6: nobody sees an error, and no row is lost."""
    line = [sys.executable, "-c", WRITE_EVENTS, str(tmp_path)]
    children = [subprocess.Popen([*line, str(writer), str(WRITES), str(FILES)]) for writer in range(8)]
    assert [child.wait(120 + WRITES + FILES) for child in children] == [0] * 8
    for number in range(FILES):
        assert Store(open_engine(str(tmp_path / f"{number}.db")), tmp_path).jobs() == []
    store = Store(open_engine(str(tmp_path / "fgdesign.db")), tmp_path)
    for writer in range(8):
        assert [int(event["message"]) for event in store.events(f"run-{writer}")] == list(range(WRITES))


def test_a_locked_file_is_waited_for(store: Store, rows: dict[str, str | None]) -> None:
    run = store.submit(GRAPH, rows)
    other = sqlite3.connect(store.root / "fgdesign.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    timer = threading.Timer(LOCKED, lambda: other.execute("COMMIT"))
    timer.start()
    assert store.job(run.name).state == "queued"  # who reads does not wait
    store.note(run.name, "later")
    timer.join()
    other.close()
    assert store.job(run.name).note == "later"


@pytest.mark.parametrize(("told", "managed", "read"), [("paused", True, "paused"), ("paused", False, "paused"),
                                                       ("running", True, "queued"), ("running", False, "failed"),
                                                       ("stopped", True, "stopped")])
def test_a_run_without_its_process_reads_as_what_becomes_of_it(tmp_path: Path, told: str, managed: bool,
                                                               read: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    folder = RunFolder(tmp_path)
    folder.write_status(state=told, pid=child.pid, mark="gone", managed=managed)
    assert folder.status()["state"] == read
