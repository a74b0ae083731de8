"""The Python interface: train, search, resume, load. Thin: everything is done in `fgdesign.runs`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fgdesign.graph import load_graph
from fgdesign.graph.spec import Graph
from fgdesign.runs import job
from fgdesign.runs.folder import find_run
from fgdesign.runs.prepare import DataChoice
from fgdesign.runs.search import TRIALS, Search, begin
from fgdesign.runs.space import read_space
from fgdesign.runs.store import open_store
from fgdesign.runs.supervisor import ensure
from fgdesign.runs.trained import TrainedRun, load_run
from fgdesign.training.settings import settings_from

__all__ = ["Search", "TrainedRun", "load_run", "resume", "search", "train"]


def train(graph: Graph | str | Path, data: str | Path, *, valid: str | Path | None = None,
          test: str | Path | None = None, text: str | None = None, text_b: str | None = None, label: str | None = None,
          task: str = "auto", out: str | Path | None = None, start: str | None = None, quiet: bool = True,
          **settings: Any) -> TrainedRun:
    """Train a graph on a labelled file and load the result.

    Args:
        graph: a graph, a starter's name, or a graph file.
        data, valid, test: files with a header: CSV, TSV, JSON lines, Parquet.
        text, text_b, label, task: columns and kind of task; guessed where not given.
        out: the run folder; a new one in the workspace where not given.
        start: an earlier run whose weights are taken over.
        settings: as in `fgdesign.training.settings.Settings`: epochs, seed, device, batch_size and so on.

    Raises: InputError: a graph, file, column, label or setting cannot be used; the message says what to change.
    """
    choice = DataChoice(str(data), None if valid is None else str(valid), None if test is None else str(test),
                        text, text_b, label, task)
    folder = job.train(graph, choice, settings_from(settings), out=out, start=start, say=_silent if quiet else print)
    return TrainedRun(folder)


def search(graph: Graph | str | Path, data: str | Path, *, trials: int = TRIALS, space: Mapping[str, Any] | None = None,
           parallel: int = 1, prune: bool = True, text: str | None = None, text_b: str | None = None,
           label: str | None = None, task: str = "auto", valid: str | Path | None = None,
           test: str | Path | None = None, **settings: Any) -> Search:
    """Begin a search over settings and graph choices; it goes on in the queue of the workspace.

    Args:
        space: what may change, as `fgdesign.runs.space` describes; what is good for the graph where not given.
        trials, parallel, prune: how many runs, how many at a time, whether those that are worse end early.
        The others: as in `train`; the settings are those that do not change.

    Returns: the search: `trials()`, `best()`, `chosen(number)`, and `told()["state"]`, which is "done" at the end.
    Raises: InputError for what cannot be searched; MissingExtraError without Optuna.
    """
    parts = {"train": data, "valid": valid, "test": test}
    named = {name: None if file is None else str(file) for name, file in parts.items()}
    found = begin(open_store(), load_graph(graph), {**named, "text": text, "text_b": text_b, "label": label,
                                                    "task": task}, settings_from(settings),
                  space=None if space is None else read_space(space), trials=trials, parallel=parallel, prune=prune)
    ensure()
    return found


def resume(run: str | Path, *, quiet: bool = True) -> TrainedRun:
    """Go on with a run that was stopped or killed. Raises RunError."""
    return TrainedRun(job.resume(find_run(str(run)), _silent if quiet else print))


def _silent(message: str) -> None:
    """Say nothing: everything is in the run's log."""
