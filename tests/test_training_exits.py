"""Thresholds of exits: what they give up is what the full graph thinks of both answers, not a count of luck."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from model_toys import on_tiny, tiny_folder, toy_network
from torch import Tensor

from fgdesign.graph.starters import Sketch
from fgdesign.model.choosing import Exit
from fgdesign.model.network import FunctionGraph
from fgdesign.training.calibrate import Opinions, exit_shares, pick_thresholds

EARLY = "head_1.out"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("tiny"))


def net(folder: Path, task: str = "single", **params: float | bool) -> FunctionGraph:
    """One exit after the first layer, one head above the second."""
    s = Sketch()
    lower = s.layers(s.text(max_length=20), 1, 1)
    s.add("leave", "exit", lower, logits=s.add("head_1", "classifier", s.add("pool_1", "pool", lower)), **params)
    upper = s.add("layer_2", "encoder_layer", "leave.next", index=2)
    s.add("answer", "answer", "leave.answer", s.add("head_2", "classifier", s.add("pool_2", "pool", upper)))
    return toy_network(on_tiny(s, folder, task), task, 2)


def logits(odds: list[float]) -> Tensor:
    """(n, 2) log-probabilities of two classes, the first this likely."""
    first = torch.tensor(odds)
    return torch.stack([first, 1 - first], 1).log()


def rows(of_100: int, odds: float, other: float = 0.9) -> list[float]:
    """100 rows, some of one kind."""
    return [odds] * of_100 + [other] * (100 - of_100)


def true_to(answer: Tensor) -> Tensor:
    """Targets as often right as the answers are sure, so that they need no temperature."""
    sure, said = answer.softmax(1).max(1)
    wrong = torch.zeros(len(said), dtype=torch.bool)
    for kind in set(sure.tolist()):
        of_kind = (sure == kind).nonzero().squeeze(1)
        wrong[of_kind[: round((1 - kind) * len(of_kind))]] = True
    return torch.where(wrong, 1 - said, said)


def picked(network: FunctionGraph, early: Tensor, answer: Tensor, targets: Tensor) -> float | None:
    return pick_thresholds(network, Opinions({EARLY: early}, answer), targets)


@pytest.mark.parametrize(("differ", "lowest"), [(1, True), (10, False)])
def test_a_doubtful_answer_of_the_full_graph_costs_little(folder: Path, differ: int, lowest: bool) -> None:
    """Where it is 0.6 sure, an exit that says the other class gives up 0.2 of an answer: 0.3 of 100 are allowed."""
    answer = logits(rows(differ, 0.6))
    found = picked(net(folder), logits(rows(differ, 0.2)), answer, true_to(answer))
    assert found == pytest.approx(0.01 if lowest else 0.81)  # 0.8 sure where they differ, 0.9 where they agree


def test_one_answer_that_the_full_graph_is_sure_of_is_too_much(folder: Path) -> None:
    answer = logits(rows(1, 0.9))
    assert picked(net(folder), logits(rows(1, 0.2)), answer, true_to(answer)) == pytest.approx(0.81)
    assert picked(net(folder, tolerance=0.01), logits(rows(1, 0.2)), answer, true_to(answer)) == pytest.approx(0.01)


def test_with_no_tolerance_exits_answer_only_what_the_full_graph_would(folder: Path) -> None:
    answer = logits(rows(1, 0.51))
    assert picked(net(folder, tolerance=0.0), logits(rows(1, 0.45)), answer, true_to(answer)) == pytest.approx(0.56)
    assert picked(net(folder, tolerance=0.0), answer, answer, true_to(answer)) == pytest.approx(0.01)


def test_a_graph_that_is_too_sure_of_itself_is_not_believed(folder: Path) -> None:
    """Logits ten times too large say 0.9 or more everywhere; the targets show how likely the answers are."""
    answer = logits(rows(2, 0.6))
    found = picked(net(folder, tolerance=0.004), logits(rows(2, 0.2)), 10 * answer, true_to(answer))
    assert found == pytest.approx(0.01)


def test_of_several_labels_all_have_to_be_right(folder: Path) -> None:
    network = net(folder, "multi")
    odds = torch.tensor([[0.9, 0.9]] * 99 + [[0.6, 0.9]])
    early = torch.tensor([[0.9, 0.9]] * 99 + [[0.3, 0.9]])
    targets = torch.ones(100, 2)
    assert picked(network, early.logit(), odds.logit(), targets) == pytest.approx(0.01)  # 0.9 * (0.6 - 0.4)
    early[90:] = torch.tensor([0.3, 0.9])
    found = picked(network, early.logit(), odds.logit(), targets)
    assert found is not None and 0.7 < found <= 0.9


def test_rows_that_an_exit_has_no_opinion_of_go_on(folder: Path) -> None:
    answer = logits(rows(0, 0.9))
    early = answer.clone()
    early[50:] = torch.nan
    network = net(folder)
    assert picked(network, early, answer, true_to(answer)) == pytest.approx(0.01)
    told = exit_shares(network, Opinions({EARLY: early}, answer), true_to(answer))
    assert [place["share"] for place in told] == [0.5, 0.5]


def test_few_rows_or_a_threshold_of_ones_own_change_nothing(folder: Path) -> None:
    answer = logits(rows(0, 0.9))
    assert picked(net(folder), answer[:29], answer[:29], true_to(answer)[:29]) is None
    by_hand = net(folder, automatic=False, threshold=0.7)
    assert picked(by_hand, answer, answer, true_to(answer)) is None
    module = by_hand.module_of("leave")
    assert isinstance(module, Exit) and float(module.threshold) == pytest.approx(0.7)
