"""One training with several seeds: which are queued, and mean and interval of what they measured."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from made_up_rows import write_rows

from fgdesign.cli import main
from fgdesign.graph import load_graph
from fgdesign.runs.seeds import more_seeds, seeds_of, spread, summary
from fgdesign.runs.store import STATES, Store, open_store

GRAPH = load_graph("linear-probe")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("FGDESIGN_WORKSPACE", str(tmp_path / "ws"))
    return open_store(tmp_path / "ws")


def through(store: Store, name: str, accuracy: float) -> None:
    """As if a run had ended with this accuracy."""
    store.change(name, STATES, state="succeeded")
    folder = store.job(name).folder
    test = {"accuracy": accuracy, "rows": 9, "macro_f1": None}
    folder.write("report.json", {"test": test, "valid": {"accuracy": 0.0}})
    folder.write_status(state="succeeded")


def test_a_spread_by_student_s_t() -> None:
    found = spread([1.0, 2.0, 3.0, 4.0, 5.0])
    assert found.mean == 3.0 and found.high == pytest.approx(3 + 2.7764 * math.sqrt(2.5 / 5), abs=1e-3)
    assert found.low == pytest.approx(6 - found.high)
    assert spread([2.0]).low == -math.inf


def test_other_seeds_and_what_they_say(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = {"train": str(write_rows(tmp_path / "rows.csv"))}
    run = store.submit(GRAPH, data, {"seed": 1, "epochs": 2}, priority=3)
    assert summary(seeds_of(store, run.name)) == {"runs": 1, "done": 0, "part": "", "metrics": {}}
    names = more_seeds(store, run.name, 2)
    assert main(["seeds", run.name, "--more", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["runs"], told["done"]) == (4, 0)
    jobs = seeds_of(store, names[0])
    assert [job.folder.config()["settings"]["seed"] for job in jobs] == [1, 2, 3, 4]
    assert all(job.folder.config()["settings"]["epochs"] == 2 and job.priority == 3 for job in jobs)
    for job, accuracy in zip(jobs, (0.5, 0.7, 0.6), strict=False):
        through(store, job.name, accuracy)
    told = summary(seeds_of(store, run.name))
    assert (told["runs"], told["done"], told["part"], list(told["metrics"])) == (4, 3, "test", ["accuracy"])
    assert told["metrics"]["accuracy"] == spread([0.5, 0.7, 0.6])
    assert main(["seeds", run.name]) == 0
    assert "accuracy     0.6000, 95 % interval 0.3516 to 0.8484" in capsys.readouterr().out


def test_trials_of_a_search_are_no_seeds_of_each_other(store: Store, tmp_path: Path) -> None:
    data = {"train": str(write_rows(tmp_path / "rows.csv"))}
    one, other = (store.submit(GRAPH, data, {}, group="search-1", trial=number).name for number in range(2))
    assert [job.name for job in seeds_of(store, one)] == [one]
    [more] = more_seeds(store, one, 1)
    assert [job.name for job in seeds_of(store, one)] == [one, more]
    assert store.job(one).group_name == "search-1" and [job.name for job in seeds_of(store, other)] == [other]
