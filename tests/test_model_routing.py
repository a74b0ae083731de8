"""Odd but legal graphs against a reference that computes one row at a time, and what is called for whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from model_reference import RowReference
from model_toys import CPU, answers, halve_exits, on_tiny, run, tiny_folder, toy_inputs, toy_network, toy_texts
from torch import nn

from fgdesign.errors import InputError
from fgdesign.graph.infer import params_of
from fgdesign.graph.rows import ALL
from fgdesign.graph.spec import Edge
from fgdesign.graph.starters import Sketch
from fgdesign.model.blocks.routers import Router
from fgdesign.model.inputs import Inputs
from fgdesign.model.network import FunctionGraph

ROWS = 24
SHORT = [{"when": "length", "at_most": 5, "to": 1}]


def base(s: Sketch, layers: int = 1) -> str:
    return s.layers(s.text(max_length=24), 1, layers)


def experts(s: Sketch, router: str, count: int, first: int = 1) -> list[str]:
    return [s.add(f"{router}_expert_{i}", "ffn", f"{router}.branch_{i}", hidden=8)
            for i in range(first, first + count)]


def finish(s: Sketch, source: str, head: str = "classifier") -> Sketch:
    s.add("head", head, source, hidden=5)
    return s


def weigh(s: Sketch, port: str, weights: str) -> str:
    """Set the parameter `weights` of the node just added."""
    s.nodes[-1] = replace(s.nodes[-1], params={**s.nodes[-1].params, "weights": weights})
    return port


def nested_routers() -> Sketch:
    s = Sketch()
    s.add("outer", "router", s.add("pool", "pool", base(s)), branches=2)
    s.add("inner", "router", "outer.branch_1", branches=3)
    inner = s.add("inner_merge", "merge", *experts(s, "inner", 3))
    return finish(s, s.add("outer_merge", "merge", inner, *experts(s, "outer", 1, first=2)))


def router_inside_a_branch() -> Sketch:
    s = Sketch()
    hidden = base(s)
    s.add("outer", "router", hidden, branches=2, scorer="mlp", temperature=0.3)
    before = s.add("before", "linear", "outer.branch_2", activation="tanh")
    s.add("inner", "router", before, branches=2, k=2)
    inner = s.add("inner_merge", "gcn_merge", "inner.branch_1", *experts(s, "inner", 1, first=2), readout="mean")
    after = s.add("after", "layer_norm", inner)
    merged = s.add("outer_merge", "merge", "outer.branch_1", after, method="max")
    return finish(s, s.add("pool", "pool", s.layers(merged, 2, 2)))


def exit_inside_a_branch() -> Sketch:
    s = Sketch()
    s.add("router", "router", s.add("pool", "pool", base(s)), branches=2)
    early = s.add("early", "classifier", "router.branch_1")
    s.add("leave", "exit", "router.branch_1", logits=early, measure="margin")
    merged = s.add("merge", "merge", s.add("more", "ffn", "leave.next", hidden=8), "router.branch_2")
    s.add("answer", "answer", "leave.answer", s.add("late", "classifier", merged))
    return s


def exit_on_tokens() -> Sketch:
    s = Sketch()
    s.text(max_length=24)
    words = s.add("words", "lexical", "text.out")
    s.edges = [edge for edge in s.edges if edge.target_node != "embeddings"]
    s.nodes = [node for node in s.nodes if node.id != "embeddings"]
    s.add("leave", "exit", "text.out", logits=words, measure="entropy")
    hidden = s.layers(s.add("embeddings", "embeddings", "leave.next"), 1, 2)
    s.add("answer", "answer", "leave.answer", s.add("late", "classifier", s.add("pool", "pool", hidden)))
    return s


def two_routers_feed_one_node() -> Sketch:
    s = Sketch()
    pool = s.add("pool", "pool", base(s))
    s.add("one", "router", pool, branches=2)
    s.add("two", "router", pool, branches=2, scorer="mlp")
    both = s.add("both", "ffn", s.add("meet", "merge", "one.branch_1", "two.branch_1"), hidden=8)
    rest = s.add("rest", "merge", both, "one.branch_2", "two.branch_2", method="mean")
    return finish(s, rest)


def same_layer_twice_shared() -> Sketch:
    s = Sketch()
    hidden = s.add("again", "encoder_layer", base(s, 2), index=2)
    s.add("router", "router", hidden, branches=2)
    third = s.add("third", "encoder_layer", "router.branch_1", index=1)
    return finish(s, s.add("pool", "pool", s.add("merge", "merge", third, "router.branch_2")))


def same_layer_twice_copied() -> Sketch:
    s = Sketch()
    hidden = weigh(s, s.add("again", "encoder_layer", base(s, 2), index=2, tuning="lora"), "copy")
    third = weigh(s, s.add("third", "encoder_layer", hidden, index=2, tuning="adapter"), "copy")
    return finish(s, s.add("pool", "pool", third, method="max"))


def two_text_nodes() -> Sketch:
    s = Sketch()
    sides = []
    for side, column in (("a", "text"), ("b", "second"), ("c", "all")):
        hidden = s.add(f"embeddings_{side}", "embeddings", s.add(f"text_{side}", "text", column=column, max_length=20))
        sides.append(s.add(f"pool_{side}", "pool", s.add(f"layer_{side}", "encoder_layer", hidden, index=1)))
    s.add("router", "router", s.add("both", "concat", *sides), branches=2)
    words = s.add("words", "lexical", "text_b.out")
    late = s.add("late", "classifier", s.add("merge", "merge", *experts(s, "router", 2)))
    s.add("opinion", "merge", late, words, s.add("all_words", "lexical", "text_c.out"), rows="shared")
    return s


def rules_on_tokens() -> Sketch:
    s = Sketch()
    s.add("text", "text", max_length=24)
    rules = [{"when": "keyword", "words": ["amber", "kite"], "to": 3}, *SHORT,
             {"when": "column", "column": "kind", "equals": "b", "to": 2}]
    s.add("rule", "rule_router", "text.out", branches=3, default=3, rules=rules)
    pools = []
    for branch in (1, 2):
        hidden = s.add(f"embeddings_{branch}", "embeddings", f"rule.branch_{branch}")
        pools.append(s.add(f"pool_{branch}", "pool", s.add(f"layer_{branch}", "encoder_layer", hidden, index=branch)))
    late = s.add("late", "classifier", s.add("merge", "merge", *pools))
    s.add("answer", "answer", late, s.add("words", "lexical", "rule.branch_3"))
    return s


def top_two_of_three_with_identity() -> Sketch:
    s = Sketch()
    s.add("router", "router", s.add("pool", "pool", base(s), method="attention"), branches=3, k=2)
    return finish(s, s.add("merge", "merge", *experts(s, "router", 2), "router.branch_3"))


def long_branch_joined_with_the_trunk() -> Sketch:
    s = Sketch()
    x = s.add("pool", "pool", base(s))
    s.add("router", "router", x, branches=2)
    deep = s.add("deep", "linear", s.add("wide", "ffn", "router.branch_1", hidden=8), activation="gelu")
    joined = s.add("joined", "add", deep, x, weights=(0.5, 2.0))
    gated = s.add("gated", "gate", joined, per="value")
    s.edges.append(Edge("pool.out", "gated.control"))
    return finish(s, s.add("merge", "merge", gated, "router.branch_2"))


def logits_united() -> Sketch:
    s = Sketch()
    s.add("router", "router", s.add("pool", "pool", base(s)), branches=2, k=2)
    heads = [s.add(f"head_{i}", "classifier", f"router.branch_{i}") for i in (1, 2)]
    s.add("rule", "rule_router", "pool.out", branches=2, default=2, rules=SHORT)
    heads.append(s.add("head_short", "classifier", "rule.branch_1"))
    s.add("opinion", "merge", *heads, s.add("head_long", "classifier", "rule.branch_2"))
    return s


def logits_shared() -> Sketch:
    s = Sketch()
    pool = s.add("pool", "pool", base(s))
    s.add("rule", "rule_router", pool, branches=2, default=2, rules=SHORT)
    words = s.add("words", "lexical", "text.out")
    two = s.add("two", "merge", s.add("head_1", "classifier", "rule.branch_1"), words, rows="shared")
    s.add("answer", "answer", two, s.add("head_2", "classifier", "rule.branch_2"))
    return s


def soft_prompts() -> Sketch:
    s = Sketch()
    hidden = s.add("prompt", "soft_prompt", s.text(max_length=20), length=3)
    s.add("router", "router", s.layers(hidden, 1, 1), branches=2)
    longer = s.add("scaled", "scale", "router.branch_1", value=-0.7, learned=True)
    merged = s.add("merge", "merge", longer, "router.branch_2")
    return finish(s, s.add("pool", "pool", s.layers(merged, 2, 3), method="cls"))


def sequences_merged_then_layers() -> Sketch:
    s = Sketch()
    s.add("router", "router", base(s), branches=3, k=2)
    merged = s.add("merge", "attention_merge", *experts(s, "router", 2), "router.branch_3")
    return finish(s, s.add("pool", "pool", s.layers(merged, 2, 4), method="max"))


def sequences_convolved() -> Sketch:
    s = Sketch()
    s.add("router", "router", base(s), branches=3, k=2)
    merged = s.add("merge", "gcn_merge", *experts(s, "router", 3), adjacency="learned", depth=2)
    return finish(s, s.add("pool", "pool", s.layers(merged, 2, 2), method="attention"))


def gates_open_until_a_classifier() -> Sketch:
    s = Sketch()
    s.add("router", "router", s.add("pool", "pool", base(s)), branches=2)
    s.add("inner", "router", "router.branch_1", branches=2, method="soft", k=2)
    heads = [s.add(f"head_{i}", "classifier", f"inner.branch_{i}") for i in (1, 2)]
    union = s.add("union", "merge", *heads)
    s.add("answer", "answer", union, s.add("other", "classifier", "router.branch_2"))
    return s


def exits_in_a_row() -> Sketch:
    s = Sketch()
    hidden, sources = s.text(max_length=24), []
    words = s.add("words", "lexical", "text.out")
    for index in (1, 2, 3):
        hidden = s.layers(hidden, index, index)
        head = s.add(f"head_{index}", "classifier", s.add(f"pool_{index}", "pool", hidden))
        opinion = s.add(f"opinion_{index}", "merge", head, words, rows="shared")
        if index < 3:
            s.add(f"leave_{index}", "exit", hidden, logits=opinion)
            sources.append(f"leave_{index}.answer")
            hidden = f"leave_{index}.next"
    s.add("answer", "answer", *sources, opinion)
    return s


def exit_with_logits_of_a_branch_only() -> Sketch:
    s = Sketch()
    x = s.add("pool", "pool", base(s))
    s.add("rule", "rule_router", x, branches=2, default=2, rules=SHORT)
    early = s.add("early", "classifier", "rule.branch_1")
    s.add("leave", "exit", x, logits=early)
    late = s.add("late", "classifier", "leave.next")
    s.add("answer", "answer", "leave.answer", late, s.add("other", "classifier", "rule.branch_2"))
    return s


def confidence_decides() -> Sketch:
    s = Sketch()
    pool = s.add("pool", "pool", base(s))
    words = s.add("words", "lexical", "text.out")
    s.add("rule", "rule_router", pool, branches=2, default=2, by=words,
          rules=[{"when": "confidence", "below": 0.7, "to": 1}])
    s.add("answer", "answer", s.add("head_1", "classifier", "rule.branch_1"), s.add("head_2", "classifier",
                                                                                    "rule.branch_2"))
    return s


def drawn_links_and_a_scored_side_value() -> Sketch:
    s = Sketch()
    lower = base(s)
    tap = s.add("tap", "pool", lower)
    pool = s.add("pool", "pool", s.layers(lower, 2, 2))
    s.add("router", "router", pool, by=tap, branches=4, k=3, method="straight_through")
    merged = s.add("merge", "gcn_merge", *experts(s, "router", 3), "router.branch_4", adjacency="drawn",
                   links="1-2, 3-4, 2-3", depth=2)
    return finish(s, merged)


def plain_branches_beside_the_identity() -> Sketch:
    s = Sketch()
    s.add("router", "router", s.add("pool", "pool", base(s)), branches=3)
    plain = s.add("plain", "linear", "router.branch_1")
    bare = s.add("bare", "ffn", "router.branch_2", residual=False)
    return finish(s, s.add("merge", "merge", plain, bare, "router.branch_3"))


def everything_small() -> Sketch:
    s = Sketch()
    hidden = base(s)
    a = s.add("project", "project", s.add("l2", "normalise", s.add("cls", "pool", hidden, method="cls")), width=10)
    b = s.add("project_2", "project", s.add("adapted", "adapter", s.add("mean", "pool", hidden), bottleneck=4), width=10)
    product = s.add("product", "multiply", a, b)
    total = s.add("total", "add", product, s.add("dropped", "dropout", a), weights=(1.0, -1.0))
    learned = weigh(s, s.add("learned", "add", total, b, weights=(0.5, 1.5)), "learned")
    return finish(s, s.add("standard", "normalise", s.add("absolute", "activation", learned, function="abs"),
                           method="standardise"))


GRAPHS: list[Callable[[], Sketch]] = [
    nested_routers, router_inside_a_branch, exit_inside_a_branch, exit_on_tokens, two_routers_feed_one_node,
    same_layer_twice_shared, same_layer_twice_copied, two_text_nodes, rules_on_tokens, top_two_of_three_with_identity,
    long_branch_joined_with_the_trunk, logits_united, logits_shared, soft_prompts, sequences_merged_then_layers,
    sequences_convolved, gates_open_until_a_classifier, exits_in_a_row, exit_with_logits_of_a_branch_only,
    confidence_decides, drawn_links_and_a_scored_side_value,
    plain_branches_beside_the_identity, everything_small,
]
OTHER_TASKS = [
    (exit_inside_a_branch, "multi", "multilabel"), (exits_in_a_row, "multi", "multilabel"),
    (logits_united, "multi", "multilabel"), (logits_united, "regression", "regressor"),
    (gates_open_until_a_classifier, "regression", "regressor"), (nested_routers, "regression", "regressor"),
    (two_text_nodes, "regression", "regressor"),
]
CASES = [pytest.param(build, "single", id=build.__name__) for build in GRAPHS]
CASES += [pytest.param(build, task, id=f"{build.__name__}-{task}") for build, task, _ in OTHER_TASKS]
HEADS = {"single": "classifier/1", "multi": "multilabel/1", "regression": "regressor/1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("tiny"))


@cache
def made(build: Callable[[], Sketch], task: str, folder: Path) -> tuple[FunctionGraph, Inputs]:
    """The graph's network, exits and routers set so that rows differ, and toy rows. To be left as it is."""
    sketch = build()
    sketch.nodes = [replace(node, type=HEADS[task]) if node.type == "classifier/1" else node for node in sketch.nodes]
    network = toy_network(on_tiny(sketch, folder, task), task, 1 if task == "regression" else 3)
    columns = {"kind": ["ab"[i % 2] for i in range(ROWS)]}
    inputs = toy_inputs(network, toy_texts(ROWS, seed=3), toy_texts(ROWS, seed=4, most=8), columns)
    if "text_b" not in network.plan.graph.ids:
        inputs = toy_inputs(network, inputs.texts, None, columns)
    spread_routers(network, inputs)
    halve_exits(network, inputs)
    return network, inputs


def spread_routers(network: FunctionGraph, inputs: Inputs) -> None:
    """Shift each router's scores so that no branch is best for all rows."""
    for node in network.nodes_of_role("router"):
        module = network.keys.get(node) and network.module_of(node)
        if isinstance(module, Router):
            scores = run(network, inputs).record.choices[node][1].scores * module.temperature
            last = module.scorer if isinstance(module.scorer, nn.Linear) else module.scorer[-1]
            with torch.no_grad():
                last.bias.sub_(scores.mean(0))


@pytest.mark.parametrize(("build", "task"), CASES)
def test_a_batch_is_what_each_row_is_on_its_own(build: Callable[[], Sketch], task: str, folder: Path) -> None:
    network, inputs = made(build, task, folder)
    with torch.inference_mode():
        references = [RowReference(network, inputs, row) for row in range(ROWS)]
        expected = torch.stack([reference.logits() for reference in references])
    torch.testing.assert_close(answers(network, inputs), expected, atol=1e-5, rtol=1e-5)

    order = np.random.default_rng(0).permutation(ROWS)
    for rows in np.split(order, [1, 4, 11]):
        torch.testing.assert_close(answers(network, inputs, rows), expected[rows], atol=1e-5, rtol=1e-5)

    record = run(network, inputs, timed=True, count_layers=True).record
    ran = {node: [row for row in range(ROWS) if node in references[row].ran] for node in network.plan.found.order}
    noted = {node: (list(range(ROWS)) if rows is None else rows.tolist()) for node, (rows, _, _) in record.calls.items()}
    assert noted == {node: rows for node, rows in ran.items() if rows}
    layers = [n.id for n in network.plan.graph.nodes if n.type == "encoder_layer/1"]
    assert record.layers is not None
    assert record.layers.tolist() == [sum(row in ran[node] for node in layers) for row in range(ROWS)]


@pytest.mark.parametrize(("build", "task"), CASES)
def test_open_exits_let_every_row_go_on(build: Callable[[], Sketch], task: str, folder: Path) -> None:
    network, inputs = made(build, task, folder)
    with torch.inference_mode():
        references = [RowReference(network, inputs, row, open_exits=True) for row in range(ROWS)]
        expected = torch.stack([reference.logits() for reference in references])
    torch.testing.assert_close(answers(network, inputs, open_exits=True), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("build", GRAPHS, ids=lambda build: build.__name__)
def test_rows_differ_in_their_ways(build: Callable[[], Sketch], folder: Path) -> None:
    """Guards the tests above: every branch of every router and both ways of every exit are taken."""
    network, inputs = made(build, "single", folder)
    record = run(network, inputs).record
    taken: dict[str, set[int]] = {}
    for node, (_, choice) in record.choices.items():
        taken[node] = set(choice.called.nonzero()[:, 1].tolist())
    for node, (_, decisions) in record.decisions.items():
        taken[node] = {decision.branch - 1 for decision in decisions}
    assert taken == {node: set(range(int(str(params_of(network.plan.graph.node(node))["branches"]))))
                     for node in network.nodes_of_role("router")}
    for node in network.nodes_of_role("exit"):
        sure = record.exits[node][1]
        leave = sure >= network.module_of(node).threshold
        assert leave.any() and not leave.all()


@pytest.mark.parametrize("build", GRAPHS, ids=lambda build: build.__name__)
@pytest.mark.parametrize("rows", [list(range(ROWS)), [0], [5, 7]], ids=["all", "one", "two"])
def test_modules_run_once_for_each_called_node_and_not_at_all_otherwise(
    build: Callable[[], Sketch], rows: list[int], folder: Path
) -> None:
    network, inputs = made(build, "single", folder)
    with torch.inference_mode():
        references = [RowReference(network, inputs, row) for row in rows]
        for reference in references:
            reference.logits()
    called = set().union(*(reference.ran for reference in references))
    expected = Counter(network.keys[node] for node in called
                       if node in network.keys and node not in network.nodes_of_role("exit"))
    counted: Counter[str] = Counter()
    hooks = [module.register_forward_hook(lambda *_, key=key: counted.update([key]))
             for key, module in network.modules_by_key.items()]
    answers(network, inputs, rows)
    for hook in hooks:
        hook.remove()
    assert counted == expected


def test_a_branch_nobody_takes_costs_nothing(folder: Path) -> None:
    network, inputs = deepcopy(made(top_two_of_three_with_identity, "single", folder))
    router = network.module_of("router")
    assert isinstance(router, Router) and isinstance(router.scorer, nn.Linear)
    with torch.no_grad():
        router.scorer.bias.copy_(torch.tensor([-100.0, 0.0, 50.0]))
    seen = Counter()
    for node in ("router_expert_1", "router_expert_2"):
        network.module_of(node).register_forward_hook(lambda *_, node=node: seen.update([node]))
    answers(network, inputs)
    assert seen == {"router_expert_2": 1}


@pytest.mark.parametrize(("build", "task"), CASES)
def test_every_row_is_answered_exactly_once(build: Callable[[], Sketch], task: str, folder: Path) -> None:
    network, inputs = made(build, task, folder)
    outcome = run(network, inputs)
    flow = outcome.flows[network.answer]
    assert flow.rows is None or flow.rows.tolist() == list(range(ROWS))
    for sources in outcome.record.branches.values():
        held = [row for rows in sources.values() for row in (range(ROWS) if rows is None else rows.tolist())]
        assert sorted(held) == list(range(ROWS))


@pytest.mark.parametrize(("build", "task"), CASES)
def test_known_values_change_no_answer_whether_exits_are_open_or_closed(
    build: Callable[[], Sketch], task: str, folder: Path
) -> None:
    network, inputs = made(build, task, folder)
    frontier = network.plan.found.frontier
    batch = inputs.batch(np.arange(ROWS), CPU)
    with torch.inference_mode():
        given = network(batch, wanted=frontier, open_exits=True).flows if frontier else {}
        for open_exits in (False, True):
            plain = network(batch, open_exits=open_exits, count_layers=True)
            batch.given = given
            cached = network(batch, open_exits=open_exits, count_layers=True)
            batch.given = {}
            torch.testing.assert_close(cached.flows[network.answer].value, plain.flows[network.answer].value)
            assert torch.equal(cached.record.layers, plain.record.layers)


def test_a_value_behind_an_exit_is_static_only_where_the_exit_takes_all_rows(folder: Path) -> None:
    network, _ = made(exits_in_a_row, "single", folder)
    assert {"leave_1.next", "layer_2.out"} <= network.plan.found.static
    assert "layer_2.out" not in network.needed(known=("layer_2.out", "layer_1.out")).given
    assert network.plan.found.rows["layer_1.out"] == ALL
    network, _ = made(exit_with_logits_of_a_branch_only, "single", folder)
    assert "leave.next" not in network.plan.found.static


def test_training_a_soft_router_calls_all_branches_with_their_probabilities(folder: Path) -> None:
    network, inputs = deepcopy(made(gates_open_until_a_classifier, "single", folder))
    network.train()
    outcome = network(inputs.batch(np.arange(ROWS), CPU))
    choice = outcome.record.choices["inner"][1]
    assert bool(choice.called.all())
    torch.testing.assert_close(choice.gates, choice.probabilities)


def test_layer_drop_skips_frozen_layers_too_but_only_in_training(folder: Path) -> None:
    s = Sketch()
    hidden = s.add("layer_2", "encoder_layer", base(s), index=2, layer_drop=0.9)
    network = toy_network(on_tiny(finish(s, s.add("pool", "pool", hidden)), folder))
    inputs = toy_inputs(network, toy_texts(3))
    calls: list[int] = []
    network.module_of("layer_2").register_forward_hook(lambda *_: calls.append(1))
    torch.manual_seed(0)
    run(network, inputs)
    assert len(calls) == 1
    network.train()
    counted = [run(network, inputs, count_layers=True).record.layers for _ in range(40)]
    assert 1 <= len(calls) - 1 <= 12
    assert sum(int(layers[0]) for layers in counted if layers is not None) == 40 + len(calls) - 1


def test_a_graph_that_reads_texts_says_so_when_it_gets_none(folder: Path) -> None:
    network, inputs = made(logits_shared, "single", folder)
    batch = inputs.batch(np.arange(3), CPU)
    batch.texts = ()
    with pytest.raises(InputError, match=r"only token ids were given\. Pass texts"):
        network(batch)


def test_rules_on_columns_and_confidence_need_no_texts(folder: Path) -> None:
    s = Sketch()
    s.add("rule", "rule_router", s.add("pool", "pool", base(s)), branches=2, default=2,
          rules=[{"when": "column", "column": "kind", "equals": "a", "to": 1}])
    s.add("answer", "answer", s.add("one", "classifier", "rule.branch_1"), s.add("two", "classifier", "rule.branch_2"))
    network = toy_network(on_tiny(s, folder))
    batch = toy_inputs(network, toy_texts(4), None, {"kind": ["a", "b", "b", "a"]}).batch(np.arange(4), CPU)
    batch.texts = ()
    decided = network(batch).record.decisions["rule"][1]
    assert [decision.branch for decision in decided] == [1, 2, 2, 1]


def test_word_functions_alone_need_no_tokens(folder: Path) -> None:
    s = Sketch()
    s.add("words", "lexical", s.add("text", "text", max_length=20))
    network = toy_network(on_tiny(s, folder))
    inputs = toy_inputs(network, ["amber boat", ""])
    assert inputs.tokens == {}
    torch.testing.assert_close(answers(network, inputs), network.lexicals()["words"](["amber boat", ""]))


@pytest.mark.parametrize("build", GRAPHS, ids=lambda build: build.__name__)
def test_graphs_run_in_mixed_precision(build: Callable[[], Sketch], folder: Path) -> None:
    network, inputs = deepcopy(made(build, "single", folder))
    network.train()
    batch = inputs.batch(np.arange(ROWS), CPU)
    with torch.autocast("cpu", torch.bfloat16):
        outcome = network(batch, open_exits=True)
        loss = network.logits(outcome, ROWS).square().mean()
    loss.backward()
    assert outcome.flows[network.answer].value.dtype == torch.float32
    assert any(parameter.grad is not None for parameter in network.parameters())
