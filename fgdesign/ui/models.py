"""Trained models kept in memory while the app runs, and texts to try on them.

The only place of the app that needs torch. Knows nothing of pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.graph import Graph, placed
from fgdesign.runs.folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

    from fgdesign.insight.attribute import Attribution
    from fgdesign.insight.intervene import Change, OneText
    from fgdesign.insight.values import Probe
    from fgdesign.runs.trained import TrainedRun

MOST_TRIED = 64  # texts of a data set that are answered to find telling ones
EACH = 3  # of them are shown for each depth


def trained(run: RunFolder) -> TrainedRun:
    """The model of a run, loaded once for every state of it. Raises RunError where there is none yet."""
    weights = run.model / "config.json"
    return _trained(str(run.path), weights.stat().st_mtime_ns if weights.exists() else 0)


def drawn(run: RunFolder) -> Graph:
    """The graph of a run with a place for every node, laid out once. Raises RunError where there is no model yet."""
    model = trained(run)
    return _drawn(str(run.path), (run.model / "config.json").stat().st_mtime_ns, model)


def one_text(run: RunFolder, text: str, text_b: str | None, columns: dict[str, str]) -> OneText:
    """One text of a run under changes, made once for as long as it is looked at. Raises DataError."""
    return _one_text(str(run.path), (run.model / "config.json").stat().st_mtime_ns, text, text_b, columns)


def values_of(run: RunFolder, asked: Mapping[str, Any], change: Change | None = None,
              probes: Mapping[str, Probe] | None = None) -> pd.DataFrame:
    """Length, change and nearest class of the value at each node that a text called. Raises DataError."""
    from fgdesign.insight.intervene import steer_of
    from fgdesign.insight.values import node_values

    model = trained(run)
    inputs = replace(model.one(**asked), steer=None if change is None else steer_of(model.network, change))
    return node_values(model, inputs, 0, probes)


def words_of(run: RunFolder, asked: Mapping[str, Any], gate: tuple[str, str] | None) -> Attribution:
    """Which words moved the answer, or the gate of a branch (router, branch). Raises GraphError."""
    return _words_of(str(run.path), (run.model / "config.json").stat().st_mtime_ns, dict(asked), gate)


def examples(run: RunFolder) -> list[dict[str, Any]]:
    """Texts of the run's own data, the ones answered at the least depth first: text, text_b, columns, layers, answer.

    Empty where the data file is gone.
    """
    weights = run.model / "config.json"
    return _examples(str(run.path), weights.stat().st_mtime_ns if weights.exists() else 0)


@st.cache_resource(max_entries=2, show_spinner="Loading the model")
def _trained(path: str, changed: int) -> TrainedRun:
    from fgdesign.api import load_run

    return load_run(path, device="cpu")


@st.cache_resource(max_entries=2, show_spinner=False)
def _drawn(path: str, changed: int, _model: TrainedRun) -> Graph:
    return placed(_model.graph)


@st.cache_resource(max_entries=16, show_spinner=False)
def _one_text(path: str, changed: int, text: str, text_b: str | None, columns: dict[str, str]) -> OneText:
    from fgdesign.insight.intervene import OneText

    model = _trained(path, changed)
    return OneText(model, model.one(text, text_b, columns))


@st.cache_resource(max_entries=64, show_spinner="Looking at the words")
def _words_of(path: str, changed: int, asked: dict[str, Any], gate: tuple[str, str] | None) -> Attribution:
    from fgdesign.insight.attribute import of_answer, of_gate

    model = _trained(path, changed)
    inputs = model.one(**asked)
    return of_answer(model, inputs) if gate is None else of_gate(model, inputs, *gate)


@st.cache_resource(max_entries=4, show_spinner="Looking for telling texts")
def _examples(path: str, changed: int) -> list[dict[str, Any]]:
    model = _trained(path, changed)
    try:
        data = model.load(model.folder.config()["data"]["train"])
    except (FgdesignError, KeyError):
        return []
    step = max(1, len(data) // MOST_TRIED)
    some = data.subset(list(range(0, len(data), step))[:MOST_TRIED])
    answers = model.rows(model.answer(some))
    found: dict[int, list[dict[str, Any]]] = {}
    for place, answer in enumerate(answers):
        same = found.setdefault(answer["layers"], [])
        if len(same) < EACH:
            columns = {str(name): str(cell) for name, cell in some.frame.iloc[place].items()}
            second = None if some.texts_b is None else some.texts_b[place]
            same.append({"text": some.texts[place], "text_b": second, "columns": columns, **answer})
    return [example for depth in sorted(found) for example in found[depth]]
