"""The training losses against formulas written out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from fgdesign.graph import Graph
from fgdesign.graph.edit import set_params
from fgdesign.model.blocks.routers import Choice
from fgdesign.model.build import plan
from fgdesign.model.flows import Flow
from fgdesign.model.network import Outcome
from fgdesign.model.steps import Record
from fgdesign.training.losses import HeadLoss, Objective, branch_costs, head_losses, objective, router_loss

OFF = {"mutual_information": 0.0, "balance": 0.0, "z_loss": 0.0, "cost_penalty": 0.0}
SCORES = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 0.0], [-1.0, 3.0, 1.0], [0.0, 1.0, 0.2]])
COSTS = torch.tensor([1.0, 0.25, 0.0])


def choice_of(scores: Tensor) -> Choice:
    p = scores.softmax(-1)
    called = torch.nn.functional.one_hot(scores.argmax(-1), scores.shape[1]).bool()
    return Choice(p, scores, given=(called, p * called))


def by_hand(name: str) -> float:
    rows = [[math.exp(s) / sum(math.exp(o) for o in row) for s in row] for row in SCORES.tolist()]
    mean = [sum(row[b] for row in rows) / 4 for b in range(3)]
    load = [sum(max(range(3), key=row.__getitem__) == b for row in rows) / 4 for b in range(3)]

    def entropy(row: list[float]) -> float:
        return -sum(p * math.log(p) for p in row)

    return {
        "mutual_information": sum(map(entropy, rows)) / 4 - entropy(mean),
        "balance": 3 * sum(a * b for a, b in zip(load, mean, strict=True)),
        "z_loss": sum(math.log(sum(math.exp(s) for s in row)) ** 2 for row in SCORES.tolist()) / 4,
        "cost_penalty": sum(a * b for a, b in zip(mean, COSTS.tolist(), strict=True)),
    }[name]


@pytest.mark.parametrize("name", OFF)
def test_a_router_loss_is_its_formula(name: str) -> None:
    got = router_loss(choice_of(SCORES), OFF | {name: 0.7}, COSTS, None)
    assert float(got) == pytest.approx(0.7 * by_hand(name), rel=1e-5)


def test_router_losses_add_up() -> None:
    weights = {name: 0.1 * place for place, name in enumerate(OFF, 1)}
    wanted = sum(weight * by_hand(name) for name, weight in weights.items())
    assert float(router_loss(choice_of(SCORES), weights, COSTS, None)) == pytest.approx(wanted, rel=1e-5)


def test_mutual_information_prefers_sure_and_various_choices() -> None:
    weights = OFF | {"mutual_information": 1.0}
    various, same, unsure = torch.eye(3) * 9, torch.tensor([[9.0, 0, 0]] * 3), torch.zeros(3, 3)
    values = [float(router_loss(choice_of(s), weights, COSTS, None)) for s in (various, same, unsure)]
    assert values[0] < min(values[1:]) - 1 and values[0] == pytest.approx(-math.log(3), abs=0.01)


def test_a_teacher_pulls_only_rows_it_knows() -> None:
    got = router_loss(choice_of(SCORES), OFF, COSTS, torch.tensor([2, -1, 1, -1]))
    p = SCORES.softmax(-1)
    assert float(got) == pytest.approx(-(math.log(p[0, 2]) + math.log(p[2, 1])) / 2, rel=1e-5)
    assert float(router_loss(choice_of(SCORES), OFF, COSTS, torch.full((4,), -1))) == 0


def outcome_of(**logits: Tensor | tuple[Tensor, Tensor]) -> Outcome:
    flows = {f"{name}.out": Flow(v) if isinstance(v, Tensor) else Flow(v[0], rows=v[1]) for name, v in logits.items()}
    return Outcome(flows, Record())


def test_a_head_is_weighed_and_imitates_the_last_one() -> None:
    torch.manual_seed(0)
    last, early, targets = torch.randn(5, 3), torch.randn(5, 3), torch.tensor([0, 2, 1, 1, 0])
    goal = Objective("single", (HeadLoss("early", 0.25, 0.4, "exit_1"), HeadLoss("last", 1.0, 0.0, None)), {}, {})
    cross = torch.nn.functional.cross_entropy
    teacher, student = (last / 2).softmax(-1), (early / 2).softmax(-1)
    imitation = 4 * (teacher * (teacher.log() - student.log())).sum(1).mean()
    wanted = cross(last, targets) + 0.25 * (0.6 * cross(early, targets) + 0.4 * imitation)
    assert float(goal(outcome_of(last=last, early=early), targets, {})) == pytest.approx(float(wanted), rel=1e-5)


def test_the_teacher_of_an_exit_gets_no_gradient_from_it() -> None:
    last, early = (torch.randn(4, 2, requires_grad=True) for _ in range(2))
    goal = Objective("single", (HeadLoss("early", 1.0, 1.0, "exit"), HeadLoss("last", 0.0, 0.0, None)), {}, {})
    goal(outcome_of(last=last, early=early), torch.tensor([0, 1, 1, 0]), {}).backward()
    assert last.grad is None and early.grad is not None and bool(early.grad.any())


def test_a_head_with_some_rows_counts_for_those_rows() -> None:
    logits, rows, targets = torch.randn(2, 3), torch.tensor([1, 3]), torch.tensor([0, 2, 1, 1])
    goal = Objective("single", (HeadLoss("head", 1.0, 0.0, None),), {}, {})
    wanted = torch.nn.functional.cross_entropy(logits, targets[rows], reduction="sum") / 4
    assert float(goal(outcome_of(head=(logits, rows)), targets, {})) == pytest.approx(float(wanted))


@pytest.mark.parametrize(("task", "targets"), [
    ("multi", torch.tensor([[1.0, 0.0], [1.0, 1.0]])), ("regression", torch.tensor([3.0, -1.0])),
])
def test_losses_of_the_other_tasks(task: str, targets: Tensor) -> None:
    logits = torch.tensor([[0.3, -2.0], [1.5, 0.1]]) if task == "multi" else torch.tensor([[2.5], [0.0]])
    got = Objective(task, (), {}, {}, spread=4.0).per_row(logits, targets)
    if task == "regression":
        assert got.tolist() == pytest.approx([0.25 / 4, 1 / 4])
    else:
        p = logits.sigmoid()
        assert got.tolist() == pytest.approx((-(targets * p.log() + (1 - targets) * (1 - p).log()).mean(1)).tolist())


def test_class_weights_and_smoothing_reach_the_loss() -> None:
    logits, targets = torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1])
    plain, weighed, smooth = (Objective("single", (), {}, {}, *rest).per_row(logits, targets)
                              for rest in ((), (torch.tensor([1.0, 3.0]),), (None, 0.2)))
    assert weighed.tolist() == pytest.approx([float(plain[0]), 3 * float(plain[1])])
    mean = float(plain.mean())
    assert smooth.tolist() == pytest.approx([0.8 * float(one) + 0.2 * mean for one in plain])


def plan_of(graph: Any) -> Any:
    return plan(graph, task="single", classes=3)


def test_heads_are_weighed_by_depth(tiny_graph: Callable[[str], Graph]) -> None:
    heads = head_losses(plan_of(tiny_graph("cheap-word-first")))
    found = {head.node: (round(head.weight, 6), head.exit) for head in heads}
    assert found == {f"head_{i}": (round(i / 6, 6), f"exit_{i}" if i < 6 else None) for i in range(1, 7)}


def test_a_weight_can_be_set_by_hand(tiny_graph: Callable[[str], Graph]) -> None:
    graph = set_params(tiny_graph("early-exit"), "exit_1", loss_weight=0.9, distil=0.0)
    heads = {head.node: head for head in head_losses(plan_of(graph))}
    assert (heads["head_1"].weight, heads["head_1"].distil) == (0.9, 0.0)
    assert heads["head_3"].weight == pytest.approx(3 / 6) and heads["head_6"].weight == 1.0


def test_branches_cost_what_they_alone_call(tiny_graph: Callable[[str], Graph]) -> None:
    what = plan_of(tiny_graph("routed-experts"))
    assert branch_costs(what, "router").tolist() == [1.0, 1.0, 1.0, 1.0, 0.0]
    goal = objective(replace(what), smoothing=0.1)
    assert goal.routers["router"].keys() == OFF.keys() and goal.ports == ("classifier.out",)
