"""The look at a run before it begins: what grows with what, what is known already, what is said to be odd."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_up_rows import write_rows

from fgdesign.data import Dataset, load_dataset
from fgdesign.graph import STARTERS, Graph, to_json
from fgdesign.runs import check as checks
from fgdesign.runs.check import Check, Pace, check, known_static, mean_tokens, measured_speeds
from fgdesign.runs.effort import effort
from fgdesign.runs.folder import RunFolder
from fgdesign.training.settings import DEFAULTS, Settings, preset


@pytest.fixture
def look(tiny_graph: Callable[[str], Graph], tmp_path: Path) -> Callable[..., Check]:
    def made(name: str = "routed-experts", settings: Settings = DEFAULTS, data: Dataset | None = None) -> Check:
        rows = data or load_dataset(write_rows(tmp_path / "rows.csv", 90))
        return check(tiny_graph(name), rows, tmp_path / "rows.csv", settings, (), speed=1e9, place=tmp_path / "none")

    return made


def test_more_passes_take_longer_and_nothing_stands_in_the_way(look: Callable[..., Check]) -> None:
    fast, usual, thorough = (look(settings=preset(name)) for name in ("fast", "balanced", "thorough"))
    assert 0 < fast.seconds < usual.seconds < thorough.seconds and not usual.problems
    assert look(settings=Settings(batch_size=512)).memory > usual.memory > 0 and usual.disk > 0
    assert not usual.measured and not usual.known and usual.disk_free > 0


@pytest.mark.parametrize(("name", "settings", "said"), [
    ("linear-probe", Settings(balance=0.1), "no learned router"), ("linear-probe", Settings(distil=0.5), "no exit"),
    ("routed-experts", Settings(rates="nobody=0.1"), "names 'nobody'"),
    ("routed-experts", Settings(rates="layer_1=0.1"), "given to layer_1, which is frozen"),
])
def test_settings_that_do_nothing_are_named(look: Callable[..., Check], name: str, settings: Settings,
                                            said: str) -> None:
    [problem] = look(name, settings).problems
    assert said in problem
    assert not look("early-exit", Settings(distil=0.5)).problems


def test_a_device_that_is_not_here_is_told_before_the_start(look: Callable[..., Check],
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FGDESIGN_SLOTS", "cpu=1")
    assert look(settings=Settings(device="cuda:1")).problems == (
        "This machine has no 'cuda' device, so the run would fail. Choices: auto, cpu.",)
    assert not look(settings=Settings(device="cpu")).problems
    monkeypatch.setenv("FGDESIGN_SLOTS", "cpu=1,cuda:1=1")
    assert not look(settings=Settings(device="cuda:1")).problems


def test_odd_labels_are_named(look: Callable[..., Check], tmp_path: Path) -> None:
    lines = [f"text number {i},usual" for i in range(200)] + ["some other text,seldom", "another text,seldom"]
    (tmp_path / "odd.csv").write_text("\n".join(["text,label", *lines]), "utf-8")
    data = load_dataset(tmp_path / "odd.csv")
    rare, most = look(data=data).problems
    assert "'seldom'" in rare and "Class weights" in most
    assert len(look(settings=Settings(class_weights=True), data=data).problems) == 1


def test_too_little_room_is_said(look: Callable[..., Check], monkeypatch: pytest.MonkeyPatch) -> None:
    memory: Any = type("Memory", (), {"available": 1e8})
    monkeypatch.setattr(checks.psutil, "virtual_memory", lambda: memory)
    disk: Any = type("Disk", (), {"free": 1.0})
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: disk)
    assert [problem.partition(":")[0] for problem in look().problems] == ["Memory is tight", "Disk is tight"]


def test_earlier_runs_give_the_speed_and_the_static_part(tiny_graph: Callable[[str], Graph], tmp_path: Path) -> None:
    graph, rows = tiny_graph("routed-experts"), write_rows(tmp_path / "rows.csv", 90)
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    (run.path / "graph.json").write_text(to_json(graph), "utf-8")
    run.write("config.json", {"data": {"train": str(rows)}, "settings": DEFAULTS.as_dict(), "rows": {"train": 72},
                              "tokens": 8.0, "labels": ["a", "b", "c"]})
    assert not known_static(graph, rows, [run]) and measured_speeds(graph, DEFAULTS, [run]) == ([], False)
    run.write("report.json", {"state": "succeeded", "seconds": {"training": 4.0, "static": 1.0, "total": 7.0}})
    pace = Pace(pytest.approx(effort(graph, DEFAULTS, 72, 8.0, 3).learned / 4.0), 2.0, 72)
    assert measured_speeds(graph, DEFAULTS, [run]) == ([pace], True)
    assert known_static(graph, rows, [run]) == "run" and not known_static(graph, tmp_path / "b.csv", [run])
    assert known_static(tiny_graph("gcn-experts"), rows, [run]) == ""
    wider = graph.with_nodes(replace(node, params={**node.params, "branches": 5}) if node.id == "router" else node
                             for node in graph.nodes)
    assert known_static(wider, rows, [run]) == "run"
    made = check(graph, load_dataset(rows), rows, DEFAULTS, [run], speed=1e9, place=tmp_path)
    assert made.measured == 1 and made.known == "run" and made.seconds > 2.0
    other = RunFolder(tmp_path / "other")
    shutil.copytree(run.path, other.path)
    (other.path / "graph.json").write_text(to_json(tiny_graph("linear-probe")), "utf-8")
    assert measured_speeds(graph, DEFAULTS, [other, run]) == ([pace], True)
    tunes = tiny_graph("two-opinions")
    assert measured_speeds(tunes, DEFAULTS, [other, run, run]) == ([pace], False)  # of what trains as it does
    assert measured_speeds(tunes, DEFAULTS, [other]) == ([], False)


@pytest.mark.parametrize("name", STARTERS)
def test_the_effort_is_that_of_the_planned_stages(tiny_graph: Callable[[str], Graph], name: str) -> None:
    from fgdesign.graph.edit import fit_task
    from fgdesign.model.build import plan
    from fgdesign.model.network import FunctionGraph
    from fgdesign.training.losses import objective
    from fgdesign.training.stages import plan_stages

    graph, settings = fit_task(tiny_graph(name), "single"), Settings(accumulate=2)
    network = FunctionGraph(plan(graph, task="single", classes=6), seed=0)
    planned = plan_stages(network, objective(network.plan), settings, 4000, 800, 20.0)
    told = effort(graph, settings, 4000, 20.0, 6).stages
    assert [(one.name, one.epochs, one.trial) for one in told] == [(one.name, one.epochs, one.trial) for one in planned]
    for one, other in zip(told, planned, strict=True):
        assert one.work == pytest.approx(other.work, rel=0.6 if "router" in str(graph.nodes) else 1e-3)


def test_a_trial_may_end_early_and_further_processes_have_to_start(look: Callable[..., Check]) -> None:
    auto, sure = (look("auto", Settings(batch_size=1, trial=trial)) for trial in (-1, 0))
    assert auto.least < auto.seconds == sure.least == sure.seconds
    assert look("routed-experts").least == look("routed-experts").seconds
    assert look(settings=Settings(processes=3)).seconds == pytest.approx(look().seconds + 2 * checks.PROCESS_START)


def test_on_several_gpus_the_steps_are_shared(look: Callable[..., Check], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FGDESIGN_SLOTS", "cuda:0=1,cuda:1=1")
    monkeypatch.setattr(checks, "PROCESS_START", 0.0)
    one, two = look(), look(settings=Settings(processes=2))
    assert checks.BESIDE < two.seconds < one.seconds


def test_what_a_run_did_is_counted_not_what_was_planned(tiny_graph: Callable[[str], Graph], tmp_path: Path) -> None:
    graph = tiny_graph("auto")
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    (run.path / "graph.json").write_text(to_json(graph), "utf-8")
    run.write("config.json", {"data": {"train": "rows.csv"}, "settings": DEFAULTS.as_dict(), "rows": {"train": 4000},
                              "tokens": 8.0, "labels": ["a", "b", "c"], "device": "cpu"})
    run.write("report.json", {"state": "succeeded", "seconds": {"training": 4.0, "static": 1.0, "total": 7.0}})
    run.log({"kind": "step", "stage": "tune", "step": 48, "progress": 0.25})  # where its trial ended
    [pace], _ = measured_speeds(graph, DEFAULTS, [run])
    assert pace.rate == pytest.approx(effort(graph, DEFAULTS, 4000, 8.0, 3).learned * 0.25 / 4.0)
    assert pace.beside == pace.beside_for(8000) == 2.0  # no longer than any run takes to start
    assert measured_speeds(graph, Settings(device="cuda"), [run]) == ([], False)  # it was not on such a device


def test_heads_in_closed_form_tell_what_a_run_takes_beside_steps(tiny_graph: Callable[[str], Graph],
                                                                 tmp_path: Path) -> None:
    graph = tiny_graph("linear-probe")
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    (run.path / "graph.json").write_text(to_json(graph), "utf-8")
    run.write("config.json", {"data": {"train": "rows.csv"}, "settings": DEFAULTS.as_dict(), "rows": {"train": 4000},
                              "tokens": 8.0, "labels": ["a", "b", "c"], "device": "cpu"})
    run.write("report.json", {"state": "succeeded", "seconds": {"training": 9.0, "static": 1.0, "total": 14.0}})
    [pace], same = measured_speeds(graph, DEFAULTS, [run])
    assert same and pace == Pace(0.0, 13.0, 4000) and pace.beside_for(2000) == checks.BESIDE + 5.0


def test_texts_are_cut_at_what_the_graph_reads(tiny_graph: Callable[[str], Graph]) -> None:
    graph = tiny_graph("linear-probe")
    assert mean_tokens(["word " * 5000], graph) <= 512 and mean_tokens(["two words"] * 3, graph) == pytest.approx(4.7)
