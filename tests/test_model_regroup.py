"""Regrouped rows get the answers, routes and layers that they get alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
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
from fgdesign.model.steps import HeadCall
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


@pytest.mark.parametrize("build", GRAPHS, ids=lambda build: build.__name__)
def test_passing_over_steps_that_no_row_reaches_changes_nothing(build: Callable[[], Sketch], tmp_path: Path) -> None:
    network = toy_network(on_tiny(build(), tiny_folder(tmp_path)))
    inputs = toy_inputs(network, toy_texts(ROWS, seed=5))
    spread_routers(network, inputs)
    halve_exits(network, inputs)
    for row in range(ROWS):
        batch = inputs.batch(np.array([row]), CPU)
        with torch.inference_mode():
            plain, every = network(batch), network(batch, timed=True)
        assert plain.flows.keys() == every.flows.keys() and plain.record.exits.keys() == every.record.exits.keys()
        assert plain.record.branches.keys() == every.record.branches.keys()
        for port, flow in plain.flows.items():
            torch.testing.assert_close(flow.value, every.flows[port].value)


def test_steps_behind_an_exit_that_all_rows_leave_by_are_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = toy_network(on_tiny(exits_in_a_row(), tiny_folder(tmp_path)))
    network.module_of("leave_1").threshold.fill_(-1.0)
    begun: list[str] = []
    plain = HeadCall.run
    monkeypatch.setattr(HeadCall, "run", lambda step, state: begun.append(step.node) or plain(step, state))
    answer_rows(network, toy_inputs(network, toy_texts(4, seed=5)), CPU)
    assert begun == ["head_1"]
