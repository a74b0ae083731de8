"""Odd but legal graphs against a reference that computes one row at a time, and what is called for whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import pytest
import torch
from model_graphs import (
    GRAPHS,
    base,
    exit_inside_a_branch,
    exit_with_logits_of_a_branch_only,
    exits_in_a_row,
    finish,
    gates_open_until_a_classifier,
    logits_shared,
    logits_united,
    nested_routers,
    top_two_of_three_with_identity,
    two_text_nodes,
)
from model_reference import RowReference
from model_toys import (
    CPU,
    answers,
    halve_exits,
    on_tiny,
    run,
    spread_routers,
    tiny_folder,
    toy_inputs,
    toy_network,
    toy_texts,
)
from torch import nn

from fgdesign.errors import InputError
from fgdesign.graph.infer import params_of
from fgdesign.graph.rows import ALL
from fgdesign.graph.starters import Sketch
from fgdesign.model import dispatch
from fgdesign.model.blocks.routers import Router
from fgdesign.model.inputs import Inputs
from fgdesign.model.network import FunctionGraph

ROWS = 24
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
    noted = {node: list(range(ROWS)) if call[0] is None else call[0].tolist() for node, call in record.calls.items()}
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
    build: Callable[[], Sketch], rows: list[int], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "fastest", lambda *shape: "sorted")  # the other ways call no expert by itself,
    monkeypatch.setattr(dispatch, "_kept", WeakKeyDictionary())
    monkeypatch.setattr(dispatch, "_plain", lambda module, dtype: lambda x: module([x], None))
    network, inputs = made(build, "single", folder)
    with torch.inference_mode():
        references = [RowReference(network, inputs, row) for row in rows]
        for reference in references:
            reference.logits()
    called = set().union(*(reference.ran for reference in references))
    expected = Counter(network.keys[node] for node in called
                       if node in network.keys and node not in network.nodes_of_role("exit"))
    for step in network.needed().fused:
        if isinstance(step, dispatch.Bank):
            expected.pop(network.keys[step.node], None)  # its sum is made on the way
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
