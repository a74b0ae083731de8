"""Interventions: a forced branch is the graph rebuilt without the others; badges state planted facts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from model_graphs import exits_in_a_row, experts
from model_toys import CPU, halve_exits, on_tiny, spread_routers, tiny_folder, toy_inputs, toy_network, toy_texts

from fgdesign.errors import GraphError
from fgdesign.graph.starters import Sketch
from fgdesign.insight.intervene import Change, OneText, answers, branches_of, bypassable, out_of_reach, steer_of
from fgdesign.model.blocks.functions import Expert
from fgdesign.model.blocks.routers import Router
from fgdesign.model.device import fast_dtype, precision
from fgdesign.model.inputs import Inputs
from fgdesign.model.network import FunctionGraph

ROWS = 24


def routed(branches: int = 3, k: int = 1) -> Sketch:
    """A pool routed over experts, the last branch the identity."""
    s = Sketch()
    pool = s.add("pool", "pool", s.layers(s.text(max_length=24), 1, 2))
    s.add("router", "router", pool, branches=branches, k=k)
    s.add("merge", "merge", *experts(s, "router", branches - 1), f"router.branch_{branches}")
    s.add("head", "classifier", "merge.out", dropout=0.0)
    return s


def only_one(branch: int) -> Sketch:
    """The same graph with that expert alone, or without any for the identity."""
    s = Sketch()
    source = s.add("pool", "pool", s.layers(s.text(max_length=24), 1, 2))
    if branch < 3:
        source = s.add(f"router_expert_{branch}", "ffn", source, hidden=8)
    s.add("head", "classifier", source, dropout=0.0)
    return s


def made(sketch: Sketch, folder: Path) -> tuple[SimpleNamespace, Inputs]:
    network = toy_network(on_tiny(sketch, folder))
    inputs = toy_inputs(network, toy_texts(ROWS, seed=5))
    spread_routers(network, inputs)
    halve_exits(network, inputs)
    return model_of(network), inputs


def model_of(network: FunctionGraph) -> SimpleNamespace:
    return SimpleNamespace(network=network, device=CPU, labels=["a", "b", "c"], task="single")


@pytest.mark.parametrize("branch", [1, 2, 3])
def test_forcing_a_branch_is_the_graph_rebuilt_without_the_others(branch: int, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path)
    model, inputs = made(routed(), folder)
    rebuilt = toy_network(on_tiny(only_one(branch), folder))
    rebuilt.load_state_dict({name: value for name, value in model.network.state_dict().items()
                             if name in rebuilt.state_dict()})
    expected = answers(model_of(rebuilt), toy_inputs(rebuilt, inputs.texts))
    forced = answers(model, inputs, Change(force={"router": f"branch_{branch}"}), batch_rows=5)
    np.testing.assert_allclose(forced.outputs, expected.outputs, atol=1e-6)
    assert forced.called["router"].argmax(1).tolist() == [branch - 1] * ROWS
    assert not np.allclose(forced.outputs, answers(model, inputs).outputs, atol=1e-3)


@pytest.mark.parametrize(("place", "branch"), [(0, "answer"), (0, "next"), (-1, "next")])
def test_an_exit_can_be_forced_to_answer_and_to_go_on(place: int, branch: str,
                                                      tmp_path: Path) -> None:
    model, inputs = made(exits_in_a_row(), tiny_folder(tmp_path))
    node = model.network.nodes_of_role("exit")[place]
    plain, forced = answers(model, inputs), answers(model, inputs, Change(force={node: branch}), batch_rows=5)
    at = plain.exit_names.index(node)
    assert (plain.exits == at).any(), "the exit must matter"
    if branch == "answer":
        assert set(forced.exits.tolist()) == {at}
    else:
        assert at not in forced.exits.tolist()
        np.testing.assert_allclose(forced.outputs[plain.exits != at], plain.outputs[plain.exits != at], atol=1e-5)


def test_a_node_passed_by_is_its_input(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path)
    model, inputs = made(routed(), folder)
    assert bypassable(model.network) == ["layer_1", "layer_2", "router_expert_1", "router_expert_2"]
    passed = answers(model, inputs, Change(bypass=frozenset({"router_expert_1", "router_expert_2"}),
                                           force={"router": "branch_1"}))
    identity = answers(model, inputs, Change(force={"router": "branch_3"}))
    np.testing.assert_allclose(passed.outputs, identity.outputs, atol=1e-6)


def test_known_values_change_no_answer_under_a_change(tmp_path: Path) -> None:
    model, inputs = made(routed(), tiny_folder(tmp_path))
    batch = inputs.batch(np.arange(ROWS), CPU)
    with torch.inference_mode(), precision(CPU, fast_dtype(CPU)):
        value = model.network(batch, wanted=("pool.out",)).flows["pool.out"].value.clone()
    from fgdesign.model.inputs import Vectors

    known = replace(inputs, static={"pool.out": Vectors(value)})
    for change in (Change(), Change(force={"router": "branch_1"}), Change(bypass=frozenset({"layer_1"}))):
        np.testing.assert_allclose(answers(model, known, change).outputs, answers(model, inputs, change).outputs,
                                   atol=1e-6)
    steer = steer_of(model.network, Change(bypass=frozenset({"layer_2"})))
    assert steer is not None
    assert "layer_1.out" in out_of_reach(model.network, steer)
    assert "pool.out" not in out_of_reach(model.network, steer)


def test_random_routing_depends_on_the_row_and_the_seed_alone(tmp_path: Path) -> None:
    model, inputs = made(routed(), tiny_folder(tmp_path))
    one, same, other = (answers(model, inputs, Change(routing={"router": "random"}, seed=seed), batch_rows=rows)
                        for seed, rows in ((1, 3), (1, 24), (2, 24)))
    np.testing.assert_array_equal(one.called["router"], same.called["router"])
    assert (one.called["router"] != other.called["router"]).any()
    assert set(one.called["router"].argmax(1)) == {0, 1, 2}
    uniform = answers(model, inputs, Change(routing={"router": "uniform"}))
    assert uniform.called["router"].all()
    two = answers(model, inputs, Change(top_k={"router": 2}))
    assert (two.called["router"].sum(1) == 2).all()


@pytest.mark.parametrize(("change", "says"), [
    (Change(force={"router": "branch_9"}), "no branch of 'router' 'branch_9'.*branch_1"),
    (Change(force={"pool": "branch_1"}), "no router or exit 'pool'.*router"),
    (Change(bypass=frozenset({"head"})), "no node that can be passed by 'head'.*layer_1"),
    (Change(thresholds={"router": 0.5}), "no exit 'router'"),
    (Change(routing={"router": "best"}), "no routing of 'router' 'best'.*random"),
    (Change(force={"router": "branch_1"}, gates="two"), "no weight of a forced branch 'two'.*kept"),
])
def test_what_a_graph_cannot_do_is_refused_with_the_choices(change: Change, says: str, tmp_path: Path) -> None:
    model, inputs = made(routed(), tiny_folder(tmp_path))
    with pytest.raises(GraphError, match=says):
        answers(model, inputs, change)


def planted(model: SimpleNamespace, *, useless: bool) -> None:
    """Expert 1 always says class a and expert 2 class b; useless: both say a. The head reads three numbers."""
    network = model.network
    with torch.no_grad():
        for number in (1, 2):
            expert = network.module_of(f"router_expert_{number}")
            assert isinstance(expert, Expert)
            expert.outer.weight.zero_()
            expert.outer.bias.zero_()
            expert.outer.bias[0 if useless else number - 1] = 50.0
        head = network.module_of("head")
        head.norm = torch.nn.Identity()
        head.out.weight.zero_()
        head.out.weight[0, 0], head.out.weight[1, 1] = 1.0, 1.0
        head.out.bias.zero_()
        router = network.module_of("router")
        assert isinstance(router, Router)
        router.scorer.bias[2] = -100.0  # the identity is never chosen


@pytest.mark.parametrize("useless", [False, True])
def test_badges_state_what_was_planted(useless: bool, tmp_path: Path) -> None:
    model, inputs = made(routed(), tiny_folder(tmp_path))
    planted(model, useless=useless)
    routes = answers(model, inputs).called["router"].argmax(1)
    assert set(routes) == {0, 1}
    for row in range(6):
        badge = OneText(model, inputs, row).badges()["router"]
        told = {a.branch: a for a in badge.alternatives}
        assert told[f"branch_{routes[row] + 1}"].taken
        two_experts = (told["branch_1"].verdict.prediction, told["branch_2"].verdict.prediction)
        assert two_experts == (("a", "a") if useless else ("a", "b"))
        assert told[f"branch_{2 - routes[row]}"].flips is not useless
        if not useless:
            assert badge.decisive and "would have answered" in badge.why


def test_one_text_is_what_a_whole_run_says(tmp_path: Path) -> None:
    model, inputs = made(exits_in_a_row(), tiny_folder(tmp_path))
    whole = answers(model, inputs)
    for row in range(6):
        one = OneText(model, inputs, row)
        np.testing.assert_allclose(one.first.outputs, whole.outputs[row], atol=1e-5)
        for node, badge in one.badges().items():
            for told in badge.alternatives:
                full = answers(model, inputs, Change(force={node: told.branch}, gates="kept"))
                np.testing.assert_allclose(told.verdict.outputs, full.outputs[row], atol=1e-5)
        depths = one.depths()
        assert [depth.node for depth in depths] == list(whole.exit_names)
        if whole.exits[row] >= 0:
            np.testing.assert_allclose(depths[whole.exits[row]].verdict.outputs, whole.outputs[row], atol=1e-5)
    assert branches_of(model.network, whole.exit_names[0]) == ("answer", "next")
