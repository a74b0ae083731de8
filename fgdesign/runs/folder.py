"""A run as a folder of plain files, and the workspace that holds runs. Knows nothing of torch or Streamlit."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgdesign.errors import RunError
from fgdesign.graph.spec import Graph, load_file
from fgdesign.runs.growing import grown_lines
from fgdesign.runs.process import is_alive, myself, try_lock

FINAL_STATES = ("succeeded", "failed", "stopped", "cancelled")
NO_STATUS: dict[str, Any] = {"state": "preparing", "stage": "", "progress": 0.0, "seconds_left": None, "message": "",
                             "pid": 0, "mark": "", "attempt": 0, "started": 0.0, "worked": 0.0, "updated": 0.0,
                             "managed": False, "latest": None}
PLANNED = {"graph.json", "config.json", "status.json", "metrics.jsonl", "machine.jsonl", "examples.json", "log.txt",
           "lock", "stop"}
HIDDEN = "deleted"  # a file that says that the run is not shown


def workspace() -> Path:
    """Where graphs, data and runs are kept: FGDESIGN_WORKSPACE, or .fgdesign in the home folder."""
    return Path(os.environ.get("FGDESIGN_WORKSPACE") or Path.home() / ".fgdesign")


@dataclass(frozen=True)
class RunFolder:
    """Files of one run: graph.json, config.json, status.json, metrics.jsonl, report.json, model/, checkpoints/."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def status(self) -> dict[str, Any]:
        """state, stage, progress, seconds_left, message, pid and mark, attempt, started, updated, managed, latest.

        state: queued, preparing, running, paused, or one of FINAL_STATES. A run whose process died reads as failed,
        or, where the supervisor looks after it, as queued.
        """
        status = self.told()
        if status["state"] in (*FINAL_STATES, "paused") or not status["pid"] or is_alive(status["pid"], status["mark"]):
            return status
        if status["managed"]:
            status |= {"state": "queued", "message": "Its process ended early; it is taken up again."}
        else:
            status |= {"state": "failed", "message": self._last_words() or "The process that trained ended "
                       f"early. Go on with: fgdesign resume {self.path}"}
        return status

    def told(self) -> dict[str, Any]:
        """The same as it was written last, by whoever wrote it."""
        return NO_STATUS | (self._read("status.json") or {})

    @property
    def is_used(self) -> bool:
        """True where the folder holds more than a run leaves that has not learned anything yet."""
        return self.path.exists() and any(item.name not in PLANNED for item in self.path.iterdir())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run while it is written; the system lets go at any death. Raises RunError if another holds it."""
        held = try_lock(self.path / "lock")
        if held is None:
            raise RunError(f"Another process is training run '{self.path}'. Wait for it, or end it with: "
                           f"fgdesign stop {self.path}")
        with held:
            yield

    def _last_words(self) -> str:
        """What the command line said last before it gave up, if it did."""
        try:
            last = (self.path / "log.txt").read_text("utf-8", "replace").rstrip().rpartition("\n")[2]
        except OSError:
            return ""
        return last.removeprefix("fgdesign: ") if last.startswith("fgdesign: ") else ""

    def write_status(self, **changes: Any) -> None:
        """Change some fields of status.json, all at once for readers.

        `worked`, the seconds of all attempts, is counted on at each change by the process that is at work.
        """
        before, now = self.told(), time.time()
        mine = {"pid": before["pid"], "mark": before["mark"]} == myself() and "started" not in changes
        if mine and before["state"] in ("preparing", "running"):
            before["worked"] += max(0.0, now - before["updated"])
        self.write("status.json", before | changes | {"updated": now})

    def graph(self) -> Graph:
        """The graph that was trained."""
        return load_file(self.path / "graph.json")

    def config(self) -> dict[str, Any]:
        """Data, settings, labels, task and versions. Raises RunError where this is no run."""
        config = self._read("config.json")
        if config is None:
            raise RunError(f"'{self.path}' is not a run: it has no config.json. List runs with: fgdesign runs")
        return config

    def report(self) -> dict[str, Any] | None:
        """The final report, or None before the end."""
        return self._read("report.json")

    def metrics(self, since: int = 0) -> list[dict[str, Any]]:
        """Lines of metrics.jsonl from line `since` on, not to be changed; one still being written is left out."""
        return self._lines("metrics.jsonl", since)

    def metrics_now(self) -> list[dict[str, Any]]:
        """The same, and the step that a slow run has come to since, which is not logged."""
        events, latest = self.metrics(), self.told()["latest"]
        since = events[-1]["time"] if events else 0.0
        return [*events, latest | {"kind": "step"}] if latest and latest["time"] > since else events

    def machine(self) -> list[dict[str, Any]]:
        """How busy the machine was: lines of machine.jsonl, see `fgdesign.runs.watch`."""
        return self._lines("machine.jsonl")

    def examples(self) -> dict[str, Any] | None:
        """Some training rows as the model sees them, or None before the data are read."""
        return self._read("examples.json")

    def _lines(self, name: str, since: int = 0) -> list[dict[str, Any]]:
        return grown_lines(self.path / name)[since:]

    def log(self, entry: dict[str, Any]) -> None:
        """Append one line to metrics.jsonl."""
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(finite(entry | {"time": time.time()})) + "\n")

    def log_size(self) -> int:
        """Bytes of metrics.jsonl."""
        file = self.path / "metrics.jsonl"
        return file.stat().st_size if file.exists() else 0

    def cut_log(self, size: int) -> None:
        """Drop what was logged after a checkpoint was made, so that a resumed run logs nothing twice."""
        file = self.path / "metrics.jsonl"
        if self.log_size() > size:
            os.truncate(file, size)

    def stop(self, wish: str = "stop") -> None:
        """Ask the run to end after its present step: "stop" keeps the best so far, "pause" only puts it aside."""
        (self.path / "stop").write_text(wish, "utf-8")

    def has_learned(self) -> bool:
        """Whether there is something to keep: a validation was made."""
        return any(entry["kind"] == "valid" for entry in self.metrics())

    def newest_checkpoint(self) -> str:
        """Name of the newest checkpoint, "" before the first."""
        return max((path.name for path in self.checkpoints.glob("step-*")), default="")

    def unasked(self) -> None:
        """Take back what `stop` asked."""
        (self.path / "stop").unlink(missing_ok=True)

    @property
    def asked_to_stop(self) -> bool:
        return (self.path / "stop").exists()

    @property
    def asked_to_pause(self) -> bool:
        return self.asked_to_stop and (self.path / "stop").read_text("utf-8") == "pause"

    def forget(self) -> None:
        """Remove what was learned and logged, so that the run begins anew."""
        for name in ("checkpoints", "model", "model.new", "tensorboard"):
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in ("metrics.jsonl", "machine.jsonl", "report.json", "stop", "sinks.id", "wandb.sent"):
            (self.path / name).unlink(missing_ok=True)
        self.write_status(worked=0.0)

    @property
    def is_hidden(self) -> bool:
        """Whether it was deleted, and can be brought back."""
        return (self.path / HIDDEN).exists()

    def hide(self, on: bool) -> None:
        """Leave the run out of lists, or put it back."""
        (self.path / HIDDEN).touch() if on else (self.path / HIDDEN).unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def write(self, name: str, data: Any) -> None:
        """Write a JSON file so that readers see the old or the new one, whole."""
        aside = self.path / f"{name}.{os.getpid()}.new"
        try:
            aside.write_text(json.dumps(finite(data), indent=1), "utf-8")
            aside.replace(self.path / name)
        finally:
            aside.unlink(missing_ok=True)

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            data = json.loads((self.path / name).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return data if isinstance(data, dict) else None


class Onlooker(RunFolder):
    """The same folder for a process that trains along with another one: that one holds and writes it."""

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nothing: the other holds it."""
        yield

    def log(self, entry: dict[str, Any]) -> None:
        """Nothing: the other logs it."""

    def write(self, name: str, data: Any) -> None:
        """Nothing: the other writes it."""


def finite(data: Any) -> Any:
    """The same plain data, with None for every number that JSON cannot hold."""
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, dict):
        return {key: finite(value) for key, value in data.items()}
    return [finite(value) for value in data] if isinstance(data, list | tuple) else data


def list_runs(root: Path | None = None) -> list[RunFolder]:
    """Runs of a workspace, the newest first."""
    files = [file for file in (root or workspace()).glob("runs/*/config.json") if not (file.parent / HIDDEN).exists()]
    return [RunFolder(file.parent) for file in sorted(files, key=lambda file: -file.stat().st_mtime)]


def new_run_path(stem: str, root: Path | None = None) -> Path:
    """A folder for a new run in the workspace, made here, so that nobody else gets the same."""
    base = (root or workspace()) / "runs"
    stamp = time.strftime("%Y%m%d-%H%M%S")
    names = (f"{stamp}-{stem}", *(f"{stamp}-{stem}-{i}" for i in range(2, 1000)))
    return next(base / name for name in names if _made(base / name))


def _made(path: Path) -> bool:
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        return False
    return True


def find_run(name: str) -> RunFolder:
    """A run by folder or by name in the workspace; "last" is the newest. Raises RunError."""
    if (Path(name) / "config.json").is_file():
        return RunFolder(Path(name))
    runs = list_runs()
    for run in runs[:1] if name == "last" else (run for run in runs if run.name == name):
        return run
    raise RunError(f"There is no run '{name}'. Name a run folder, 'last', or one that is listed by: fgdesign runs")
