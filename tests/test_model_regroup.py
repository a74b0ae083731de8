"""Regrouped rows get the answers, routes and layers that they get alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from model_graphs import (
    confidence_decides,
    exit_inside_a_branch,
    exit_on_tokens,
    exit_with_logits_of_a_branch_only,
    exits_in_a_row,
)
from model_toys import CPU, halve_exits, on_tiny, spread_routers, tiny_folder, toy_inputs, toy_network, toy_texts

from fgdesign.graph.starters import Sketch
from fgdesign.model import regroup
from fgdesign.training.evaluate import answer_rows

ROWS = 40
GRAPHS = (exits_in_a_row, exit_on_tokens, exit_inside_a_branch, exit_with_logits_of_a_branch_only, confidence_decides)


@pytest.mark.parametrize("few", [8, 60, 10_000])
@pytest.mark.parametrize("build", GRAPHS, ids=lambda build: build.__name__)
def test_rows_that_wait_for_others_are_answered_as_alone(
    build: Callable[[], Sketch], few: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = toy_network(on_tiny(build(), tiny_folder(tmp_path)))
    inputs = toy_inputs(network, toy_texts(ROWS, seed=5))
    spread_routers(network, inputs)
    halve_exits(network, inputs)
    whole = answer_rows(network, inputs, CPU, batch_rows=ROWS)
    joined = []
    plain = regroup.Regrouping._gathered
    monkeypatch.setattr(regroup, "FEW", few)
    monkeypatch.setattr(regroup.Regrouping, "_gathered",
                        lambda self, at: joined.append(len(self.waiting[at])) or plain(self, at))
    parts = answer_rows(network, inputs, CPU, batch_rows=4)
    np.testing.assert_allclose(parts.outputs, whole.outputs, atol=1e-5)
    np.testing.assert_array_equal(parts.exits, whole.exits)
    np.testing.assert_array_equal(parts.layers, whole.layers)
    for router, called in whole.called.items():
        np.testing.assert_array_equal(parts.called[router], called)
    if few > 8 and network.nodes_of_role("exit"):
        assert max(joined) > 1, "no rows of several batches were ever joined"
