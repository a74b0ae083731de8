"""Values at nodes, what moved a choice, rows that went alike: against the graph run by hand and planted routes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from model_graphs import exits_in_a_row, nested_routers
from model_toys import CPU, tiny_folder
from test_insight_answered import LABELS, rows, toy
from test_insight_flows import planted

from fgdesign.errors import DataError, GraphError
from fgdesign.graph import load_graph
from fgdesign.insight.alike import route_clusters, same_route, usage
from fgdesign.insight.answered_set import answered, inputs_of
from fgdesign.insight.intervene import Change, steer_of
from fgdesign.insight.movers import upstream
from fgdesign.insight.tracing import difference, trace
from fgdesign.insight.values import Probe, node_values, probes
from fgdesign.model.device import fast_dtype, precision
from fgdesign.views.canvas import canvas_data
from fgdesign.views.canvas_overlay import with_replay, with_usage


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("tiny"))


def test_length_and_change_are_those_of_the_values(folder: Path) -> None:
    model, data = toy(folder, exits_in_a_row), rows()
    inputs = inputs_of(model, data)
    table = node_values(model, inputs, 3).set_index("node")
    with torch.inference_mode(), precision(CPU, fast_dtype(CPU)):
        flows = model.network(inputs.batch(np.array([3]), CPU), wanted=("embeddings.out", "layer_1.out")).flows
    before, after = (flows[f"{node}.out"].value[0].float() for node in ("embeddings", "layer_1"))
    assert table.loc["layer_1", "norm"] == pytest.approx(float(after.norm(dim=-1).mean()), rel=1e-4)
    moved = ((after - before).norm(dim=-1) / before.norm(dim=-1)).mean()
    assert table.loc["layer_1", "change"] == pytest.approx(float(moved), rel=1e-4)
    assert np.isnan(table.loc["pool_1", "change"]), "a vector cannot be compared with a sequence"
    told, _ = trace(model.network, inputs, 3, CPU)
    called = {node["id"] for node in told["nodes"] if node["state"] == "called"}
    assert set(table.index) <= called and "text" not in table.index


def test_a_probe_names_the_class_that_was_planted() -> None:
    rng = np.random.default_rng(0)
    means = np.array([[4.0, 0, 0], [0, 4.0, 0]])
    from fgdesign.insight.values import _probe

    targets = rng.integers(0, 2, 200)
    values = means[targets] + rng.normal(size=(200, 3))
    probe = _probe(values, targets, np.arange(200) % 2 == 0)
    assert probe.accuracy is not None and probe.accuracy > 0.95
    assert probe.nearest(means).tolist() == [0, 1]
    assert Probe(None, np.arange(2), np.zeros(1), np.ones(1), None).nearest(np.array([[0.1, 3.0]])).tolist() == [1]


def test_probes_are_made_for_every_node_that_is_reached(folder: Path) -> None:
    model, data = toy(folder, exits_in_a_row), rows(count=60)
    made = probes(model, data)
    assert {"embeddings", "layer_1", "layer_3", "pool_3", "opinion_1"} <= set(made)
    table = node_values(model, inputs_of(model, data), 0, made)
    assert set(table["nearest"]) <= set(LABELS) and table["probe"].between(0, 1).all()
    with pytest.raises(DataError, match="one label each"):
        probes(model, replace(data, targets=None))


def test_what_moved_a_gate_is_what_it_is_without_the_node(folder: Path) -> None:
    model, data = toy(folder, nested_routers), rows()
    inputs = inputs_of(model, data)
    table = upstream(model, inputs, "outer", 2).set_index("node")
    assert "layer_1" in table.index
    batch = inputs.batch(np.array([2]), CPU)
    steered = replace(batch, steer=steer_of(model.network, Change(bypass=frozenset({"layer_1"}))))
    with torch.inference_mode(), precision(CPU, fast_dtype(CPU)):
        first, without = (model.network(some).record.choices["outer"][1].probabilities[0].float()
                          for some in (batch, steered))
    best = int(first.argmax())
    assert table.loc["layer_1", "before"] == pytest.approx(float(first[best]), abs=1e-5)
    assert table.loc["layer_1", "moved"] == pytest.approx(float(first[best] - without[best]), abs=1e-5)
    assert table.loc["layer_1", "flips"] == (int(without.argmax()) != best)
    with pytest.raises(GraphError, match=r"no learned router or exit 'pool'.*outer"):
        upstream(model, inputs, "pool", 2)
    elsewhere = int(np.flatnonzero(answered(model, data).branch["inner"] == "")[0])
    with pytest.raises(GraphError, match="did not come to 'inner'"):
        upstream(model, inputs, "inner", elsewhere)


def test_what_moved_an_exit_is_how_sure_it_was(folder: Path) -> None:
    model, data = toy(folder, exits_in_a_row), rows()
    table = upstream(model, inputs_of(model, data), "leave_1", 0)
    assert table["node"].tolist() == ["layer_1"] and table["before"].between(0, 1).all()


def test_alike_routes_fall_together_and_far_ones_do_not() -> None:
    made = planted()
    calls = np.zeros((len(made), 12), bool)
    calls[:, 0] = True  # every row calls it, so it tells nothing
    calls[:40, 1:6], calls[40:, 6:12] = True, True
    calls[:20, 5] = False  # one function less: nearly the same route
    made = replace(made, called=calls, nodes=tuple(f"n{i}" for i in range(12)))
    table, group = route_clusters(made)
    assert len(table) == 2 and table["rows"].tolist() == [40, 40] and table["cluster"].tolist() == [1, 2]
    assert len(set(group[:40])) == len(set(group[40:])) == 1 and group[0] != group[-1]
    assert len(route_clusters(made, within=0.1)[0]) == 3
    counted = usage(made).set_index("node")
    assert counted.loc["n0", "share"] == 1 and counted.loc["n5", "rows"] == 20


@pytest.mark.parametrize("sketch", [exits_in_a_row, nested_routers])
def test_the_nearest_row_of_the_same_route_is_the_row_itself(folder: Path, sketch: object) -> None:
    model, data = toy(folder, sketch), rows(count=60)
    found, inputs = answered(model, data), inputs_of(model, data)
    for row in (0, 7, 20):
        called = [node for node, is_called in zip(found.nodes, found.called[row], strict=True) if is_called]
        table, what = same_route(model, found, called, inputs, row)
        assert table["place"].iloc[0] == row and table["likeness"].iloc[0] == pytest.approx(1, abs=1e-2)
        assert (found.called[table["place"]] == found.called[row]).all() and what
        assert table["likeness"].is_monotonic_decreasing
    none, _ = same_route(model, found, ["text"], inputs, 0)
    assert none.empty


def test_two_routes_differ_where_they_were_seen_to(folder: Path) -> None:
    model, data = toy(folder, nested_routers), rows()
    found, inputs = answered(model, data), inputs_of(model, data)
    outer = found.branch["outer"]
    one, other = (int(np.flatnonzero(outer == branch)[0]) for branch in ("branch_1", "branch_2"))
    first, second = (trace(model.network, inputs, row, CPU)[0] for row in (one, other))
    told = difference(first, second)
    assert told["routers"]["outer"] == (["branch_1"], ["branch_2"])
    assert "inner" in told["only_first"] and "outer_expert_2" in told["only_second"]
    assert difference(first, first) == {"only_first": [], "only_second": [], "routers": {}, "layers": 0}


def test_overlays_lie_on_the_drawn_graph(folder: Path) -> None:
    graph = load_graph("routed-experts")
    data = with_usage(canvas_data(graph), {"expert_1": 0.25}, {"router.branch_1": 0.25})
    cards = {node["id"]: node for node in data["nodes"]}
    assert (cards["expert_1"]["usage"], cards["pool"]["usage"]) == (0.25, 0.0)
    wires = {edge["start"]: edge for edge in data["edges"]}
    assert wires["router.branch_1"]["tag"].startswith("25") and "tag" not in wires["expert_1.out"]
    model, inputs = toy(folder, nested_routers), inputs_of(toy(folder, nested_routers), rows())
    told, _ = trace(model.network, inputs, 0, CPU)
    values = node_values(model, inputs, 0).set_index("node")
    layer = next(node for node in told["nodes"] if node["id"] == "layer_1")
    assert layer["norm"] == pytest.approx(values.loc["layer_1", "norm"])
    replay = with_replay(canvas_data(model.network.plan.graph), told, step=99, nearest={"pool": "oak"})["replay"]
    assert replay["step"] == len(replay["order"]) == len(replay["notes"])
    assert replay["order"][0] == "text" and "chose branch" in " ".join(replay["notes"])
    assert "nearest to oak" in next(note for note in replay["notes"] if note.startswith("pool"))
    assert "moved by" in next(note for note in replay["notes"] if note.startswith("layer_1"))
