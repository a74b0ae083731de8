"""Every kind of task and every starter, trained end to end on a tiny encoder and made-up rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_up_rows import rows_of, write_rows

import fgdesign as fg
from fgdesign.errors import DataError, DeviceError, GraphError, InputError, RunError
from fgdesign.graph import STARTERS, Graph
from fgdesign.graph.edit import set_params, set_tuning
from fgdesign.model.device import available
from fgdesign.runs.prepare import DataChoice, prepare, read_data
from fgdesign.runs.trained import TrainedRun
from fgdesign.training.settings import Settings

QUICK: dict[str, Any] = {"epochs": 1, "warm_epochs": 1, "batch_size": 16, "device": "cpu"}
OTHER = {"parcel": "delivery", "refund": "money", "praise": "mood"}


@pytest.fixture
def train(tiny_graph: Callable[[str], Graph], tmp_path: Path) -> Callable[..., TrainedRun]:
    def run(graph: str | Graph, rows: str | Path | None = None, **settings: Any) -> TrainedRun:
        drawn = tiny_graph(graph) if isinstance(graph, str) else graph
        data = rows if isinstance(rows, Path) else tmp_path / "rows.csv"
        if isinstance(rows, str):
            data.write_text(rows, "utf-8")
        elif rows is None:
            write_rows(data, 60)
        return fg.train(drawn, data, **QUICK | settings)

    return run


def report_of(run: TrainedRun) -> dict[str, Any]:
    report = run.folder.report()
    assert report is not None
    json.dumps(report, allow_nan=False)
    return report


def table(*columns: str, count: int = 60, **made: Callable[[int, str, str], str]) -> str:
    """A CSV: text, then one column for each function of (number, text, topic)."""
    lines = [",".join(("text", *made))]
    for number, (text, topic) in enumerate(rows_of(count)):
        lines.append(",".join((text, *(cell(number, text, topic) for cell in made.values()))))
    return "\n".join(lines) + "\n"


PAIRS = table(text_b=lambda i, text, topic: rows_of(60)[(i * 7) % 60][0], score=lambda i, text, topic: f"{i % 3}.{i}5")


@pytest.mark.parametrize("name", STARTERS)
def test_every_starter_trains_answers_and_traces(train: Callable[..., TrainedRun], name: str, tmp_path: Path) -> None:
    pairs = name == "sentence-pairs"
    run = train(name, PAIRS if pairs else None)
    text, other = "where is my parcel today", "i want my money back" if pairs else None
    others = None if other is None else [other]
    answer, traced = run.predict([text], others)[0], run.trace(text, other)
    if not pairs:
        assert traced["prediction"] == answer["prediction"]
        assert traced["probabilities"] == pytest.approx(answer["probabilities"], abs=1e-4)
    assert traced["layers"] == answer["layers"] and traced["exit"] == answer["exit"]
    assert sum(node["share"] for node in traced["nodes"]) == pytest.approx(1, abs=1e-6) or name == "words-only"
    told, report = run.evaluate(tmp_path / "rows.csv"), report_of(run)
    assert told["metrics"]["rows"] == 60 and report["valid"]["rows"] > 0
    assert {"routers", "exits", "mean_layers", "versions", "hashes", "seconds", "best_at"} <= report.keys()
    for router in report["routers"].values():
        assert sum(router["load"].values()) >= 0.999
    if run.network.nodes_of_role("exit"):
        assert 0 <= report["mean_layers"] <= 6 and report["full_depth"]["rows"] == report["test"]["rows"]


@pytest.mark.parametrize("device", available())
def test_a_loaded_run_answers_as_the_report_says(train: Callable[..., TrainedRun], tmp_path: Path, device: str) -> None:
    run = train("cheap-word-first", device=device)
    again = fg.load_run(run.folder.path)
    texts = [text for text, _ in rows_of(60)]
    answers = [row["prediction"] for row in again.predict(texts)]
    assert answers == [row["prediction"] for row in run.predict(texts)]
    right = np.mean([answer == label for answer, (_, label) in zip(answers, rows_of(60), strict=True)])
    assert again.evaluate(tmp_path / "rows.csv")["metrics"]["accuracy"] == pytest.approx(right)
    assert again.labels == ["parcel", "praise", "refund"] and again.task == "single"


def test_several_labels(train: Callable[..., TrainedRun]) -> None:
    rows = table(label=lambda i, text, topic: f"{topic}|late" if i % 4 == 0 else topic)
    run = train("cheap-word-first", rows)
    report = report_of(run)
    assert report["task"] == "multi" and report["labels"] == ["late", "parcel", "praise", "refund"]
    assert {"micro_f1", "log_loss", "per_class"} <= report["test"].keys() and report["valid"]["micro_f1"] > 0.3
    answer = run.predict(["where is my parcel"])[0]
    assert set(filter(None, answer["prediction"].split("|"))) <= set(report["labels"])
    assert all(0 <= p <= 1 for p in answer["probabilities"].values())


@pytest.mark.parametrize("name", ["linear-probe", "routed-experts", "words-only", "two-opinions"])
def test_a_number(train: Callable[..., TrainedRun], name: str) -> None:
    rows = table(stars=lambda i, text, topic: f"{len(text) * 100 + i / 7:.2f}")
    report = report_of(run := train(name, rows))
    assert report["task"] == "regression" and report["labels"] == []
    assert {"mae", "rmse", "pearson", "spearman"} <= report["test"].keys()
    spread = float(np.std([len(text) * 100 for text, _ in rows_of(60)]))
    assert report["train"]["rmse"] < spread
    answer = run.predict(["where is my parcel"])[0]
    assert isinstance(answer["prediction"], float) and answer["confidence"] is None


def test_exits_and_numbers_do_not_go_together(train: Callable[..., TrainedRun]) -> None:
    rows = table(stars=lambda i, text, topic: f"{i / 7:.2f}")
    with pytest.raises(GraphError, match="exit_0"):
        train("cheap-word-first", rows)


@pytest.mark.parametrize("name", ["linear-probe", "sentence-pairs", "two-opinions"])
def test_two_texts(train: Callable[..., TrainedRun], name: str) -> None:
    run = train(name, PAIRS, text="text", text_b="text_b", label="score")
    assert report_of(run)["task"] == "regression"
    one, other = (run.predict(["where is my parcel"], [second])[0]["prediction"] for second in
                  ("i love this store", "track the delivery van"))
    assert one != other
    for call in (lambda: run.predict(["a"]), lambda: run.trace("a"), lambda: run.predict(["a"], ["b", "c"])):
        with pytest.raises(DataError, match=r"two texts|second texts"):
            call()


def test_given_parts_and_labels_unseen_in_training(train: Callable[..., TrainedRun], tmp_path: Path) -> None:
    valid, test = tmp_path / "v.csv", tmp_path / "t.csv"
    valid.write_text("text,label\nmy parcel is late,parcel\nwhat a lovely lamp,praise\nodd one,zebra\n")
    write_rows(test, 12)
    report = report_of(run := train("linear-probe", valid=valid, test=test))
    assert (report["train"]["rows"], report["valid"]["rows"], report["test"]["rows"]) == (60, 2, 12)
    assert any("not known" in note and "zebra" in note for note in report["notes"])
    assert any("also in the test file" in note for note in report["notes"])
    assert run.labels == ["parcel", "praise", "refund"]


def test_a_class_with_one_row(train: Callable[..., TrainedRun]) -> None:
    rows = table(label=lambda i, text, topic: "odd" if i == 30 else topic)
    report = report_of(train("early-exit", rows))
    assert report["train"]["per_class"]["odd"]["support"] == 1
    assert any("'odd'" in note for note in report["notes"])


@pytest.mark.parametrize("name", ["linear-probe", "cheap-word-first", "routed-experts"])
def test_five_rows(train: Callable[..., TrainedRun], name: str) -> None:
    rows = "text,label\nmy parcel,a\nlost box,a\nlovely shop,b\nkind staff,b\ngreat lamp,b\n"
    report = report_of(run := train(name, rows))
    assert report["train"]["rows"] >= 2 and run.predict(["my box"])[0]["prediction"] in ("a", "b")


def test_two_rows(train: Callable[..., TrainedRun]) -> None:
    report = report_of(train("linear-probe", "text,label\nmy parcel,a\nlovely shop,b\n"))
    assert any("no validation rows" in note for note in report["notes"])


def grown(tmp_path: Path) -> str:
    old = [(text, topic, "zoo") for text, topic in rows_of(60)]
    new = [(text, OTHER[topic], "apps") for text, topic in rows_of(120)[60:]]
    return "text,label,domain\n" + "".join(f"{text},{label},{domain}\n" for text, label, domain in (*old, *new))


def test_grow_keeps_the_old_head(train: Callable[..., TrainedRun], tmp_path: Path) -> None:
    first = train("grow", table(label=lambda i, t, topic: topic, domain=lambda i, t, topic: "zoo"), epochs=3,
                  text="text", label="label")
    second = train("grow", grown(tmp_path), start=first.folder.path, epochs=3, text="text", label="label")
    notes = report_of(second)["notes"]
    assert "Column 'domain' teaches router 'router': 'zoo' to branch_1, 'apps' to branch_2." in notes
    assert any("taken over" in note for note in notes) and not any("never trained" in note for note in notes)
    old, new = (run.network.module_of("head_known").out for run in (first, second))
    rows = [second.labels.index(name) for name in first.labels]
    assert torch.equal(new.weight[rows], old.weight) and torch.equal(new.bias[rows], old.bias)
    value = torch.randn(9, old.in_features)
    with torch.no_grad():
        before, after = old(value).softmax(-1), new(value).softmax(-1)
    assert torch.equal(before.argmax(1), torch.tensor([rows.index(int(place)) for place in after.argmax(1)]))
    assert float((after[:, rows] - before).abs().max()) < 0.02


def test_a_start_by_name_and_one_that_has_no_model(train: Callable[..., TrainedRun], tmp_path: Path) -> None:
    first = train("linear-probe")
    again = train("linear-probe", start=first.folder.name)
    assert again.folder.config()["start"] == str(first.folder.path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text("{}")
    with pytest.raises(RunError, match="no model to start from"):
        train("linear-probe", start=tmp_path / "empty")


def test_what_is_frozen_but_never_trained_learns(train: Callable[..., TrainedRun],
                                                 tiny_graph: Callable[[str], Graph]) -> None:
    graph = set_tuning(tiny_graph("textbook-sentiment"), ["f_1"], "frozen")
    report = report_of(train(graph))
    assert any(note.startswith("Frozen but never trained: f_1.") for note in report["notes"])


def test_a_teacher_column_reaches_the_router(tiny_graph: Callable[[str], Graph], tmp_path: Path) -> None:
    graph = set_params(tiny_graph("gcn-experts"), "router", teacher="kind", k=1, branches=6)
    kinds = {"parcel": "b", "praise": "c", "refund": "a"}
    rows = table(label=lambda i, text, topic: topic, kind=lambda i, text, topic: "" if i % 5 == 0 else kinds[topic])
    (tmp_path / "rows.csv").write_text(rows)
    data, splits = read_data(DataChoice(str(tmp_path / "rows.csv"), text="text", label="label"))
    said: list[str] = []
    ready = prepare(graph, data, splits, Settings(), device=torch.device("cpu"), note=said.append)
    assert "Column 'kind' teaches router 'router': 'a' to branch_1, 'b' to branch_2, 'c' to branch_3." in said
    wanted = [-1 if not kind else "abc".index(kind) for kind in data.subset(splits.train).frame["kind"]]
    assert ready.parts["train"].taught["router"].tolist() == wanted and {-1, 0, 1, 2} == set(wanted)


def test_a_teacher_column_that_is_absent_is_told(train: Callable[..., TrainedRun]) -> None:
    notes = report_of(train("grow"))["notes"]
    assert "There is no column 'domain' to teach router 'router'; it learns from the answers." in notes


def test_a_rule_on_a_missing_column(train: Callable[..., TrainedRun], tiny_graph: Callable[[str], Graph]) -> None:
    rules = [{"when": "column", "column": "chanel", "equals": "mail", "to": 1}]
    graph = set_params(tiny_graph("rule-and-learned"), "by_length", rules=rules)
    with pytest.raises(DataError, match="reads column 'chanel'"):
        train(graph)
    rows = table(label=lambda i, text, topic: topic, chanel=lambda i, text, topic: "mail" if i % 2 else "chat")
    routers = report_of(train(graph, rows, text="text", label="label"))["routers"]
    assert 0.2 < routers["by_length"]["load"]["branch_1"] < 0.8


def test_class_weights_help_the_rare(train: Callable[..., TrainedRun]) -> None:
    rare = table(label=lambda i, text, topic: "rare" if i % 10 == 0 else "usual")
    plain, weighed = (train("textbook-sentiment", rare, class_weights=on, label_smoothing=0.1) for on in (False, True))
    texts = [text for text, _ in rows_of(60)]
    sums = [sum(row["probabilities"]["rare"] for row in run.predict(texts)) for run in (plain, weighed)]
    assert sums[1] > sums[0]


def test_the_same_seed_gives_the_same_bits_and_another_does_not(train: Callable[..., TrainedRun]) -> None:
    files = [(train("routed-experts", seed=seed).folder.model / "model.safetensors").read_bytes() for seed in (1, 1, 2)]
    assert files[0] == files[1] != files[2]


def test_a_failed_measurement_keeps_the_model(train: Callable[..., TrainedRun], tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*anything: Any) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr("fgdesign.runs.job._report", fail)
    with pytest.raises(DeviceError, match="--batch-size 8"):
        train("linear-probe", out=tmp_path / "run")
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["state"] == "failed" and "ran out of memory" in status["message"]
    assert fg.load_run(tmp_path / "run").predict(["where is my parcel"])[0]["confidence"] > 0


def test_divergence_leaves_a_model_and_plain_numbers(train: Callable[..., TrainedRun]) -> None:
    run = train("routed-experts", rate=1.0, layer_rate=1.0, warm_rate=1.0, clip=0.0, epochs=3)
    report_of(run)
    for entry in run.folder.metrics():
        json.dumps(entry, allow_nan=False)
    assert run.predict(["where is my parcel"])[0]["confidence"] >= 1 / 3


def test_an_unknown_setting_is_refused(train: Callable[..., TrainedRun]) -> None:
    with pytest.raises(InputError, match="Did you mean batch_size"):
        train("linear-probe", batchsize=3)


def test_words_only_reads_no_encoder(train: Callable[..., TrainedRun]) -> None:
    report = report_of(run := train("words-only"))
    assert report["mean_layers"] == 0 and report["test"]["accuracy"] > 0.5
    assert replace(run.graph).name == "words-only" and run.trace("my parcel is late")["layers"] == 0
