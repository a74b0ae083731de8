"""The rows of a run's own data and their answers, computed once and kept beside the run.

Shared by the pages that look at whole data sets. Knows nothing of how they are shown.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.runs.folder import RunFolder
from fgdesign.ui import models

if TYPE_CHECKING:
    from fgdesign.data import Dataset
    from fgdesign.insight.answered_set import AnsweredSet
    from fgdesign.insight.values import Probe

PARTS = {"test": "test rows", "valid": "validation rows", "train": "training rows"}
FOLDER = "insight"  # inside a run's folder


def parts_of(run: RunFolder) -> dict[str, int]:
    """Rows of each part of the run's data that has some, test first. Raises RunError or DataError."""
    return {part: len(data) for part in PARTS if len(data := part_data(run, part))}


def part_data(run: RunFolder, part: str) -> Dataset:
    """The rows of a part, as they were in training. Raises RunError or DataError where the file is gone."""
    return _parts(str(run.path), _changed(run))[part]


def kept(run: RunFolder, part: str) -> AnsweredSet | None:
    """The answers of a part if they are there already: from memory, else from disk; None where not."""
    file = file_of(run, f"{part}.npz")
    return _kept(str(run.path), part, str(file), file.stat().st_mtime_ns) if file.is_file() else None


def answer(run: RunFolder, part: str, progress: Callable[[int, int], None] | None = None) -> AnsweredSet:
    """The answers of a part, computed where they are not kept yet. Raises RunError or DataError."""
    found = kept(run, part)
    if found is None:
        from fgdesign.insight.answered_set import answered

        found = answered(models.trained(run), part_data(run, part), progress)
        found.save(file_of(run, f"{part}.npz"))
    return found


def answer_with(run: RunFolder, part: str, other: RunFolder,
                progress: Callable[[int, int], None] | None = None) -> AnsweredSet:
    """The answers that another run gives to a part of this run's rows, kept beside this run."""
    from fgdesign.insight.answered_set import answered, load_answered

    file, data = file_of(run, f"{part}-by-{other.name}.npz"), part_data(run, part)
    found = load_answered(file, data)
    if found is None:
        found = answered(models.trained(other), data, progress)
        found.save(file)
    return found


def probes_of(run: RunFolder) -> Mapping[str, Probe]:
    """A probe for every node, fitted on the training rows; none where they are gone or have no single labels."""
    return _probes(str(run.path), _changed(run))


def kept_json(run: RunFolder, name: str) -> Any:
    """What `keep_json` kept under a name about this very model, or None."""
    try:
        return json.loads(file_of(run, f"{name}.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None


def keep_json(run: RunFolder, name: str, value: Any) -> None:
    """Keep plain data beside the run under a name."""
    file = file_of(run, f"{name}.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f".{uuid.uuid4().hex}")
    aside.write_text(json.dumps(value), "utf-8")
    os.replace(aside, file)


def kept_table(run: RunFolder, name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """A table about this very model, made where it is not kept yet."""
    rows = kept_json(run, name)
    if rows is None:
        table = make()
        keep_json(run, name, {"columns": list(table.columns), "rows": table.to_dict("records")})
        return table
    return pd.DataFrame(rows["rows"], columns=rows["columns"])


def file_of(run: RunFolder, name: str) -> Path:
    """Where results about this very model are kept; a model trained anew has a folder of its own."""
    return run.path / FOLDER / f"{_changed(run):x}" / name


def _changed(run: RunFolder) -> int:
    weights = run.model / "config.json"
    return weights.stat().st_mtime_ns if weights.exists() else 0


@st.cache_resource(max_entries=4, show_spinner="Reading the data")
def _parts(path: str, changed: int) -> dict[str, Dataset]:
    from fgdesign.runs import prepare

    return prepare.parts_of(RunFolder(Path(path)))


@st.cache_resource(max_entries=2, show_spinner="Probing values on training rows")
def _probes(path: str, changed: int) -> Mapping[str, Probe]:
    from fgdesign.insight.values import probes

    run = RunFolder(Path(path))
    try:
        return probes(models.trained(run), part_data(run, "train"))
    except FgdesignError:
        return {}


@st.cache_resource(max_entries=8, show_spinner=False)
def _kept(path: str, part: str, file: str, changed: int) -> AnsweredSet | None:
    from fgdesign.insight.answered_set import load_answered

    folder = RunFolder(Path(path))
    return load_answered(Path(file), part_data(folder, part))
