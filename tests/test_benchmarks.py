"""Every question of the benchmarks runs on a few rows, without peers, and is written; no test looks at a time."""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # benchmarks are no part of the installed package

from made_up_rows import write_rows  # noqa: E402

from benchmarks import designs, growth, jobs, measure, public, records, routing, trained, training  # noqa: E402
from benchmarks.__main__ import QUESTIONS, ask  # noqa: E402
from benchmarks.measure import Question, Row  # noqa: E402
from fgdesign.graph import errors  # noqa: E402

ALIKE = {f"{question}:{name}" for question in ("training", "routing", "designs")  # as those of sst2, of other rows
         for name in ("trec6", "banking77", "clinc150", "union")}


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Public data sets as a few made-up rows, and what was trained on them."""
    folder = tmp_path_factory.mktemp("public")
    for name in ("sst2", "trec6", "banking77", "clinc150"):
        (folder / name).mkdir()
        write_rows(folder / name / "train.csv", 48)
        write_rows(folder / name / "test.csv", 24)
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, made_up: Path) -> None:
    """Peers are left out, and public data sets are small."""
    monkeypatch.setenv("FGDESIGN_RECORDS", str(made_up / "records"))
    monkeypatch.setattr(public, "FOLDER", made_up)
    found = importlib.util.find_spec
    peers = {"sentence_transformers", "onnxruntime", "onnxscript", "accelerate", "peft"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in peers else found(name, *rest))


@pytest.mark.parametrize("name", [name for name in QUESTIONS if name not in ALIKE])
def test_a_question_is_answered_without_peers(name: str, tmp_path: Path) -> None:
    found: Question = ask(name, True)
    assert found.rows and all(np.isfinite(row.value) for row in found.rows)
    assert found.name == name
    if name.startswith(("training", "throughput")):
        assert any("is not installed" in note for note in found.notes)
    measure.write([found], measure.machine(), tmp_path / "out")
    told = json.loads((tmp_path / "out" / "benchmarks.json").read_text("utf-8"))[name]
    assert len(told["rows"]) == len(found.rows) and told["machine"]["processor"]
    shown = (tmp_path / "out" / "benchmarks.md").read_text("utf-8")
    assert found.title in shown and told["machine"]["processor"] in shown
    assert all((tmp_path / "out" / f"{picture}.svg").exists() for picture in found.pictures)


def test_every_design_is_a_graph_without_faults() -> None:
    made = [design() for design in designs.DESIGNS.values()]
    assert [errors(graph) for graph in made] == [()] * len(made)
    assert len({graph.name for graph in made}) == len(made)


def test_several_data_sets_are_united_in_one_space_of_labels(made_up: Path, tmp_path: Path) -> None:
    parts = [public.data_set(name, Question("routing:union", "")) for name in routing.UNITED]
    united = routing._union([part for part in parts if part], tmp_path)
    assert united.valid is not None
    learn, valid, test = (pd.read_csv(file) for file in (united.train, united.valid, united.test))
    assert len(learn) + len(valid) == 3 * 48 and len(valid) == 3 * 5 and len(test) == 3 * 24
    assert set(learn["label"].str.split(": ").str[0]) == set(routing.UNITED)
    once = [pd.read_csv(made_up / name / "train.csv") for name in routing.UNITED]
    assert sorted([*learn["text"], *valid["text"]]) == sorted(text for table in once for text in table["text"])


def test_a_missing_data_set_is_named_and_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(public, "FOLDER", tmp_path / "nowhere")
    found: Question = importlib.import_module("benchmarks.early_exit").measure(True)
    assert not found.rows
    assert "banking77 was left out" in found.notes[0] and "FGDESIGN_DATA" in found.notes[0]


def test_measuring_again_keeps_what_other_questions_found(tmp_path: Path) -> None:
    for name, value in (("one", 1.0), ("two", 2.0), ("one", 3.0)):
        measure.write([Question(name, name.title(), [Row("thing", value, "s")])], measure.machine(), tmp_path)
    kept = json.loads((tmp_path / "benchmarks.json").read_text("utf-8"))
    assert [kept[name]["rows"][0]["value"] for name in ("one", "two")] == [3.0, 2.0]


@pytest.mark.parametrize(("row", "held"), [
    (Row("a", 1.0, "s"), None), (Row("a", 1.0, "s", target=2.0), False), (Row("a", 1.0, "s", 3.0, target=2.0), True),
    (Row("a", 1.0, "s", 3.0, target=2.0, higher=False), False),
])
def test_a_target_is_held_by_the_ratio_where_there_is_one(row: Row, held: bool | None) -> None:
    assert row.held is held
    assert ("**no**" in measure._line(row)) is (held is False)


def test_contenders_take_turns_and_a_ratio_is_taken_inside_a_round() -> None:
    calls: list[str] = []
    measure.interleaved({name: lambda name=name: calls.append(name) for name in "abc"}, rounds=20, warm=1)
    rounds = ["".join(calls[place : place + 3]) for place in range(0, len(calls), 3)]
    assert len(rounds) == 21 and {"".join(sorted(one)) for one in rounds} == {"abc"}
    assert len(set(rounds)) > 3, "the order is drawn"
    assert measure.ratio({"slow": [2.0, 9.0, 8.0], "fast": [1.0, 3.0, 4.0]}, "slow", "fast") == 2.0


def test_the_exponent_of_a_square_is_two() -> None:
    curve = [(size, 3.0 * size**2) for size in (2, 8, 64)]
    assert growth.exponent(curve) == pytest.approx(2.0)
    assert len(growth.chain(12).nodes) == 12


def test_the_command_refuses_an_unknown_question(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "benchmarks", "speed", "--out", str(tmp_path)], cwd=ROOT, text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 2 and "Choose from: training" in done.stderr


def test_a_question_that_breaks_off_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                                             capsys: pytest.CaptureFixture[str]) -> None:
    command = importlib.import_module("benchmarks.__main__")
    answers: dict[str, Any] = {"weight": Question("weight", "Weight", [Row("thing", 1.0, "s")])}

    class Broken:
        @staticmethod
        def measure(quick: bool) -> Question:
            return answers["latency"]

    class Whole:
        @staticmethod
        def measure(quick: bool) -> Question:
            return answers["weight"]

    monkeypatch.setattr(command.importlib, "import_module",
                        lambda name: Broken if name.endswith("latency") else Whole)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "latency", "weight", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="broke off, the others are written: latency"):
        command.main()
    assert "weight" in json.loads((tmp_path / "benchmarks.json").read_text("utf-8"))
    assert "KeyError" in capsys.readouterr().err


def test_a_busy_machine_is_told() -> None:
    command = importlib.import_module("benchmarks.__main__")
    assert command.beside(2.2, 2) == [] and "a load of 6.1 on 2 cores" in command.beside(6.14, 2)[0]


def test_a_question_whose_piece_is_over_says_so_in_a_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                                          capsys: pytest.CaptureFixture[str]) -> None:
    command = importlib.import_module("benchmarks.__main__")

    def unfinished(name: str, quick: bool) -> Question:
        raise records.Unfinished("ask again")

    monkeypatch.setattr(command, "ask", unfinished)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "latency", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="broke off"):
        command.main()
    assert capsys.readouterr().err == "latency: ask again.\n"


def test_a_record_is_kept_and_knows_its_first_best(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FGDESIGN_RECORDS", str(tmp_path))
    place = records.place_of("sst2", "full, best", 0.1)
    assert place != records.place_of("sst2", "full, best", 0.2) and records.read(place, "full").best == -1.0
    made = records.Record("full", [(50, 9.0, 0.7), (100, 18.0, 0.8), (150, 27.0, 0.8)], [1, 0, 1], 30.0)
    records.write(place, made)
    again = records.read(place, "full")
    assert (again.best, again.best_place, again.hits.tolist()) == (0.8, 1, [True, False, True])


def test_a_graph_is_trained_once_in_pieces_and_anew_for_other_rows(monkeypatch: pytest.MonkeyPatch,
                                                                  tmp_path: Path) -> None:
    made: list[str] = []

    def train(graph: Any, *_: Any, out: Path, **__: Any) -> None:
        out.mkdir()
        made.append(graph.name)

    monkeypatch.setattr(trained, "train", train)
    monkeypatch.setattr(trained, "load_run", Path)
    files = public.Split("own", tmp_path / "train.csv", tmp_path / "test.csv", None)
    write_rows(files.train, 48)
    write_rows(files.test, 24)
    first = trained.trained(files, "two-opinions")
    assert first.is_dir() and trained.trained(files, "two-opinions") == first and made == ["two-opinions"]
    monkeypatch.setenv("FGDESIGN_PIECE", "0")
    with pytest.raises(records.Unfinished, match="ask again to go on"):
        trained.trained(files, "early-exit")
    assert trained.trained(files, "early-exit") != first and made == ["two-opinions", "early-exit"]
    monkeypatch.delenv("FGDESIGN_PIECE")
    write_rows(files.test, 25)
    assert trained.trained(files, "two-opinions") != first


def test_a_peer_whose_best_is_never_reached_counts_as_no_ratio() -> None:
    peer = records.Record("full", [(50, 9.0, 0.8)], [1, 0, 1, 1])
    ours = [training.Result(20.0, np.ones(4, bool), [(5.0, 0.7), (10.0, best)]) for best in (0.8, 0.9, 0.75)]
    row = training._beside("full", [(100.0, peer, run) for run in ours], 8.0)
    assert row.ratio == 10.0 and row.held and "with 1 of 3 seeds" in row.note and "ours +0.2500" in row.note
    assert training._beside("full", [(100.0, peer, ours[2])], 8.0).held is False


def test_a_number_is_late_until_the_page_shows_it_or_a_later_one() -> None:
    events = [{"kind": "step", "time": when, "loss": loss} for when, loss in ((1.0, 0.9), (2.0, 0.8), (3.0, 0.7),
                                                                              (4.0, 0.7), (9.0, 0.5))]
    seen = [(0.5, "–"), (1.4, "0.9"), (3.5, "0.7"), (9.2, "0.5")]
    assert jobs.delays(events, seen) == pytest.approx([0.4, 1.5, 0.5, 0.0, 0.0])
