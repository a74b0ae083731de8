"""What is to be trained, written into a run folder before anything runs. Knows nothing of torch or processes."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fgdesign.data.split_rule import split_rule
from fgdesign.errors import InputError, RunError, choices
from fgdesign.graph.spec import Graph, to_json
from fgdesign.runs.folder import RunFolder, find_run
from fgdesign.runs.sinks import sinks_wanted
from fgdesign.training.settings import Settings, check_nodes

PACKAGES = ("torch", "transformers", "scikit-learn")
DATA_KEYS = ("train", "valid", "test", "text", "text_b", "label", "task", "split")


def write_request(folder: RunFolder, graph: Graph, data: Mapping[str, str | None], settings: Settings, *,
                  start: str | None = None, status: Mapping[str, Any] | None = None) -> None:
    """graph.json and config.json of a new run. Raises InputError; nothing is written then.

    Args: data: files `train`, `valid`, `test`; columns `text`, `text_b`, `label`; `task`; and `split`, a rule.
        start: an earlier run whose weights are taken over. status: written before config.json, with which a folder
        begins to be a run.
    """
    check_request(graph, data, settings)
    if folder.is_used:
        raise RunError(f"The run folder '{folder.path}' is not empty. Choose another --out, or go on with: "
                       f"fgdesign resume {folder.path}")
    if start is not None and not (find_run(start).model / "config.json").is_file():
        raise RunError(f"Run '{start}' has no model to start from. Go on with it: fgdesign resume {start}")
    absolute = {key: str(Path(value).absolute()) if key in ("train", "valid", "test") and value else value
                for key, value in (dict.fromkeys(DATA_KEYS) | {"task": "auto"} | dict(data)).items()}
    folder.path.mkdir(parents=True, exist_ok=True)
    for name in ("metrics.jsonl", "status.json", "stop"):  # of a run that failed before it kept anything
        (folder.path / name).unlink(missing_ok=True)
    (folder.path / "graph.json").write_text(to_json(graph), "utf-8")
    if status is not None:
        folder.write_status(**status)
    folder.write("config.json", {"data": absolute, "settings": settings.as_dict(),
                                 "start": str(find_run(start).path.absolute()) if start else None,
                                 "sinks": sinks_wanted(settings.sink_names), "versions": versions()})


def check_request(graph: Graph, data: Mapping[str, str | None], settings: Settings) -> None:
    """Raises InputError for what cannot be asked for, MissingExtraError for a sink that is not installed."""
    for name in data:
        if name not in DATA_KEYS:
            raise InputError(f"There is no part '{name}' of a data choice. {choices(DATA_KEYS, name)}")
    if not data.get("train"):
        raise InputError("No training file is named. Give data={'train': FILE}.")
    split_rule(data.get("split"))
    check_nodes(settings, graph.ids)
    sinks_wanted(settings.sink_names)


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    import fgdesign

    return {"python": platform.python_version(), "fgdesign": fgdesign.__version__,
            **{name: version(name) for name in PACKAGES}}
