"""The Python interface: train, resume, load. Thin: everything is done in `fgdesign.runs`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fgdesign.graph.spec import Graph
from fgdesign.runs import job
from fgdesign.runs.folder import find_run
from fgdesign.runs.prepare import DataChoice
from fgdesign.runs.trained import TrainedRun, load_run
from fgdesign.training.settings import settings_from

__all__ = ["TrainedRun", "load_run", "resume", "train"]


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


def resume(run: str | Path, *, quiet: bool = True) -> TrainedRun:
    """Go on with a run that was stopped or killed. Raises RunError."""
    return TrainedRun(job.resume(find_run(str(run)), _silent if quiet else print))


def _silent(message: str) -> None:
    """Say nothing: everything is in the run's log."""
