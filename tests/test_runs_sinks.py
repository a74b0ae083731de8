"""Numbers in TensorBoard, MLflow and W&B: each once, whatever dies and goes on; a sink that fails stops no run."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from made_up_rows import write_rows

from fgdesign.errors import InputError, MissingExtraError
from fgdesign.graph import Graph
from fgdesign.runs import sinks
from fgdesign.runs.folder import RunFolder
from fgdesign.runs.job import carry_on
from fgdesign.runs.request import write_request
from fgdesign.runs.sinks import KINDS, Outbox, outbox, scalars, settled, sinks_wanted
from fgdesign.training.settings import settings_from

Line = dict[str, Any]


def step(number: int, loss: float) -> Line:
    return {"kind": "step", "stage": "warm", "step": number, "of": 9, "epoch": 0, "loss": loss, "lr": 0.1,
            "progress": 0.5}


def valid(number: int) -> Line:
    return {"kind": "valid", "stage": "warm", "step": number, "epoch": 0, "metrics": {"accuracy": 0.5 + number / 100},
            "best": True, "routers": {"r": {"entropy": 0.3, "load": {"a": 1.0}}}, "exits": []}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run's")
    folder.path.mkdir()
    folder.write("config.json", {"settings": {"seed": 1}})
    return folder


def cover(run: RunFolder, number: int) -> None:
    """A checkpoint that covers the log as it is."""
    place = run.checkpoints / f"step-{number:09d}"
    place.mkdir(parents=True)
    (place / "state.json").write_text(json.dumps({"log_size": run.log_size()}))


def test_what_is_a_number() -> None:
    assert scalars(step(3, 0.5)) == {"warm/loss": 0.5, "warm/lr": 0.1}
    assert scalars(valid(3)) == {"warm/valid/accuracy": 0.53, "warm/r/entropy": 0.3}
    assert scalars({"kind": "note", "message": "x"}) == {}


def test_sinks_are_named_in_the_settings_of_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FGDESIGN_SINKS", "mlflow")
    monkeypatch.setitem(sinks.PACKAGES, "tensorboard", "json")  # a package that is there
    assert sinks_wanted(settings_from({"sinks": "tensorboard, "}).sink_names) == ["tensorboard"]
    with pytest.raises(InputError, match=r"sinks names 'wand'. Did you mean wandb"):
        settings_from({"sinks": "tensorboard,wand"})


def test_sinks_are_named_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sinks_wanted() == []
    monkeypatch.setenv("FGDESIGN_SINKS", "tensorbord")
    with pytest.raises(InputError, match=r"no sink 'tensorbord' for metrics. Did you mean tensorboard"):
        sinks_wanted()
    monkeypatch.setitem(sinks.PACKAGES, "wandb", "a_package_that_is_not_there")
    monkeypatch.setenv("FGDESIGN_SINKS", "wandb, ")
    with pytest.raises(MissingExtraError, match=r"pip install 'fgdesign\[wandb\]'"):
        sinks_wanted()


def events(run: RunFolder) -> list[tuple[str, int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run.path / "tensorboard"))
    found.Reload()
    return [(tag, event.step, round(event.value if hasattr(event, "value") else event.tensor_proto.float_val[0], 4))
            for tag in sorted(found.Tags()["scalars"] or found.Tags()["tensors"]) for event in found.Scalars(tag)]


def mlflow_values(run: RunFolder) -> list[tuple[str, int, float]]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient()
    [known] = client.search_runs([client.get_experiment_by_name("fgdesign").experiment_id])
    assert known.data.params == {"seed": "1"}
    return [(key, metric.step, round(metric.value, 4)) for key in sorted(known.data.metrics)
            for metric in client.get_metric_history(known.info.run_id, key)]


class FakeWandb(ModuleType):
    """What W&B keeps of a run over all processes: it takes steps in order only, and offline keeps them at the end."""

    def __init__(self, offline: bool) -> None:
        super().__init__("wandb")
        self.offline = offline
        self.held: list[tuple[int, Line]] = []
        self.rows: list[tuple[int, Line]] = []
        self.ids: set[str] = set()

    def init(self, *, id: str, resume: str, **_: Any) -> FakeWandb:
        self.ids.add(id)
        assert resume == "allow"
        self.held = []  # of a process that died
        return self

    def log(self, values: Line, step: int) -> None:
        self.held.append((step, values))
        if not self.offline:
            self.finish()

    def finish(self) -> None:
        for step, values in self.held:
            if not self.rows or step > self.rows[-1][0]:
                self.rows.append((step, values))
        self.held = []

    def values(self, _: RunFolder) -> list[tuple[str, int, float]]:
        assert len(self.ids) == 1
        return sorted((key, row["warm/step"], round(value, 4)) for _, row in self.rows for key, value in row.items()
                      if key != "warm/step")


@pytest.mark.parametrize(("name", "uri"), [("tensorboard", ""), ("wandb", ""), ("wandb", "offline"),
                                          ("mlflow", "file:{}/mlruns"), ("mlflow", "sqlite:///{}/mlflow.db")])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_a_resume_doubles_nothing(run: RunFolder, name: str, uri: str, monkeypatch: pytest.MonkeyPatch,
                                  tmp_path: Path) -> None:
    reader: Callable[[RunFolder], list[tuple[str, int, float]]] = {"tensorboard": events, "mlflow": mlflow_values}.get(
        name, FakeWandb(uri == "offline").values)
    if name == "wandb":
        monkeypatch.setitem(sys.modules, "wandb", reader.__self__)  # type: ignore[attr-defined]
    else:
        pytest.importorskip(name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(tmp_path))
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    run.log(step(1, 0.9))
    run.log(valid(1))
    cover(run, 1)
    size = run.log_size()
    run.log(step(2, 0.7))  # not covered: it will be taken back
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt), outbox(run, [name], said.append):
        raise KeyboardInterrupt
    assert [found[1] for found in reader(run)] == [1, 1, 1, 1], said
    run.cut_log(size)
    run.log(step(2, 0.6))
    cover(run, 2)
    dies = Outbox(run, [name], said.append)  # sends, and is killed before it can close
    dies.send(settled(run))
    run.log(step(3, 0.5))
    with outbox(run, [name], said.append) as box:
        assert box is not None
        box.complete = True
    assert said == []
    assert reader(run) == sorted([
        ("warm/loss", 1, 0.9), ("warm/loss", 2, 0.6), ("warm/loss", 3, 0.5), ("warm/lr", 1, 0.1), ("warm/lr", 2, 0.1),
        ("warm/lr", 3, 0.1), ("warm/r/entropy", 1, 0.3), ("warm/valid/accuracy", 1, 0.51)])


def die_at(point: int, run: RunFolder, name: str) -> None:
    """Send a log in two parts, killed by the system before or after the n-th thing that leaves a trace."""
    left = [point]

    def deadly(call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **named: Any) -> Any:
            come()
            found = call(*args, **named)
            come()
            return found
        return run

    def come() -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    if name == "mlflow":
        from mlflow.tracking import MlflowClient as owner

        names = ("create_experiment", "create_run", "log_param", "log_batch")
    else:
        from tensorboard.summary.writer.record_writer import RecordWriter as owner

        names = ("write",)
        Path.replace = deadly(Path.replace)  # type: ignore[method-assign]
    for one in names:
        setattr(owner, one, deadly(getattr(owner, one)))
    box = Outbox(run, [name], lambda _: None)
    box.send(settled(run))
    box.send(run.log_size())
    os._exit(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX processes")
@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_a_kill_at_any_moment_of_sending_doubles_and_loses_nothing(name: str, tmp_path: Path,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(name)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    for point in range(100):
        run = RunFolder(tmp_path / str(point))
        run.path.mkdir()
        run.write("config.json", {"settings": {"seed": 1}})
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path}/mlruns-{point}")
        run.log(step(1, 0.9))
        run.log(valid(1))
        cover(run, 1)
        run.log(step(2, 0.7))
        child = multiprocessing.get_context("fork").Process(target=die_at, args=(point, run, name))
        child.start()
        child.join()
        said: list[str] = []
        with outbox(run, [name], said.append) as box:
            assert box is not None
            box.complete = True
        found = (events if name == "tensorboard" else mlflow_values)(run)
        assert said == [] and found == [("warm/loss", 1, 0.9), ("warm/loss", 2, 0.7), ("warm/lr", 1, 0.1),
                                        ("warm/lr", 2, 0.1), ("warm/r/entropy", 1, 0.3),
                                        ("warm/valid/accuracy", 1, 0.51)]
        if child.exitcode == 0:
            break
    assert child.exitcode == 0 and point >= 10


def test_a_sink_that_fails_is_told_of_once(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: RunFolder) -> Any:
        raise ConnectionError("nobody answers")

    monkeypatch.setitem(KINDS, "mlflow", broken)
    run.log(step(1, 0.5))
    said: list[str] = []
    box = Outbox(run, ["mlflow"], said.append)
    for _ in range(2):
        box.send(run.log_size())
        run.log(step(2, 0.5))
    assert said == ["mlflow takes no metrics: ConnectionError: nobody answers. The run goes on without it."]


def test_training_sends_what_it_logs(tmp_path: Path, tiny_graph: Callable[[str], Graph],
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    monkeypatch.setenv("FGDESIGN_SINKS", "tensorboard")
    run = RunFolder(tmp_path / "run")
    settings = settings_from({"epochs": 1, "warm_epochs": 1, "device": "cpu"})
    write_request(run, tiny_graph("routed-experts"), {"train": str(write_rows(tmp_path / "rows.csv"))}, settings)
    carry_on(run, lambda _: None)
    logged = [(key, entry["step"]) for entry in run.metrics() for key in scalars(entry)]
    assert sorted(found[:2] for found in events(run)) == sorted(logged) and logged
