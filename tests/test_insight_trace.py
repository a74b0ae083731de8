"""What a trace says of graphs whose choices were planted by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_toys import CPU, on_tiny, tiny_folder, toy_inputs, toy_network
from torch import nn

from fgdesign.graph.starters import Sketch
from fgdesign.insight.tracing import trace
from fgdesign.model.blocks.routers import Router
from fgdesign.model.choosing import Exit
from fgdesign.model.device import fast_dtype, precision
from fgdesign.model.network import FunctionGraph

TEXT = "amber boat candle"
NEAR = 1e-2  # of a probability, where the machine multiplies in bfloat16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("tiny"))


def plant(network: FunctionGraph, node: str, probabilities: list[float]) -> None:
    """Make a router choose with these probabilities whatever it reads."""
    router = network.module_of(node)
    assert isinstance(router, Router) and isinstance(router.scorer, nn.Linear)
    with torch.no_grad():
        router.scorer.weight.zero_()
        router.scorer.bias.copy_(torch.tensor(probabilities).log() * router.temperature)


def threshold(network: FunctionGraph, node: str, value: float) -> None:
    module = network.module_of(node)
    assert isinstance(module, Exit)
    module.threshold.fill_(value)


def told(network: FunctionGraph, text: str = TEXT, columns: dict[str, list[str]] | None = None) -> dict[str, Any]:
    result, logits = trace(network, toy_inputs(network, [text], None, columns), 0, CPU)
    batch = toy_inputs(network, [text], None, columns).batch(np.array([0]), CPU)
    with torch.inference_mode(), precision(CPU, fast_dtype(CPU)):
        torch.testing.assert_close(logits, network.logits(network(batch), 1).float())
    return result


def states(result: dict[str, Any]) -> dict[str, str]:
    return {node["id"]: node["state"] for node in result["nodes"]}


def edge_states(result: dict[str, Any]) -> dict[str, str]:
    return {f"{edge['source']} {edge['target']}": edge["state"] for edge in result["edges"]}


def routed(folder: Path, k: int = 1) -> FunctionGraph:
    """Three experts, one with a router of its own."""
    s = Sketch()
    s.add("router", "router", s.add("pool", "pool", s.layers(s.text(max_length=20), 1, 2)), branches=3, k=k)
    experts = [s.add(f"expert_{i}", "ffn", f"router.branch_{i}", hidden=8) for i in (1, 2)]
    s.add("inner", "router", "router.branch_3", branches=2)
    deep = s.add("deep", "merge", s.add("deep_1", "ffn", "inner.branch_1", hidden=8), "inner.branch_2")
    s.add("head", "classifier", s.add("merge", "merge", *experts, deep))
    return toy_network(on_tiny(s, folder))


def test_nodes_of_branches_not_taken_are_skipped(folder: Path) -> None:
    network = routed(folder)
    plant(network, "router", [0.2, 0.7, 0.1])
    result = told(network)
    called = {"text", "embeddings", "layer_1", "layer_2", "pool", "router", "expert_2", "merge", "head"}
    assert states(result) == {node: "called" if node in called else "skipped" for node in network.plan.found.order}
    assert result["routers"]["router"]["scores"] == pytest.approx(
        {"branch_1": 0.2, "branch_2": 0.7, "branch_3": 0.1}, rel=NEAR)
    assert result["routers"]["router"]["chosen"] == ["branch_2"]
    assert set(result["routers"]) == {"router"}
    edges = edge_states(result)
    assert edges["router.branch_2 expert_2.in"] == edges["expert_2.out merge.in"] == "called"
    assert edges["router.branch_1 expert_1.in"] == edges["deep.out merge.in"] == "skipped"
    assert (result["layers"], result["exit"]) == (2, None)


def test_gates_multiply_down_nested_routers(folder: Path) -> None:
    network = routed(folder)
    plant(network, "router", [0.2, 0.2, 0.6])
    plant(network, "inner", [0.75, 0.25])
    result = told(network)
    gates = {node["id"]: node["gate"] for node in result["nodes"]}
    assert gates["pool"] is gates["head"] is gates["merge"] is gates["router"] is gates["expert_1"] is None
    assert gates["inner"] == gates["deep"] == pytest.approx(0.6, rel=NEAR)
    assert gates["deep_1"] == pytest.approx(0.45, rel=NEAR)
    shown = {f"{edge['source']} {edge['target']}": edge["gate"] for edge in result["edges"]}
    assert shown["router.branch_3 inner.in"] == pytest.approx(0.6, rel=NEAR)
    assert shown["router.branch_1 expert_1.in"] is None


def test_a_function_called_with_next_to_no_weight_is_idle(folder: Path) -> None:
    network = routed(folder, k=2)
    plant(network, "router", [0.97, 0.02, 0.01])
    result = told(network)
    found = states(result)
    assert (found["expert_1"], found["expert_2"], found["inner"]) == ("called", "idle", "skipped")
    idle = next(node for node in result["nodes"] if node["id"] == "expert_2")
    assert idle["gate"] == pytest.approx(0.02 / 0.99, rel=NEAR) and idle["share"] > 0


@pytest.mark.parametrize("branches", [[0.2, 0.7, 0.1], [0.1, 0.2, 0.7]])
def test_shares_are_those_of_the_catalogues_cost_and_sum_to_one(branches: list[float], folder: Path) -> None:
    network = routed(folder)
    plant(network, "router", branches)
    result = told(network)
    assert sum(node["share"] for node in result["nodes"]) == pytest.approx(1.0)
    assert all(node["share"] == node["ms"] == 0 for node in result["nodes"] if node["state"] == "skipped")
    assert all(node["ms"] > 0 for node in result["nodes"] if node["state"] == "called")
    share = {node["id"]: node["share"] for node in result["nodes"]}
    assert share["layer_1"] == share["layer_2"] > 0.4


def leaving(folder: Path) -> FunctionGraph:
    """Two exits; a router above the first, and work on the answers' side of the second."""
    s = Sketch()
    lower = s.layers(s.text(max_length=20), 1, 1)
    early = s.add("early", "classifier", s.add("pool_1", "pool", lower))
    s.add("first", "exit", lower, logits=early)
    middle = s.add("layer_2", "encoder_layer", "first.next", index=2)
    s.add("router", "router", s.add("pool_2", "pool", middle), branches=2)
    expert = s.add("expert", "ffn", "router.branch_1", hidden=8)
    merged = s.add("merge", "merge", expert, "router.branch_2")
    late = s.add("late", "classifier", merged)
    s.add("second", "exit", merged, logits=late, measure="margin")
    side = s.add("side", "merge", "second.answer", early, rows="shared")
    last = s.add("last", "classifier", "second.next")
    s.add("answer", "answer", "first.answer", side, last)
    return toy_network(on_tiny(s, folder))


def test_what_lies_behind_an_exit_that_answered_is_not_reached(folder: Path) -> None:
    network = leaving(folder)
    threshold(network, "first", 0.0)
    result = told(network)
    before = {"text", "embeddings", "layer_1", "pool_1", "early", "first", "answer"}
    assert states(result) == {node: "called" if node in before else "not reached" for node in network.plan.found.order}
    assert (result["exit"], result["layers"]) == ("first", 1)
    edges = edge_states(result)
    assert edges["first.answer answer.in"] == "called"
    assert edges["first.next layer_2.in"] == "not reached"
    reason = result["routers"]["first"]["reason"]
    sure = result["routers"]["first"]["scores"]["answer"]
    assert reason == f"{sure:.2f} sure, threshold 0.00: answers here"


def test_a_row_that_goes_on_skips_the_answers_side(folder: Path) -> None:
    network = leaving(folder)
    threshold(network, "first", 2.0)
    threshold(network, "second", 2.0)
    plant(network, "router", [0.4, 0.6])
    result = told(network)
    assert {node for node, state in states(result).items() if state != "called"} == {"expert", "side"}
    assert states(result)["side"] == states(result)["expert"] == "skipped"
    assert edge_states(result)["first.answer answer.in"] == "skipped"
    assert result["exit"] is None
    assert result["routers"]["second"]["reason"].endswith("sure, threshold 2.00: goes on")
    assert result["routers"]["second"]["chosen"] == ["next"]


def test_a_row_that_leaves_at_the_second_exit(folder: Path) -> None:
    network = leaving(folder)
    threshold(network, "first", 2.0)
    threshold(network, "second", 0.0)
    plant(network, "router", [0.6, 0.4])
    result = told(network)
    assert {node: state for node, state in states(result).items() if state != "called"} == {"last": "not reached"}
    assert result["exit"] == "second"


def test_a_join_with_a_branch_not_taken_is_not_called(folder: Path) -> None:
    s = Sketch()
    x = s.add("pool", "pool", s.layers(s.text(max_length=20), 1, 1))
    s.add("router", "router", x, branches=2)
    joined = s.add("joined", "add", "router.branch_1", x)
    s.add("head", "classifier", s.add("merge", "merge", joined, "router.branch_2"))
    network = toy_network(on_tiny(s, folder))
    plant(network, "router", [0.1, 0.9])
    result = told(network)
    assert states(result)["joined"] == "skipped"
    assert edge_states(result)["pool.out joined.in"] == "skipped"
    assert edge_states(result)["pool.out router.in"] == "called"


RULES = [{"when": "keyword", "words": ["boat"], "to": 1}, {"when": "column", "column": "kind", "equals": "x", "to": 1}]
REASONS = [
    ("amber boat", "a", "branch_1", "keyword 'boat'", 1, (6, 10)), ("amber", "x", "branch_1", "kind is 'x'", 2, None),
    ("amber", "a", "branch_2", "no rule matches: default branch", 0, None),
]


@pytest.mark.parametrize(("text", "kind", "branch", "reason", "rule", "span"), REASONS)
def test_rules_give_their_reason_and_the_characters(
    text: str, kind: str, branch: str, reason: str, rule: int, span: tuple[int, int] | None, folder: Path
) -> None:
    s = Sketch()
    s.add("rule", "rule_router", s.add("pool", "pool", s.layers(s.text(max_length=20), 1, 1)), branches=2, default=2,
          rules=RULES)
    s.add("answer", "answer", s.add("one", "classifier", "rule.branch_1"), s.add("two", "classifier", "rule.branch_2"))
    network = toy_network(on_tiny(s, folder))
    result = told(network, text, {"kind": [kind]})
    entry = result["routers"]["rule"]
    assert (entry["chosen"], entry["reason"], entry["rule"], entry["span"]) == ([branch], reason, rule, span)
    assert entry["scores"] == {"branch_1": float(branch == "branch_1"), "branch_2": float(branch == "branch_2")}
    skipped = "two" if branch == "branch_1" else "one"
    assert {node for node, state in states(result).items() if state == "skipped"} == {skipped}
    assert all(node["gate"] is None for node in result["nodes"])


def test_words_alone_are_traced_too(folder: Path) -> None:
    s = Sketch()
    s.add("words", "lexical", s.add("text", "text", max_length=20))
    network = toy_network(on_tiny(s, folder))
    result = told(network)
    assert states(result) == {"text": "called", "words": "called"}
    assert sum(node["share"] for node in result["nodes"]) == pytest.approx(1.0)
    assert result["layers"] == 0


def test_a_trace_is_plain_data_and_names_every_node_and_edge(folder: Path) -> None:
    network = leaving(folder)
    result = json.loads(json.dumps(told(network)))
    graph = network.plan.graph
    assert [node["id"] for node in result["nodes"]] == list(network.plan.found.order)
    assert [(edge["source"], edge["target"]) for edge in result["edges"]] == [(e.source, e.target) for e in graph.edges]
    assert {node["type"] for node in result["nodes"]} == {node.type for node in graph.nodes}
