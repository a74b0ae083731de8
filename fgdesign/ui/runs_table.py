"""The runs of the workspace in one table; a click on a row looks at that run. Knows nothing of training."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from fgdesign.errors import FgdesignError
from fgdesign.runs.compare import judged
from fgdesign.runs.folder import RunFolder
from fgdesign.ui import library, state
from fgdesign.ui.standing import standing
from fgdesign.views.figures import metric_name

MOST = 50
SHOWN = {
    "score": st.column_config.NumberColumn("score", format="%.3f"),
    "layers": st.column_config.NumberColumn("layers per text", format="%.2f"),
}


def rows(runs: Sequence[RunFolder]) -> pd.DataFrame:
    """One row for each run: name, state, graph, data, score with its metric, layers per text, start."""
    found = []
    for run in runs[:MOST]:
        try:
            config, report, status = run.config(), run.report() or {}, run.status()
            metric = judged(run)[0]
            part = report.get("test") or report.get("valid") or {}
            found.append(
                {
                    "run": run.name,
                    "state": standing(run, status).marked,
                    "graph": _graph_name(run),
                    "data": data_name(config),
                    "score": part.get(metric),
                    "of": metric_name(metric) if part else "",
                    "layers": report.get("mean_layers"),
                    "started": _when(status["started"]),
                }
            )
        except FgdesignError:
            continue
    return pd.DataFrame(found, columns=["run", "state", "graph", "data", "score", "of", "layers", "started"])


def _graph_name(run: RunFolder) -> str:
    """What its graph is called; a run whose graph file is gone stays in the table, to be deleted."""
    try:
        return run.graph().name
    except FgdesignError:
        return "cannot be read"


def _when(seconds: float) -> str:
    """A moment; nothing for what has not happened yet."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) if seconds else ""


def data_name(config: dict[str, object]) -> str:
    """What a person calls the data of a run; of a file elsewhere its folder too, for many are called train.csv."""
    data = config.get("data")
    path = str(data.get("train", "")) if isinstance(data, dict) else ""
    known = next((file.title for file in (*library.samples(), *library.uploads()) if str(file.path) == path), "")
    return known or "/".join(Path(path).parts[-2:]) or str(config.get("name", ""))


def show(runs: Sequence[RunFolder], *, key: str = "runs") -> None:
    """The table; a selected row becomes the run that is looked at."""
    frame = rows(runs)
    if frame.empty:
        st.text("No run yet.")
        return

    def look() -> None:
        chosen = st.session_state[key]["selection"]["rows"]
        if chosen:
            state.set_run(str(frame["run"].iloc[chosen[0]]))

    st.dataframe(frame, hide_index=True, key=key, on_select=look, selection_mode="single-row", column_config=SHOWN,
                 placeholder="")
