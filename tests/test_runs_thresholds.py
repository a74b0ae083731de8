"""Exit thresholds of a run on disk: changed, refused, put back; and what reads the model sees them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from made_up_rows import write_rows

import fgdesign as fg
from fgdesign.errors import RunError
from fgdesign.graph.spec import Graph
from fgdesign.runs.folder import RunFolder
from fgdesign.runs.thresholds import parse, reset_thresholds, set_thresholds, thresholds, trained_thresholds


def test_thresholds_are_changed_and_put_back(tmp_path: Path, tiny_graph: Callable[[str], Graph]) -> None:
    graph, file = tiny_graph("cheap-word-first"), write_rows(tmp_path / "rows.csv", 60)
    run = fg.train(graph, file, out=tmp_path / "run", epochs=0, warm_epochs=1).folder
    before = thresholds(run)
    exits = list(before)
    assert exits[0].startswith("exit_") and trained_thresholds(run) is None
    text = "where is my parcel"
    assert set_thresholds(run, {exits[1]: 0.0, exits[0]: 2.0})[exits[1]] == 0.0
    assert fg.load_run(str(run.path)).trace(text)["exit"] == exits[1]
    set_thresholds(run, dict.fromkeys(exits, 2.0))
    assert fg.load_run(str(run.path)).trace(text)["exit"] is None
    assert trained_thresholds(run) == before
    assert reset_thresholds(run) == before == thresholds(run) and trained_thresholds(run) is None
    assert reset_thresholds(run) == before
    with pytest.raises(RunError, match=r"no exit 'door'.*exit_"):
        set_thresholds(run, {"door": 0.5})
    with pytest.raises(RunError, match="from 0 to 2"):
        set_thresholds(run, {exits[0]: -1})
    assert thresholds(run) == before
    with pytest.raises(RunError, match="cannot be read"):
        thresholds(RunFolder(tmp_path))



def test_words_are_read_as_thresholds() -> None:
    assert parse(["exit_2=0.8", "b=2"]) == {"exit_2": 0.8, "b": 2.0}
    with pytest.raises(RunError, match="'exit_2' is no threshold"):
        parse(["exit_2"])
