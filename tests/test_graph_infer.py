"""What follows from a graph: order, widths, rows, gates, costs and the static part, as tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fgdesign.graph import rows as r
from fgdesign.graph.infer import Inference, infer, summarise, training_ways, weight_key
from fgdesign.graph.spec import Edge, Graph, Node
from fgdesign.graph.starters import STARTERS, Sketch

H, F = 384, 1536
LAYER = 4 * H * H + 2 * H * F + 9 * H + F
EMBEDDINGS = (30522 + 512 + 2 + 2) * H


def found_in(name: str, classes: int = 3) -> Inference:
    return infer(STARTERS[name].graph, classes)


def rows_of(*alternatives: str) -> r.Rows:
    """"a.1 b.2" -> the alternative in which a took 1 and b took 2."""
    return frozenset(
        frozenset((router, branch) for router, _, branch in (c.partition(".") for c in text.split()))
        for text in alternatives
    )


def routed(k: int = 1, method: str = "noisy_top_k") -> Graph:
    """text -> pool -> outer router of two: an inner router of two, or an expert; all merged."""
    s = Sketch()
    s.add("outer", "router", s.add("pool", "pool", s.text()), branches=2, k=k, method=method)
    s.add("inner", "router", s.add("f", "linear", "outer.branch_1"), branches=2)
    inside = s.add("inside", "merge", s.add("g", "linear", "inner.branch_1"), "inner.branch_2")
    s.add("merge", "merge", inside, s.add("h", "linear", "outer.branch_2"))
    s.add("head", "classifier", "merge.out")
    return s.graph("routed")


VALUES = [
    ("textbook-sentiment", {"text.out": "tokens", "layer_2.out": "sequence 384", "x.out": "vector 384",
                            "y_1.out": "vector 384", "answer.out": "logits 3"}),
    ("layer-taps", {"tap_2.out": "vector 384", "concat.out": "vector 1152", "classifier.out": "logits 3"}),
    ("cheap-word-first", {"words.out": "logits 3", "exit_0.answer": "logits 3", "exit_0.next": "tokens",
                          "exit_3.next": "sequence 384", "opinion_6.out": "logits 3", "answer.out": "logits 3"}),
    ("routed-experts", {"router.branch_5": "vector 384", "merge.out": "vector 384"}),
]


@pytest.mark.parametrize(("name", "values"), VALUES)
def test_types_and_widths(name: str, values: dict[str, str]) -> None:
    found = found_in(name)
    assert {port: str(found.values[port]) for port in values} == values
    assert found.faults == ()


def test_widths_follow_projections_and_soft_prompts_lengthen() -> None:
    s = Sketch()
    prompt = s.add("prompt", "soft_prompt", s.text(max_length=32), length=5)
    s.add("head", "regressor", s.add("small", "project", s.add("pool", "pool", prompt), width=12))
    found = infer(s.graph("g"), 7)
    assert found.values["prompt.out"].length == "all:32+5"
    assert (str(found.values["small.out"]), str(found.values["head.out"])) == ("vector 12", "logits 1")
    assert found.answer == "head.out"


def test_rows_of_nested_routers() -> None:
    found = infer(routed())
    assert found.node_rows["g"] == rows_of("outer.branch_1 inner.branch_1")
    assert found.node_rows["inside"] == found.node_rows["f"] == rows_of("outer.branch_1")
    assert found.node_rows["merge"] == found.node_rows["head"] == r.ALL
    assert found.ways.share(found.node_rows["g"]) == 0.25


def test_gates_ride_until_the_branches_are_united() -> None:
    gates = infer(routed()).gates
    assert gates["g.out"] == {"outer", "inner"}
    assert gates["inside.out"] == gates["h.out"] == {"outer"}
    assert gates["merge.out"] == gates["head.out"] == frozenset()


def test_gates_of_a_rule_router_do_not_exist_and_heads_end_gates() -> None:
    s = Sketch()
    s.add("rule", "rule_router", s.add("pool", "pool", s.text()))
    s.add("router", "router", "rule.branch_1")
    heads = [s.add(f"head_{i}", "classifier", port) for i, port in
             enumerate(("router.branch_1", "router.branch_2", "rule.branch_2"))]
    s.add("answer", "answer", *heads)
    gates = infer(s.graph("g")).gates
    assert gates["rule.branch_2"] == gates["head_0.out"] == gates["answer.out"] == frozenset()
    assert gates["router.branch_1"] == {"router"}


def test_two_routers_feed_one_node() -> None:
    s = Sketch()
    x = s.add("pool", "pool", s.text())
    s.add("a", "router", x)
    s.add("b", "router", x)
    s.add("called", "merge", "a.branch_1", "b.branch_1")
    s.add("joined", "add", "a.branch_1", "b.branch_1")
    found = infer(s.graph("g"))
    assert found.node_rows["called"] == rows_of("a.branch_1", "b.branch_1")
    assert found.node_rows["joined"] == rows_of("a.branch_1 b.branch_1")
    assert found.gates["called.out"] == frozenset() and found.gates["joined.out"] == {"a", "b"}


def test_exit_rows_and_the_collected_answer() -> None:
    found = found_in("early-exit")
    assert found.node_rows["layer_2"] == rows_of("exit_1.next")
    assert found.rows["exit_3.answer"] == rows_of("exit_1.next exit_3.answer")
    assert found.node_rows["answer"] == r.ALL and found.answer == "answer.out"


def test_a_shared_merge_holds_what_all_inputs_hold() -> None:
    found = found_in("cheap-word-first")
    assert found.node_rows["opinion_1"] == found.node_rows["head_1"] == rows_of("exit_0.next")
    assert found.node_rows["words"] == r.ALL


@pytest.mark.parametrize(("k", "method", "after", "training"), [
    (1, "noisy_top_k", 1, 1), (2, "straight_through", 2, 2), (1, "soft", 1, 2), (8, "soft", 2, 2),
])
def test_how_many_branches_a_row_takes(k: int, method: str, after: int, training: int) -> None:
    graph = routed(k, method)
    ways = infer(graph).ways
    assert ways.branches["outer"] == ("branch_1", "branch_2")
    assert (ways.taken["outer"], training_ways(graph, ways).taken["outer"]) == (after, training)
    assert training_ways(graph, ways).taken["inner"] == 1


FRONTIERS = [
    ("linear-probe", {"pool.out"}),
    ("routed-experts", {"layer_3.out"}),
    ("early-exit", {"pool_1.out", "pool_3.out", "pool_6.out"}),
    ("layer-taps", {"layer_2.out", "layer_4.out", "layer_6.out"}),
    ("textbook-sentiment", {"x.out"}),
    ("cheap-word-first", {"exit_2.next", "pool_1.out", "pool_2.out"}),
    ("grow", {"domain.out", "pool.out"}),
    ("words-only", set()),
    ("sentence-pairs", {"both.out"}),
]


@pytest.mark.parametrize(("name", "frontier"), FRONTIERS)
def test_the_frontier_is_what_trained_nodes_read(name: str, frontier: set[str]) -> None:
    found = found_in(name)
    assert set(found.frontier) == frontier and len(found.frontier) == len(frontier)
    assert set(found.frontier) <= found.static


@pytest.mark.parametrize(("kind", "params", "tuning", "static"), [
    ("activation", {}, None, True), ("linear", {}, "frozen", True), ("linear", {}, None, False),
    ("dropout", {}, None, False), ("scale", {"learned": True}, None, False), ("scale", {}, None, True),
    ("encoder_layer", {"layer_drop": 0.5}, None, False), ("encoder_layer", {}, "lora", False),
    ("encoder_layer", {}, None, True), ("soft_prompt", {}, "frozen", True), ("layer_norm", {}, None, False),
])
def test_static_is_frozen_and_deterministic(kind: str, params: dict[str, Any], tuning: str | None,
                                            static: bool) -> None:
    s = Sketch()
    s.add("it", kind, s.text(), tuning=tuning, **params)
    s.add("after", "pool", "it.out")
    found = infer(s.graph("g"))
    assert ("it.out" in found.static) == ("after.out" in found.static) == static
    assert found.frontier == (() if static else ("embeddings.out",))


def test_nothing_behind_a_router_is_static() -> None:
    found = infer(routed())
    assert found.static == {"text.out", "embeddings.out", "pool.out"} and found.frontier == ("pool.out",)


COSTS = [
    ("linear-probe", "layer_1", LAYER, 0), ("linear-probe", "embeddings", EMBEDDINGS, 0),
    ("linear-probe", "classifier", 2 * H + 3 * (H + 1), 2 * H + 3 * (H + 1)),
    ("routed-experts", "layer_4", LAYER, LAYER),
    ("lora-upper-half", "layer_4", LAYER + 8 * 2 * (5 * H + F), 8 * 2 * (5 * H + F)),
    ("adapter-stack", "layer_4", LAYER + 2 * (2 * H * 48 + 48 + H), 2 * (2 * H * 48 + 48 + H)),
    ("routed-experts", "expert_1", 2 * H * 96 + 96 + H, 2 * H * 96 + 96 + H),
    ("routed-experts", "merge", H * H + H, H * H + H),
    ("gcn-experts", "merge", H * H + H + 36, H * H + H + 36),
    ("routed-experts", "router", 2 * H + 5 * (H + 1), 2 * H + 5 * (H + 1)),
    ("grow", "head_known", 2 * H + 3 * (H + 1), 0),
    ("two-opinions", "opinion", 0, 0),
]


@pytest.mark.parametrize(("name", "node", "parameters", "trained"), COSTS)
def test_parameters_by_hand(name: str, node: str, parameters: int, trained: int) -> None:
    cost = found_in(name).costs[node]
    assert (cost.parameters, cost.trained) == (parameters, trained)


def test_multiply_adds_are_per_token_for_sequences_and_per_text_for_vectors() -> None:
    s = Sketch()
    hidden = s.text()
    s.add("per_token", "linear", hidden, width=10)
    s.add("per_text", "linear", s.add("pool", "pool", hidden), width=10)
    costs = infer(s.graph("g")).costs
    assert (costs["per_token"].macs_per_token, costs["per_token"].macs_per_text) == (3840, 0)
    assert (costs["per_text"].macs_per_token, costs["per_text"].macs_per_text) == (0, 3840)


def test_summary_adds_up_and_expects_the_share_of_rows() -> None:
    whole = summarise(STARTERS["linear-probe"].graph, 3)
    assert whole.parameters == EMBEDDINGS + 6 * LAYER + whole.trained == 22_565_376 + whole.trained
    assert whole.expected_macs_per_token == whole.macs_per_token
    early = summarise(STARTERS["early-exit"].graph, 3)
    assert early.expected_macs_per_token < 0.7 * early.macs_per_token


def test_the_known_default_is_under_seven_million_trained() -> None:
    assert summarise(STARTERS["routed-experts"].graph, 2).trained < 7_000_000


@pytest.mark.parametrize("broken", [
    Edge("nobody.out", "pool.in"), Edge("embeddings.out", "nobody.in"), Edge("embeddings.out", "pool.nowhere"),
    Edge("nobody.out", "pool.nowhere"), Edge("odd.out", "pool.nowhere"), Edge("pool.nowhere", "head.in"),
])
def test_edges_to_nowhere_leave_the_rest_inferred(broken: Edge) -> None:
    s = Sketch()
    s.add("head", "classifier", s.add("pool", "pool", s.text()))
    graph = s.graph("g")
    graph = replace(graph, nodes=(*graph.nodes, Node("odd", "nothing/1")), edges=(*graph.edges, broken))
    found = infer(graph, 3)
    assert str(found.values["embeddings.out"]) == "sequence 384"
    assert ("head.out" in found.values) == (broken.target_port != "in" or broken.target_node == "nobody")


def test_a_twice_named_node_is_the_first_of_them() -> None:
    nodes = (Node("text", "text/1"), Node("x", "embeddings/1"), Node("x", "nothing/1"))
    found = infer(Graph("g", nodes, (Edge("text.out", "x.in"),)))
    assert found.order == ("text", "x") and str(found.values["x.out"]) == "sequence 384"


def test_who_shares_weights() -> None:
    keys = [weight_key(Node(name, "encoder_layer/1", params)) for name, params in
            (("a", {"index": 2}), ("b", {"index": 2}), ("c", {"index": 2, "weights": "copy"}), ("d", {"index": [2]}))]
    assert keys[0] == keys[1] != keys[2] and keys[3] == ("layer", 1)
    assert weight_key(Node("e", "embeddings/1")) == weight_key(Node("f", "embeddings/1"))
    assert weight_key(Node("g", "linear/1")) != weight_key(Node("h", "linear/1"))
