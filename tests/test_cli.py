"""The command line as a user calls it: what is printed, which exit code, and no traceback for input faults."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_up_rows import rows_of, write_rows

from fgdesign.cli import main
from fgdesign.graph import Graph, to_json
from fgdesign.model.device import available

QUICK = ("--set", "warm_epochs=1", "--epochs", "1", "--batch-size", "16", "--device", "cpu")
SPLIT_KEYS = {"rows", "accuracy", "macro_f1", "micro_f1", "log_loss", "ece", "mean_layers"}


class Shell:
    """Calls commands; out and err are what the last one printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys, self.out, self.err = capsys, "", ""

    def __call__(self, *arguments: object) -> int:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as error:
            code = int(str(error.code))
        self.out, self.err = self.capsys.readouterr()
        assert "Traceback" not in self.err or code == 3
        return code

    def json(self, *arguments: object, code: int = 0) -> dict[str, Any]:
        assert self(*arguments, "--json") == code, self.err
        assert self.out.count("\n") == 1
        found = json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        assert isinstance(found, dict)
        return found


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    capsys.readouterr()
    return Shell(capsys)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_graph: Callable[[str], Graph]) -> Path:
    """A folder with rows.csv, probe.json, exits.json and a finished run "run" of exits.json."""
    folder = tmp_path_factory.mktemp("shell")
    write_rows(folder / "rows.csv", 90)
    for name, starter in (("probe", "linear-probe"), ("exits", "cheap-word-first"), ("routed", "routed-experts")):
        (folder / f"{name}.json").write_text(to_json(tiny_graph(starter)), "utf-8")
    return folder


@pytest.fixture(scope="module")
def told(place: Path) -> dict[str, Any]:
    """What `train --json` printed, in a process of its own; its run is place/run."""
    line = [sys.executable, "-m", "fgdesign", "train", place / "exits.json", place / "rows.csv", "--out", place / "run",
            *QUICK, "--json"]
    done = subprocess.run([str(word) for word in line], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert done.stdout.count("\n") == 1 and "probe epoch" in done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_train_tells_everything(told: dict[str, Any], place: Path) -> None:
    assert {"run", "task", "labels", "parameters", "trained_parameters", "trained_share", "seconds", "epochs", "train",
            "valid", "test", "routers", "exits", "mean_layers", "versions", "hashes", "notes"} <= told.keys()
    assert told["labels"] == ["parcel", "praise", "refund"] and told["task"] == "single"
    assert told["trained_parameters"] < told["parameters"] and told["epochs"] == 1
    assert {"data", "build", "static", "training", "calibration", "evaluation", "total"} == told["seconds"].keys()
    assert sum(told[part]["rows"] for part in ("train", "valid", "test")) == 90
    for part in ("train", "valid", "test"):
        assert told[part].keys() >= SPLIT_KEYS
        assert sum(map(sum, told[part]["confusion"])) == told[part]["rows"]
        assert sum(label["support"] for label in told[part]["per_class"].values()) == told[part]["rows"]
    assert sum(entry["share"] for entry in told["exits"]) == pytest.approx(1)
    assert all({"node", "depth", "share", "accuracy"} <= entry.keys() for entry in told["exits"])
    assert json.loads((place / "run" / "report.json").read_text()) == told
    status = json.loads((place / "run" / "status.json").read_text())
    assert (status["state"], status["progress"], status["seconds_left"]) == ("succeeded", 1.0, 0.0)


def test_routers_are_told(shell: Shell, place: Path) -> None:
    found = shell.json("train", place / "routed.json", place / "rows.csv", "--out", place / "routed", *QUICK)
    router = found["routers"]["router"]
    assert router.keys() >= {"load", "entropy", "agreement"} and sum(router["load"].values()) == pytest.approx(1)
    assert len(router["load"]) == 5 and 0 < router["agreement"] <= 1


def test_starters(shell: Shell, tmp_path: Path) -> None:
    assert shell("starters") == 0 and "cheap-word-first" in shell.out
    assert shell("starters", "linear-probe") == 0
    (tmp_path / "g.json").write_text(shell.out)
    assert shell("check", tmp_path / "g.json") == 0 and "valid" in shell.out


def test_check(shell: Shell, place: Path, tiny_graph: Callable[[str], Graph], tmp_path: Path) -> None:
    found = shell.json("check", "early-exit")
    assert found["valid"] and found["problems"] == [] and found["summary"]["parameters"] > 0
    graph = tiny_graph("linear-probe")
    (tmp_path / "bad.json").write_text(to_json(replace(graph, edges=graph.edges[1:])))
    found = shell.json("check", tmp_path / "bad.json", code=1)
    assert not found["valid"] and all(problem["fix"] for problem in found["problems"])
    assert shell("check", tmp_path / "bad.json") == 1 and "embeddings" in shell.out


def test_evaluate(shell: Shell, place: Path, told: dict[str, Any]) -> None:
    found = shell.json("evaluate", place / "run", place / "rows.csv")
    assert {"metrics", "routers", "exits"} <= found.keys() and found["metrics"]["rows"] == 90
    assert shell("evaluate", place / "run", place / "rows.csv") == 0 and "accuracy" in shell.out


def test_predict_a_text(shell: Shell, place: Path, told: dict[str, Any]) -> None:
    found = shell.json("predict", place / "run", "--text", "where is my parcel")
    assert {"prediction", "confidence", "probabilities", "route", "exit"} <= found.keys()
    assert sum(found["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert shell("predict", place / "run", "--text", "where is my parcel") == 0 and found["prediction"] in shell.out


def test_predict_a_file(shell: Shell, place: Path, told: dict[str, Any], tmp_path: Path) -> None:
    import pandas as pd

    (tmp_path / "in.csv").write_text("id,text\n7,where is my parcel\n8,\n9,=i love this store\n")
    assert shell("predict", place / "run", tmp_path / "in.csv", "--out", tmp_path / "out.csv") == 0
    assert "empty text" in shell.err
    frame = pd.read_csv(tmp_path / "out.csv")
    assert list(frame.columns) == ["id", "text", "prediction", "confidence", "route", "exit"]
    assert frame["text"].tolist() == ["where is my parcel", "'=i love this store"]  # no cell a spreadsheet would run
    assert frame["id"].tolist() == [7, 9] and frame["confidence"].between(1 / 3, 1).all()


def test_trace(shell: Shell, place: Path, told: dict[str, Any]) -> None:
    found = shell.json("trace", place / "run", "--text", "refund the broken lamp")
    assert {"prediction", "probabilities", "nodes", "routers"} <= found.keys()
    told_of_nodes = {"id", "type", "state", "gate", "ms", "share", "norm", "change"}
    assert all(node.keys() == told_of_nodes for node in found["nodes"])
    assert {node["state"] for node in found["nodes"]} <= {"called", "skipped", "not reached", "idle"}
    assert all("scores" in router for router in found["routers"].values())
    assert shell("trace", place / "run", "--text", "refund the broken lamp") == 0 and "exit_0" in shell.out


def test_runs_stop_and_resume(shell: Shell, place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FGDESIGN_WORKSPACE", str(tmp_path))
    assert shell.json("runs") == {"runs": []}
    assert shell("train", place / "probe.json", place / "rows.csv", *QUICK) == 0
    assert "Run:" in shell.out and "test:" in shell.out
    listed = shell.json("runs")["runs"]
    assert [(row["state"], row["progress"]) for row in listed] == [("succeeded", 1.0)]
    assert shell("runs") == 0 and listed[0]["run"] in shell.out
    for command, said in (("stop", "not at work"), ("resume", "finished")):
        assert shell(command, "last") == 1 and said in shell.err
    assert shell("evaluate", listed[0]["run"], place / "rows.csv") == 0
    status = tmp_path / "runs" / listed[0]["run"] / "status.json"
    status.write_text('{"state": "running", "pid": 0}')
    assert shell("runs") == 0 and "running" in shell.out
    assert shell("stop", "last") == 0 and (status.parent / "stop").exists()


def test_export(shell: Shell, place: Path, told: dict[str, Any], tmp_path: Path) -> None:
    assert shell("export", place / "run", tmp_path / "bundle") == 0
    assert shell.json("predict", tmp_path / "bundle", "--text", "i love this store")["prediction"]
    assert shell("export", place / "run", tmp_path / "bundle") == 1 and "not empty" in shell.err


def test_a_typing_error_does_not_use_up_the_run_folder(shell: Shell, place: Path, tmp_path: Path) -> None:
    line = ("train", place / "probe.json", place / "rows.csv", "--out", tmp_path / "run", *QUICK)
    assert shell(*line, "--label", "lable") == 1 and "lable" in shell.err
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "failed"
    assert shell(*line) == 0
    assert shell(*line) == 1 and "not empty" in shell.err


def csv(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


FAULTS: dict[str, tuple[Callable[[Path, Path], tuple[object, ...]], str]] = {
    "unknown starter": (lambda p, t: ("check", "linear-prob"), "linear-probe"),
    "unknown starter to print": (lambda p, t: ("starters", "linear-prob"), "linear-probe"),
    "broken graph": (lambda p, t: ("check", csv(t / "g.json", '{"format": ')), "JSON"),
    "graph that is a list": (lambda p, t: ("check", csv(t / "g.json", "[]")), "object"),
    "broken graph to train": (lambda p, t: ("train", csv(t / "g.json", "{"), p / "rows.csv"), "JSON"),
    "missing file": (lambda p, t: ("train", p / "probe.json", t / "none.csv"), "none.csv"),
    "missing test file": (lambda p, t: ("train", p / "probe.json", p / "rows.csv", "--test", t / "x.csv"), "x.csv"),
    "picture": (lambda p, t: ("train", p / "probe.json", picture(t / "a.csv")), "a.csv"),
    "one class": (lambda p, t: ("train", p / "probe.json", csv(t / "a.csv", "text,label\na b,x\nc d,x\n")), "'x'"),
    "unknown column": (lambda p, t: ("train", p / "probe.json", p / "rows.csv", "--text", "txt"), "txt"),
    "label is text": (lambda p, t: ("train", p / "probe.json", p / "rows.csv", "--text", "text", "--label", "text"),
                      "text"),
    "full run folder": (lambda p, t: ("train", p / "probe.json", p / "rows.csv", "--out", p), "not empty"),
    "run folder is a file": (lambda p, t: ("train", p / "probe.json", p / "rows.csv", "--out", p / "rows.csv"),
                             "rows.csv"),
    "setting": (lambda p, t: ("train", p / "probe.json", p / "rows.csv", "--set", "rat=1"), "rate"),
    "setting without value": (lambda p, t: ("train", p / "probe.json", p / "rows.csv", "--set", "clip"), "clip"),
    "setting of another kind": (lambda p, t: ("train", p / "probe.json", p / "rows.csv", "--set", "clip=a"), "is 'a'"),
    "half an epoch": (lambda p, t: ("train", p / "probe.json", p / "rows.csv", "--set", "epochs=1.5"), "whole"),
    "not a number": (lambda p, t: ("train", p / "probe.json", p / "rows.csv", "--set", "rate=NaN"), "rate"),
    "weights": (lambda p, t: ("train", p / "probe.json", p / "rows.csv", "--set", "class_weights=2"), "true or false"),
    "device number": (lambda p, t: ("train", p / "probe.json", p / "rows.csv", "--set", "device=5"), "device"),
    "negative epochs": (lambda p, t: ("train", p / "probe.json", p / "rows.csv", "--epochs", "-5"), "epochs"),
    "unknown device": (lambda p, t: ("train", p / "probe.json", p / "rows.csv", "--device", "tpu"), "tpu"),
    "start that is none": (lambda p, t: ("train", p / "probe.json", p / "rows.csv", "--from", t), "no run"),
    "unknown run": (lambda p, t: ("predict", "nosuchrun", "--text", "a"), "nosuchrun"),
    "unknown run to stop": (lambda p, t: ("stop", "nosuchrun"), "nosuchrun"),
    "unknown run to export": (lambda p, t: ("export", "nosuchrun", t / "x"), "nosuchrun"),
    "empty text": (lambda p, t: ("predict", p / "run", "--text", " "), "empty"),
    "empty text to trace": (lambda p, t: ("trace", p / "run", "--text", ""), "empty"),
    "second text": (lambda p, t: ("trace", p / "run", "--text", "a", "--text-b", "b"), "one text"),
    "file to nowhere": (lambda p, t: ("predict", p / "run", p / "rows.csv", "--out", t / "no" / "x.csv"), "no"),
    "unlabelled": (lambda p, t: ("evaluate", p / "run", csv(t / "a.csv", "text\na b\n")), "label"),
    "unknown labels": (lambda p, t: ("evaluate", p / "run", csv(t / "a.csv", "text,label\na b,zebra\n")), "zebra"),
}


def picture(path: Path) -> Path:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)
    return path


@pytest.mark.parametrize("name", FAULTS)
def test_input_faults_are_told_in_one_sentence(shell: Shell, place: Path, told: dict[str, Any], tmp_path: Path,
                                               name: str) -> None:
    line, said = FAULTS[name]
    assert shell(*line(place, tmp_path)) == 1, shell.err
    last = shell.err.splitlines()[-1]
    assert last.startswith("fgdesign: ") and said in last and shell.out == ""


def test_faults_are_json_too(shell: Shell, place: Path) -> None:
    found = shell.json("evaluate", "nosuchrun", place / "rows.csv", code=1)
    assert found["exit_code"] == 1 and "nosuchrun" in found["error"]


def test_absent_devices_are_told(shell: Shell, place: Path, tmp_path: Path) -> None:
    for device in {"cuda", "mps"} - set(available()):
        line = ("train", place / "probe.json", place / "rows.csv", "--out", tmp_path / device, "--device", device)
        assert shell(*line) == 1 and device in shell.err and "cpu" in shell.err
        assert not (tmp_path / device).exists()


@pytest.mark.parametrize("line", [
    (), ("fly",), ("train",), ("train", "a"), ("check",), ("predict", "run"), ("predict", "run", "a.csv"),
    ("predict", "run", "a.csv", "--text", "b"), ("trace", "run"), ("train", "a", "b", "--epochs", "many"),
    ("train", "a", "b", "--task", "poem"), ("train", "a", "b", "--nonsense"),
])
def test_wrong_usage(shell: Shell, line: tuple[str, ...]) -> None:
    assert shell(*line) == 2 and "usage" in shell.err


def test_a_defect_of_ours_says_so(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    import fgdesign.runs.commands as commands

    monkeypatch.setattr(commands, "list_runs", lambda: 1 / 0)
    assert shell("runs") == 3 and "defect of fgdesign: ZeroDivisionError" in shell.err


def test_help_needs_no_torch() -> None:
    code = ("import sys, fgdesign.cli as cli\n"
            "try: cli.main(['train', '--help'])\nexcept SystemExit: pass\n"
            "cli.main(['starters']); cli.main(['check', 'early-exit']); cli.main(['runs'])\n"
            "assert 'torch' not in sys.modules and 'streamlit' not in sys.modules")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_damaged_models_are_told(shell: Shell, place: Path, told: dict[str, Any], tmp_path: Path) -> None:
    assert shell("export", place / "run", tmp_path / "b") == 0
    weights = tmp_path / "b" / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert shell("predict", tmp_path / "b", "--text", "a") == 1 and "damaged" in shell.err


def test_rows_are_made_up_without_repeats() -> None:
    texts = [text for text, _ in rows_of(300)]
    assert len(set(texts)) == 300
