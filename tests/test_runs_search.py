"""Searches: spaces from graphs, trials as runs, pruning, kills in the middle, the command, the page's words."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from killed import Killed, Writes
from made_up_rows import write_rows

from fgdesign.cli import main
from fgdesign.errors import InputError, MissingExtraError, RunError
from fgdesign.graph import STARTERS, Graph, errors, load_graph, vary
from fgdesign.runs import search as searches
from fgdesign.runs import trials
from fgdesign.runs.executor import LocalExecutor
from fgdesign.runs.good_space import good_space
from fgdesign.runs.job import carry_on
from fgdesign.runs.search import Search, advance_all, begin, find_search, list_searches
from fgdesign.runs.space import Choice, as_drawn, check_space, read_space, varied, write_space
from fgdesign.runs.store import KEPT_SECONDS, STATES, Store, open_store
from fgdesign.runs.supervisor import Supervisor
from fgdesign.training.settings import Settings, layer_rate_of

DRAWN = Settings()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("FGDESIGN_WORKSPACE", str(tmp_path / "ws"))
    return open_store(tmp_path / "ws")


@pytest.fixture
def rows(tmp_path: Path) -> dict[str, str | None]:
    return {"train": str(write_rows(tmp_path / "rows.csv"))}


@pytest.mark.parametrize("name", STARTERS)
@pytest.mark.parametrize("everything", [False, True])
def test_every_starter_has_a_space_that_holds_it_as_drawn(name: str, everything: bool) -> None:
    graph = load_graph(name)
    space = good_space(graph, DRAWN, everything=everything)
    check_space(space, graph, DRAWN)
    drawn = as_drawn(space, graph, DRAWN)
    assert drawn.keys() == space.keys() and "settings.rate" in space
    same, settings = varied(graph, DRAWN, drawn)
    rate = layer_rate_of(DRAWN, 384) if "settings.layer_rate" in space else -1.0  # what the planner would take
    assert same.identity == graph.identity and settings == replace(DRAWN, layer_rate=rate)
    assert read_space(write_space(space)) == space
    for choice, told in space.items():
        for value in told.some():
            assert not errors(varied(graph, DRAWN, {choice: value})[0]), (choice, value)


def test_a_space_is_made_from_what_the_graph_has() -> None:
    experts = good_space(load_graph("routed-experts"), DRAWN)
    assert experts["experts.router"].values == (2, 4, 8) and experts["tuned.depth"] == Choice(low=0, high=6)
    assert experts["node.router.k"].whole and "node.expert_*.dropout" in experts
    exits = good_space(load_graph("early-exit"), DRAWN)
    assert (exits["exit.exit_1"].values, exits["exit.exit_3"].values) == ((0, 1, 2), (0, 3, 4, 5))
    assert "tuned.depth" not in good_space(load_graph("words-only"), DRAWN)
    assert "node.pool.method" in good_space(load_graph("linear-probe"), DRAWN, everything=True)


def test_what_is_chosen_is_what_the_graph_becomes() -> None:
    graph, settings = varied(load_graph("routed-experts"), DRAWN, {
        "experts.router": 2, "node.router.k": 4, "tuned.depth": 1, "tuned.kind": "lora", "settings.rate": 0.01,
        "node.expert_*.dropout": 0.2})
    assert len(vary.experts(graph, "router")) == 2 and graph.node("router").params["k"] == 3  # two, and straight on
    assert (vary.tuned_depth(graph), vary.tuned_kind(graph), settings.rate) == (1, "lora", 0.01)
    assert all(node.params["dropout"] == 0.2 for node in graph.nodes if node.id.startswith("expert_"))
    moved, _ = varied(load_graph("early-exit"), DRAWN, {"exit.exit_1": 2, "exit.exit_3": 0})
    assert vary.exit_layer(moved, "exit_1") == 2 and "exit_3" not in moved.ids and "head_3" not in moved.ids
    assert not errors(moved)


def test_experts_grow_and_shrink_and_other_branches_stay() -> None:
    graph = load_graph("routed-experts")
    for count in (2, 8):
        changed = vary.set_experts(graph, "router", count)
        assert len(vary.experts(changed, "router")) == count and not errors(changed)
        assert sum(edge.target == "merge.in" for edge in changed.out_of("router")) == 1
    assert vary.set_experts(graph, "router", 4).identity == graph.identity


@pytest.mark.parametrize(("told", "message"), [
    ({"settings.rte": {"values": [1, 2]}}, "about no setting"),
    ({"settings.rate": {"low": 2.0, "high": 3.0}}, "may be 2.0, which is not possible"),
    ({"exit.exit_9": {"values": [0, 1]}}, "fits nothing in graph"),
    ({"node.nobody.dropout": {"values": [0, 1]}}, "fits no node that has a parameter"),
    ({"rate": {"values": [1, 2]}}, "There is no choice 'rate'"),
    ({"settings.rate": {"low": 1}}, 'it has "values"'),
    ({"settings.rate": {"low": 0, "high": 1, "log": True}}, 'above 0 for "log"'),
    ({"settings.rate": {"values": [0.1]}}, "two values at least"),
    ({}, "nothing to search"),
])
def test_a_wrong_space_is_told(told: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_space(read_space({"format": "fgdesign.space/1", "choices": told}), load_graph("early-exit"), DRAWN)


@pytest.mark.parametrize("content", [b'{"format": "x"}', b"no json", b"{", b"[" * 40_000, b"\xff\xfe{", b"[1]",
                                     b'{"format": "fgdesign.space/1", "choices": {}' + b" " * 60_000 + b"}"])
def test_what_is_no_space_is_told(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "space.json"
    file.write_bytes(content)
    for source in (file, content):
        with pytest.raises(InputError, match="--print-space"):
            read_space(source)


SPACE = {"settings.rate": Choice(low=3e-4, high=3e-3, log=True), "experts.router": Choice((2, 4)),
         "tuned.depth": Choice(low=0, high=3)}
GRAPH = load_graph("routed-experts")


def pretend(store: Store, name: str, values: list[float], *, state: str = "succeeded") -> None:
    """A run that ends, with these values on the way."""
    folder = store.job(name).folder
    known = len(folder.metrics())
    for step, value in enumerate(values):
        if step >= known:
            folder.log({"kind": "valid", "stage": "warm", "step": step, "metrics": {"macro_f1": value}})
    if state == "succeeded":
        folder.write("report.json", {"task": "single", "valid": {"macro_f1": max(values)}})
    store.change(name, ("queued", "running", "stopping"), state=state)


def at_work(store: Store, search: Search) -> list[str]:
    return [job.name for job in store.jobs(group=search.name) if job.state in ("queued", "running", "stopping")]


def test_trials_are_runs_and_the_first_is_the_graph_as_drawn(store: Store, rows: dict[str, str | None]) -> None:
    search = begin(store, GRAPH, rows, DRAWN, space=SPACE, trials=6, parallel=2)
    advance_all(store)
    assert sorted(at_work(store, search)) == [search.run_name(0), search.run_name(1)]
    first = store.job(search.run_name(0))
    assert first.trial == 0 and first.folder.config()["settings"] == DRAWN.as_dict()
    assert first.folder.graph().identity == GRAPH.identity
    while advance_all(store):
        for name in at_work(store, search):
            pretend(store, name, [0.5, 0.5 + int(name[-1]) / 100])
    assert search.told()["state"] == "done"
    assert [trial["state"] for trial in search.trials()] == ["done"] * 6
    best = search.best()
    assert best is not None and (best["number"], best["value"]) == (5, 0.55)
    graph, settings = search.chosen(5)
    assert graph.identity == store.job(best["run"]).folder.graph().identity
    assert settings.as_dict() == store.job(best["run"]).folder.config()["settings"]
    assert len(store.jobs(group=search.name)) == 6


def test_a_trial_that_is_worse_is_pruned_by_the_ordinary_stop(store: Store, rows: dict[str, str | None]) -> None:
    search = begin(store, GRAPH, rows, DRAWN, space=SPACE, trials=6)
    for number in range(5):
        advance_all(store)
        pretend(store, search.run_name(number), [0.5, 0.6, 0.7, 0.8])
    advance_all(store)
    name = search.run_name(5)
    store.change(name, ("queued",), state="running")
    store.job(name).folder.log({"kind": "valid", "stage": "warm", "step": 0, "metrics": {"macro_f1": 0.1}})
    advance_all(store)
    assert store.job(name).wanted == "run"  # the first validations prune none
    for step in (1, 2):
        store.job(name).folder.log({"kind": "valid", "stage": "warm", "step": step, "metrics": {"macro_f1": 0.2}})
    advance_all(store)
    job = store.job(name)
    assert (job.state, job.wanted) == ("stopping", "stop") and job.folder.asked_to_stop
    advance_all(store)
    store.change(name, ("stopping",), state="stopped")
    assert advance_all(store) and not advance_all(store)
    last = search.trials()[-1]
    assert (last["state"], last["value"], last["values"]) == ("pruned", 0.2, [0.1, 0.2, 0.2])


def test_a_lower_metric_is_better_where_it_is(store: Store, rows: dict[str, str | None]) -> None:
    search = begin(store, GRAPH, rows, Settings(metric="log_loss"), space=SPACE, trials=2)
    for number, loss in enumerate((0.5, 0.4)):
        advance_all(store)
        folder = store.job(search.run_name(number)).folder
        folder.write("report.json", {"task": "single", "valid": {"log_loss": loss}})
        store.change(search.run_name(number), ("queued",), state="succeeded")
    advance_all(store)
    best = search.best()
    assert best is not None and best["number"] == 1


def test_what_fails_is_told_and_what_is_called_off_is_asked_again(store: Store, rows: dict[str, str | None]) -> None:
    search = begin(store, GRAPH, rows, DRAWN, space=SPACE, trials=3)
    advance_all(store)
    store.change(search.run_name(0), ("queued",), state="failed", message="No memory.")
    advance_all(store)
    store.cancel(search.run_name(1))
    advance_all(store)
    store.delete(search.run_name(1))
    pretend(store, search.run_name(2), [0.5])
    advance_all(store)
    pretend(store, search.run_name(3), [0.4])
    while advance_all(store):
        pass
    told = [(trial["state"], trial["message"]) for trial in search.trials()]
    assert told == [("failed", "No memory."), ("called off", "Its run was cancelled."), ("done", ""), ("done", "")]


def test_a_search_is_stopped_and_gone_on_with(store: Store, rows: dict[str, str | None]) -> None:
    search = begin(store, GRAPH, rows, DRAWN, space=SPACE, trials=3)
    advance_all(store)
    searches.stop(store, search)
    advance_all(store)
    assert store.job(search.run_name(0)).state == "cancelled"
    advance_all(store)
    assert search.told()["state"] == "stopped" and not advance_all(store)
    with pytest.raises(RunError, match="not at work"):
        searches.stop(store, search)
    searches.resume(store, search, more=1)
    while advance_all(store):
        for name in at_work(store, search):
            pretend(store, name, [0.5])
    assert [trial["state"] for trial in search.trials()] == ["called off", *["done"] * 4]
    with pytest.raises(RunError, match="at work already"):
        searches.resume(store, search)
        searches.resume(store, search)


def test_a_deleted_search_takes_its_runs_along_and_brings_them_back(store: Store, rows: dict[str, str | None],
                                                                    capsys: pytest.CaptureFixture[str]) -> None:
    search, other = (begin(store, GRAPH, rows, DRAWN, space=SPACE, trials=2, parallel=2) for _ in range(2))
    advance_all(store)
    with pytest.raises(RunError, match=f"at work. Stop it first: fgdesign searches stop {search.name}"):
        searches.delete(store, search)
    pretend(store, search.run_name(0), [0.5])
    searches.stop(store, search)
    advance_all(store)
    advance_all(store)
    store.delete(search.run_name(1))  # by itself, before
    assert main(["searches", "delete", search.name]) == 0
    assert list_searches(store.root) == [other] and list_searches(store.root, deleted=True) == [search]
    assert sorted(job.name for job in store.jobs()) == [other.run_name(0), other.run_name(1)]
    assert advance_all(store)  # the other goes on
    with pytest.raises(RunError, match="no search"):
        find_search(search.name, store.root)
    assert main(["searches", "undelete", "last"]) == 0 and search.name in capsys.readouterr().out
    assert list_searches(store.root) == [other, search] and search.hidden() is None
    assert store.job(search.run_name(0)).deleted_at is None and store.job(search.run_name(1)).deleted_at
    searches.resume(store, search)
    advance_all(store)
    assert search.told()["state"] == "running"


def test_what_was_deleted_a_week_ago_is_removed_by_the_supervisor(store: Store, rows: dict[str, str | None]) -> None:
    search = begin(store, GRAPH, rows, DRAWN, space=SPACE, trials=1)
    advance_all(store)
    pretend(store, search.run_name(0), [0.5])
    advance_all(store)
    searches.delete(store, search)
    Supervisor(store, LocalExecutor(), ("cpu",)).look()
    assert search.exists and store.job(search.run_name(0)).folder.path.exists()
    old = time.time() - KEPT_SECONDS - 60
    os.utime(search.path / searches.DELETED, (old, old))
    store.change(search.run_name(0), STATES, deleted_at=old)
    Supervisor(store, LocalExecutor(), ("cpu",)).look()
    assert not search.exists and not (store.root / "runs" / search.run_name(0)).exists()
    assert store.jobs(deleted=True) == [] == list_searches(store.root, deleted=True)


@pytest.mark.parametrize("parallel", [1, 2])
def test_a_kill_at_any_step_loses_and_doubles_no_trial(tmp_path: Path, rows: dict[str, str | None], parallel: int,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    """Every n-th write is the last of its process; n grows until a search runs through without a kill."""
    def whole(place: str, kill_at: int) -> tuple[list[Any], int]:
        store = open_store(tmp_path / place)
        search = begin(store, GRAPH, rows, DRAWN, space=SPACE, trials=3, parallel=parallel)
        writes = Writes(kill_at)
        with monkeypatch.context() as patch:
            from optuna.storages._cached_storage import _CachedStorage

            for kind, names in ((_CachedStorage, ("create_new_trial", "set_trial_param", "set_trial_user_attr",
                                                       "set_trial_state_values", "set_trial_intermediate_value")),
                                (type(store), ("_add", "say", "change")), (Search, ("_write",))):
                for name in names:
                    patch.setattr(kind, name, writes.counted(getattr(kind, name)))
            for _ in range(60):
                try:
                    if not advance_all(store):
                        break
                    for name in at_work(store, search):
                        pretend(store, name, [0.5, 0.6])
                except Killed:
                    continue
        found = [(trial["number"], trial["state"], trial["params"]) for trial in search.trials()]
        jobs = sorted(job.name for job in store.jobs())
        assert jobs == [search.run_name(number) for number in range(3)] and search.told()["state"] == "done"
        assert all(job.managed for job in store.jobs())
        return found, writes.made

    monkeypatch.setattr(time, "strftime", lambda *_: "now")
    wanted, writes = whole("ws-0", 0)
    for kill_at in range(1, writes + 1, 3):
        assert whole(f"ws-{kill_at}", kill_at)[0] == wanted, kill_at


def test_a_search_that_cannot_go_on_says_why(store: Store, rows: dict[str, str | None]) -> None:
    search = begin(store, GRAPH, rows, DRAWN, space=SPACE, trials=3)
    (search.path / "graph.json").write_text("{")
    advance_all(store)
    assert search.told()["state"] == "failed" and "This is not a JSON file" in search.told()["message"]
    (search.path / "search.json").write_text("{")
    assert not advance_all(store)


def test_a_search_without_its_package_stops_no_supervisor(store: Store, rows: dict[str, str | None],
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    search = begin(store, GRAPH, rows, DRAWN, space=SPACE, trials=3)
    monkeypatch.setattr(searches, "find_spec", lambda name: None)
    advance_all(store)
    assert search.told()["state"] == "failed" and "fgdesign[search]" in search.told()["message"]


def test_without_optuna_it_is_said_how_to_get_it(store: Store, rows: dict[str, str | None],
                                                 monkeypatch: pytest.MonkeyPatch,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(searches, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"optuna is not installed.*fgdesign\[search\]"):
        begin(store, GRAPH, rows, DRAWN, space=SPACE)
    assert main(["search", "linear-probe", str(rows["train"]), "--trials", "2"]) == 2
    assert "pip install 'fgdesign[search]'" in capsys.readouterr().err and list_searches(store.root) == []


@pytest.mark.slow
def test_a_small_real_search(store: Store, rows: dict[str, str | None], tiny_graph: Callable[[str], Graph],
                             capsys: pytest.CaptureFixture[str]) -> None:
    graph = tiny_graph("routed-experts")
    settings = Settings(epochs=1, warm_epochs=1, device="cpu")
    search = begin(store, graph, rows, settings, space=SPACE, trials=3)
    while advance_all(store):
        for job in store.queue():
            store.change(job.name, ("queued",), state="running")
            carry_on(job.folder, lambda _: None)
            store.change(job.name, ("running",), state=job.folder.told()["state"])
    best = search.best()
    assert best is not None and [trial["state"] for trial in search.trials()] == ["done"] * 3
    report = store.job(best["run"]).folder.report()
    assert report is not None and report["valid"]["macro_f1"] == best["value"]
    assert find_search("last", store.root) == search
    assert main(["searches", "show", search.name, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["best"] == best["number"] and len(told["trials"]) == 3 and told["state"] == "done"


def test_searches_with_other_seeds_draw_other_trials() -> None:
    def drawn(seed: int, number: int) -> float:
        asking = SimpleNamespace(told=lambda: {"settings": {"seed": seed}})
        study = optuna.create_study(sampler=trials.sampler_of(asking, number))  # type: ignore[arg-type]
        return study.ask().suggest_float("x", 0.0, 1.0)

    values = {(seed, number): drawn(seed, number) for seed in range(3) for number in range(4)}
    assert len(set(values.values())) == len(values)
    assert drawn(1, 2) == values[1, 2]
