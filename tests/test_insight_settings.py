"""Other thresholds and other numbers of branches, looked up, answer as the graph itself does under them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_graphs import exit_inside_a_branch, exits_in_a_row, nested_routers
from model_toys import tiny_folder
from test_insight_answered import rows, toy

from fgdesign.errors import DataError
from fgdesign.insight import settings
from fgdesign.insight.answered_set import answered, inputs_of
from fgdesign.insight.intervene import Change, answers


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize("sketch", [exits_in_a_row, exit_inside_a_branch, nested_routers])
def test_looked_up_answers_are_those_of_the_graph(folder: Path, sketch: Any, tmp_path: Path) -> None:
    model, data = toy(folder, sketch), rows()
    base = answered(model, data)
    told: list[tuple[int, int]] = []
    kept = settings.opinions(model, base, lambda done, whole: told.append((done, whole)))
    assert told[-1][0] == told[-1][1]
    kept.save(tmp_path / "kept.npz")
    again = settings.load_opinions(tmp_path / "kept.npz", base)
    assert again is not None and again.counts == kept.counts
    tried: list[tuple[dict[str, float], int]] = [({}, 0), *(({}, count) for count in kept.counts)]
    if kept.exits:
        middle = float(np.median(kept.sure[0][kept.sure[0] >= 0])) + 1e-4
        tried += [({kept.exits[0]: 0.0}, 0), ({kept.exits[-1]: middle}, 0), (dict.fromkeys(kept.exits, 2.0), 0)]
    inputs = inputs_of(model, data)
    for thresholds, count in tried:
        top_k = dict.fromkeys(settings._learned(model.network), count) if count else {}
        top_k = {node: min(value, len(base.answers.branches[node])) for node, value in top_k.items()}
        real = answers(model, inputs, Change(thresholds=thresholds, top_k=top_k))
        found = again.at(model.network, thresholds, count)
        np.testing.assert_allclose(found.outputs, real.outputs, atol=2e-2)
        assert (found.answers.exits == real.exits).mean() > 0.96
        assert (found.layers == real.layers).mean() > 0.96
        for router, called in real.called.items():
            assert (found.answers.called[router] == called).mean() > 0.96
    assert settings.load_opinions(tmp_path / "kept.npz", base.at(np.arange(5))) is None
    assert settings.load_opinions(tmp_path / "none.npz", base) is None


def test_a_curve_goes_from_cheap_to_dear(folder: Path) -> None:
    model = toy(folder, exits_in_a_row)
    kept = settings.opinions(model, answered(model, rows()))
    table = settings.curve(model, kept)
    moved = table[table["threshold"].notna()].sort_values("threshold")
    assert (np.diff(moved["compute"]) >= 0).all() and moved["share"].max() == 1
    assert moved["layers"].iloc[0] < moved["layers"].iloc[-1]
    now = settings.point(model, kept.answered)
    assert table.iloc[0][["score", "layers"]].tolist() == pytest.approx([now["score"], now["layers"]], abs=0.05)
    with pytest.raises(DataError, match="no exit 'nope'"):
        kept.at(model.network, {"nope": 1.0})
