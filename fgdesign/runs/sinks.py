"""Other programs that show the numbers of a run: TensorBoard, MLflow, Weights & Biases. None of them is needed.

Only lines of the log that no resume can take back are sent: those that a checkpoint covers, and all at the end. What a
sink has already is never sent again: TensorBoard's files are named by the part of the log they hold, MLflow is asked
for its steps, and W&B, which takes steps in order only, gets the place in the log as the step. Knows nothing of torch.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import Any, Protocol
from uuid import uuid4

from fgdesign.errors import InputError, MissingExtraError, choices
from fgdesign.runs.folder import RunFolder

SINKS = "FGDESIGN_SINKS"
PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb"}
IDENTITY, WANDB_MARK = "sinks.id", "wandb.sent"  # files of a run
PATIENCE = 30.0  # seconds for a sink that does not answer at the end
LOOK_SECONDS = 2.0  # between two looks for a new checkpoint
NO_SCALARS = ("step", "of", "epoch", "time", "progress")


class Sink(Protocol):
    """One of them."""

    def send(self, lines: Sequence[tuple[int, dict[str, Any]]], end: int) -> None:
        """Take lines of the log with their places, up to `end`; some may have been sent by a process before."""

    def close(self) -> None:
        """Nothing more comes from this process."""


def sinks_wanted(names: Sequence[str] = ()) -> list[str]:
    """These sinks, or those that FGDESIGN_SINKS names. Raises InputError for an unknown one, MissingExtraError."""
    found = list(names) or [name.strip() for name in os.environ.get(SINKS, "").split(",") if name.strip()]
    for name in found:
        if name not in PACKAGES:
            raise InputError(f"There is no sink '{name}' for metrics. {choices(PACKAGES, name)}")
        if find_spec(PACKAGES[name]) is None:
            raise MissingExtraError(name, name)
    return found


def scalars(entry: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of one line of the log by name: "warm/loss", "tune/valid/macro_f1", "tune/router_1/entropy"."""
    stage, found = entry.get("stage", ""), {}
    if entry["kind"] == "step":
        found = {name: value for name, value in entry.items() if name not in NO_SCALARS}
    elif entry["kind"] == "valid":
        found = {f"valid/{name}": value for name, value in entry["metrics"].items()}
        for router, told in entry.get("routers", {}).items():
            found |= {f"{router}/{name}": value for name, value in told.items()}
    return {f"{stage}/{name}": float(value) for name, value in found.items()
            if isinstance(value, int | float) and not isinstance(value, bool)}


class TensorBoard:
    """Event files in the run's folder: tensorboard --logdir WORKSPACE/runs."""

    def __init__(self, run: RunFolder) -> None:
        self.folder = run.path / "tensorboard"
        self.folder.mkdir(exist_ok=True)

    def send(self, lines: Sequence[tuple[int, dict[str, Any]]], end: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        sent = self._sent()
        lines = [(place, entry) for place, entry in lines if place >= sent]
        if not lines:
            return
        target = self.folder / f"events.out.tfevents.{lines[0][0]:012d}-{end:012d}"
        aside = self.folder / f"writing-{target.name[-25:]}"
        with aside.open("wb") as file:
            writer = RecordWriter(file)
            writer.write(Event(wall_time=lines[0][1]["time"], file_version="brain.Event:2").SerializeToString())
            for _, entry in lines:
                values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars(entry).items()]
                if values:
                    event = Event(wall_time=entry["time"], step=entry["step"], summary=Summary(value=values))
                    writer.write(event.SerializeToString())
        aside.replace(target)

    def close(self) -> None:
        """Every file is whole already."""

    def _sent(self) -> int:
        return max((int(file.name.rpartition("-")[2]) for file in self.folder.glob("events.out.*")), default=0)


class MLflow:
    """A run in MLflow's store: MLFLOW_TRACKING_URI says which, MLFLOW_EXPERIMENT_NAME in which experiment."""

    def __init__(self, run: RunFolder) -> None:
        from mlflow.entities import Metric
        from mlflow.tracking import MlflowClient

        self._metric, self.client = Metric, MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "fgdesign")
        experiment = self.client.get_experiment_by_name(name)
        where = experiment.experiment_id if experiment else self.client.create_experiment(name)
        known = self.client.search_runs([where], f"tags.fgdesign = '{identity(run)}'")
        self.run = known[0] if known else self.client.create_run(
            where, run_name=run.name, tags={"fgdesign": identity(run)})
        self.id = self.run.info.run_id
        for key, value in run.config()["settings"].items():
            if key not in self.run.data.params:  # also where a process before did not get so far
                self.client.log_param(self.id, key, value)
        self._there = {(key, metric.step) for key in self.run.data.metrics
                       for metric in self.client.get_metric_history(self.id, key)}

    def send(self, lines: Sequence[tuple[int, dict[str, Any]]], end: int) -> None:
        fresh = [self._metric(key, value, round(entry["time"] * 1000), entry["step"])
                 for _, entry in lines for key, value in scalars(entry).items()
                 if (key, entry["step"]) not in self._there]
        for first in range(0, len(fresh), 1000):  # the most that one call may hold
            self.client.log_batch(self.id, metrics=fresh[first:first + 1000])
        self._there |= {(metric.key, metric.step) for metric in fresh}

    def close(self) -> None:
        """The store keeps no connection of ours."""


class Wandb:
    """A run in Weights & Biases: WANDB_PROJECT and WANDB_MODE say where, and whether it leaves this machine.

    Until it is finished nobody knows what it has kept: offline, a process that is killed leaves nothing. All since the
    last finish is sent again; a step that W&B has already it does not take twice.
    """

    def __init__(self, run: RunFolder) -> None:
        import wandb

        self.folder, mark = run, run.path / WANDB_MARK
        self.run = wandb.init(project=os.environ.get("WANDB_PROJECT", "fgdesign"), id=identity(run), name=run.name,
                              resume="allow", dir=str(run.path), config=run.config()["settings"])
        self.kept = self.sent = int(mark.read_text()) if mark.exists() else 0

    def send(self, lines: Sequence[tuple[int, dict[str, Any]]], end: int) -> None:
        for place, entry in lines:
            values = scalars(entry)
            if values and place >= self.kept:
                self.run.log({**values, f"{entry['stage']}/step": entry["step"]}, step=place)
        self.sent = max(self.sent, end)

    def close(self) -> None:
        self.run.finish()
        self.folder.write(WANDB_MARK, self.sent)


def identity(run: RunFolder) -> str:
    """What other programs know a run by, from its first number to its last; another one where it begins anew."""
    file = run.path / IDENTITY
    known = file.read_text() if file.exists() else ""
    if not known:  # also where a process died while it wrote
        known = uuid4().hex
        file.write_text(known)
    return known


KINDS: dict[str, Callable[[RunFolder], Sink]] = {"tensorboard": TensorBoard, "mlflow": MLflow, "wandb": Wandb}


class Outbox:
    """Sends what is settled, beside training; a sink that fails is left alone from then on, and the run goes on."""

    def __init__(self, run: RunFolder, names: Sequence[str], say: Callable[[str], None]) -> None:
        self.run, self.say = run, say
        self.names, self.complete = list(names), False
        self.sinks: dict[str, Sink] = {}
        self._sent, self._ending = 0, threading.Event()
        self._thread = threading.Thread(target=self._work, name="sinks", daemon=True)

    def _work(self) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            self.send(settled(self.run))

    def start(self) -> None:
        self._thread.start()

    def finish(self, end: int) -> None:
        """Send all up to a place of the log, and close."""
        self._ending.set()
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            self.say(f"{', '.join(self.names)}: no answer for {PATIENCE:.0f} s. The last numbers are not there.")
            return
        self.send(end)
        for name in list(self.names):
            if name in self.sinks:
                self._try(name, self.sinks[name].close)

    def send(self, end: int) -> None:
        """Send every line before `end` that was not sent by this process."""
        if end <= self._sent:
            return
        lines = lines_between(self.run, self._sent, end)
        for name in list(self.names):
            self._try(name, partial(self._send, name, lines, end))
        self._sent = end

    def _send(self, name: str, lines: Sequence[tuple[int, dict[str, Any]]], end: int) -> None:
        if name not in self.sinks:
            self.sinks[name] = KINDS[name](self.run)
        self.sinks[name].send(lines, end)

    def _try(self, name: str, what: Callable[[], None]) -> None:
        try:
            what()
        except Exception as error:
            self.names.remove(name)
            self.say(f"{name} takes no metrics: {type(error).__name__}: {error}. The run goes on without it.")


def settled(run: RunFolder) -> int:
    """Up to which place of the log the newest checkpoint covers it."""
    try:
        state = json.loads((run.checkpoints / run.newest_checkpoint() / "state.json").read_text("utf-8"))
        return int(state["log_size"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def lines_between(run: RunFolder, start: int, end: int) -> list[tuple[int, dict[str, Any]]]:
    """Lines of the log with the place at which each begins."""
    with (run.path / "metrics.jsonl").open("rb") as file:
        file.seek(start)
        data = file.read(end - start)
    found, place = [], start
    for line in data.splitlines(keepends=True):
        found.append((place, json.loads(line)))
        place += len(line)
    return found


@contextmanager
def outbox(run: RunFolder, names: Sequence[str], say: Callable[[str], None]) -> Iterator[Outbox | None]:
    """An outbox at work for as long as a run is trained; None where no sink is wanted.

    Where it is told that the run is `complete`, the whole log is sent at the end.
    """
    if not names:
        yield None
        return
    box = Outbox(run, names, say)
    box.start()
    try:
        yield box
    finally:
        box.finish(run.log_size() if box.complete else settled(run))
