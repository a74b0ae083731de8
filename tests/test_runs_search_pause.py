"""A search that is paused: its runs put aside, nothing begun, all gone on with; also where it is killed at any step."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from killed import Killed, Writes
from made_up_rows import write_rows
from supervised import end_supervisor

from fgdesign.cli import main
from fgdesign.errors import RunError
from fgdesign.graph import load_graph
from fgdesign.runs import search as searches
from fgdesign.runs.search import Search, advance_all, begin
from fgdesign.runs.space import Choice
from fgdesign.runs.store import Store, open_store
from fgdesign.training.settings import Settings

GRAPH = load_graph("linear-probe")
SPACE = {"settings.rate": Choice(low=3e-4, high=3e-3, log=True)}
TOY = (sys.executable, str(Path(__file__).with_name("toy_worker.py")))
SUPERVISE = "import sys; from pathlib import Path; from fgdesign.runs.supervisor import supervise; " \
            "supervise(Path(sys.argv[1]), command=sys.argv[2:], slots=('cpu',))"
RUNNING = ("starting", "running")
STEPS, SLOW, QUICK = 300, 100, 2  # steps; ms each: a supervisor begins long before a slow run is through


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("FGDESIGN_WORKSPACE", str(tmp_path / "ws"))
    found = open_store(tmp_path / "ws")
    yield found
    end_supervisor(found.root)


@pytest.fixture
def supervise(store: Store) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Begins a supervisor; none outlives its test."""
    begun: list[subprocess.Popen[bytes]] = []

    def begin_one() -> subprocess.Popen[bytes]:
        begun.append(subprocess.Popen([sys.executable, "-c", SUPERVISE, str(store.root), *TOY]))
        return begun[-1]

    yield begin_one
    for boss in begun:
        boss.kill()
        boss.wait()


@pytest.fixture
def rows(tmp_path: Path) -> dict[str, str | None]:
    return {"train": str(write_rows(tmp_path / "rows.csv"))}


def started(store: Store, search: Search) -> None:
    """Two trials, one at work and one that waits."""
    advance_all(store)
    store.change(search.run_name(0), ("queued",), state="running")


def carried_out(store: Store) -> None:
    """What a supervisor and its worker make of wishes."""
    for job in store.active():
        if job.state == "stopping":
            store.change(job.name, ("stopping",), state={"pause": "paused", "stop": "stopped"}[job.wanted])


def through(store: Store, search: Search) -> None:
    """Let all that waits or works come to its end."""
    for job in store.jobs(group=search.name, states=("queued", *RUNNING)):
        job.folder.write("report.json", {"task": "single", "valid": {"macro_f1": 0.5}})
        store.change(job.name, (job.state,), state="succeeded")


def states(store: Store, search: Search) -> list[str]:
    return sorted(job.state for job in store.jobs(group=search.name))


def shown(search: Search) -> list[str]:
    return [trial["state"] for trial in search.trials()]


def test_what_works_and_what_waits_is_put_aside_and_gone_on_with(store: Store, rows: dict[str, str | None]) -> None:
    search = begin(store, GRAPH, rows, Settings(), space=SPACE, trials=4, parallel=2)
    started(store, search)
    searches.pause(store, search)
    assert advance_all(store) and search.told()["state"] == "pausing"
    assert states(store, search) == ["paused", "stopping"] and store.job(search.run_name(0)).wanted == "pause"
    carried_out(store)
    advance_all(store)
    assert (search.told()["state"], search.told()["message"]) == ("paused", "Paused.")
    assert not advance_all(store) and states(store, search) == ["paused", "paused"]  # no third one was asked for
    assert shown(search) == ["paused", "paused"]
    with pytest.raises(RunError, match=r"cannot be paused: its state is 'paused'\. It must be running"):
        searches.pause(store, search)
    searches.resume(store, search, more=1)
    advance_all(store)
    assert states(store, search) == ["queued", "queued"] and search.told()["state"] == "running"
    assert search.told()["trials"] == 5
    while advance_all(store):
        through(store, search)
    assert shown(search) == ["done"] * 5 and search.told()["state"] == "done"
    with pytest.raises(RunError, match="its state is 'done'"):
        searches.pause(store, search)


def test_going_on_while_it_is_being_paused_waits_for_the_pause(store: Store, rows: dict[str, str | None]) -> None:
    search = begin(store, GRAPH, rows, Settings(), space=SPACE, trials=2, parallel=2)
    started(store, search)
    searches.pause(store, search)
    advance_all(store)
    searches.resume(store, search)
    advance_all(store)
    assert search.told()["state"] == "resuming" and states(store, search) == ["queued", "stopping"]
    carried_out(store)
    advance_all(store)
    assert search.told()["state"] == "running" and states(store, search) == ["queued", "queued"]


def test_a_run_that_ended_instead_of_pausing_counts(store: Store, rows: dict[str, str | None]) -> None:
    search = begin(store, GRAPH, rows, Settings(), space=SPACE, trials=2, parallel=2)
    started(store, search)
    searches.pause(store, search)
    advance_all(store)
    store.job(search.run_name(0)).folder.write("report.json", {"task": "single", "valid": {"macro_f1": 0.5}})
    store.change(search.run_name(0), ("stopping",), state="succeeded")
    advance_all(store)
    assert shown(search) == ["done", "paused"] and search.told()["state"] == "paused"


def test_a_paused_search_is_stopped_or_deleted_and_brought_back(store: Store, rows: dict[str, str | None],
                                                                capsys: pytest.CaptureFixture[str]) -> None:
    one, other = (begin(store, GRAPH, rows, Settings(), space=SPACE, trials=2, parallel=2) for _ in range(2))
    for search in (one, other):
        advance_all(store)
        assert main(["searches", "pause", search.name]) == 0 and "pausing" in capsys.readouterr().out
    advance_all(store)
    searches.stop(store, one)
    assert advance_all(store) and advance_all(store) and not advance_all(store)
    assert one.told()["state"] == "stopped" and states(store, one) == ["cancelled", "cancelled"]
    searches.delete(store, other)
    assert states(store, other) == []
    searches.undelete(store, other)
    assert main(["searches", "resume", other.name]) == 0 and "resuming" in capsys.readouterr().out
    advance_all(store)
    assert states(store, other) == ["queued", "queued"]


def test_what_a_person_asks_meanwhile_is_not_overwritten(store: Store, rows: dict[str, str | None],
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    search = begin(store, GRAPH, rows, Settings(), space=SPACE, trials=2)
    advance_all(store)
    searches.pause(store, search)
    real = Search.write_trials

    def asked(self: Search, trials: list[dict[str, Any]]) -> None:
        real(self, trials)
        searches.resume(store, self)

    with monkeypatch.context() as patch:
        patch.setattr(Search, "write_trials", asked)
        advance_all(store)
    assert search.told()["state"] == "resuming"
    advance_all(store)
    assert search.told()["state"] == "running" and states(store, search) == ["queued"]


def test_a_kill_at_any_step_of_a_pause_loses_nothing(tmp_path: Path, rows: dict[str, str | None],
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    """Every n-th write from the pause on is the last of its process; n grows until none is killed."""
    def whole(place: str, kill_at: int) -> int:
        store, writes = open_store(tmp_path / place), Writes(kill_at)
        search = begin(store, GRAPH, rows, Settings(), space=SPACE, trials=3, parallel=2)
        started(store, search)

        def until(goal: str, step: Callable[[], None]) -> None:
            for _ in range(20):
                try:
                    step()
                    advance_all(store)
                except Killed:
                    continue
                if search.told()["state"] == goal:
                    return
            raise AssertionError(f"{place}: {search.told()}")

        def ask(wish: Callable[..., None], *when: str) -> None:
            if search.told()["state"] in when:
                wish(store, search)

        with monkeypatch.context() as patch:
            for kind, names in ((Store, ("_add", "say", "change")), (Search, ("_write",))):
                for name in names:
                    patch.setattr(kind, name, writes.counted(getattr(kind, name)))
            until("paused", lambda: (ask(searches.pause, "running"), carried_out(store))[-1])
            assert states(store, search) == ["paused", "paused"], kill_at
            until("done", lambda: (ask(searches.resume, "paused"), through(store, search))[-1])
        assert states(store, search) == ["succeeded"] * 3 and shown(search) == ["done"] * 3, kill_at
        return writes.made

    writes = whole("ws-0", 0)
    for kill_at in range(1, writes + 1):
        whole(f"ws-{kill_at}", kill_at)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_a_supervisor_killed_between_goes_on_as_asked(store: Store, rows: dict[str, str | None],
                                                      supervise: Callable[[], subprocess.Popen[bytes]]) -> None:
    """Killed while runs are put aside, while all rests, once it was gone on with: each trial counts each step once."""
    def wait_for(done: Callable[[], bool]) -> None:
        end = time.monotonic() + 120
        while not done():
            assert time.monotonic() < end, (search.told(), states(store, search))
            time.sleep(0.02)

    def killed(boss: subprocess.Popen[bytes]) -> None:
        boss.kill()
        boss.wait()

    search = begin(store, GRAPH, rows, Settings(epochs=STEPS, patience=SLOW), space=SPACE, trials=3, parallel=2)
    boss = supervise()
    first = search.run_name(0)
    wait_for(lambda: "step-" in (store.job(first).folder.newest_checkpoint() if search.trials() else ""))
    searches.pause(store, search)
    killed(boss)
    boss = supervise()
    wait_for(lambda: search.told()["state"] == "paused")
    assert states(store, search) == ["paused", "paused"]
    reached = store.job(first).folder.newest_checkpoint()
    killed(boss)
    boss = supervise()
    time.sleep(1.5)
    assert states(store, search) == ["paused", "paused"] and store.job(first).folder.newest_checkpoint() == reached
    killed(boss)
    (store.root / "pace").write_text(str(QUICK))
    searches.resume(store, search)
    boss = supervise()
    wait_for(lambda: search.told()["state"] == "done")
    killed(boss)
    assert shown(search) == ["done"] * 3
    for job in store.jobs(group=search.name):
        logged = [entry["step"] for entry in job.folder.metrics()]
        assert logged == list(range(1, STEPS + 1)), job.name
