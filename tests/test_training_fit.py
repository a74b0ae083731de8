"""What is fitted in closed form finds what was planted, or what another solver finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import Tensor
from torch.nn import functional as F

from fgdesign.training import fit
from fgdesign.training.fit import fit_linear, fit_temperature, fit_weights, pick_decision, pick_threshold


def test_a_sum_of_opinions_is_never_below_one_of_them() -> None:
    targets = torch.tensor([0, 0, 1, 1])
    good = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    bad = -3 * good
    assert fit.never_below_one(torch.ones(2), [good, bad], targets).tolist() == [1.0, 0.0]
    assert fit.never_below_one(torch.ones(2), [good, good], targets).tolist() == [1.0, 1.0]


def cross(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits, targets, reduction="none")


def squares(values: Tensor, targets: Tensor) -> Tensor:
    return (values[:, 0] - targets) ** 2


def classes(rows: int, seed: int, width: int = 6, count: int = 3) -> tuple[Tensor, Tensor]:
    """Features, and targets drawn from a planted logistic model."""
    draw = torch.Generator().manual_seed(seed)
    planted = torch.randn(width, count, generator=torch.Generator().manual_seed(99))
    features = torch.randn(rows, width, generator=draw)
    return features, torch.multinomial((features @ planted).softmax(-1), 1, generator=draw).squeeze(1)


@pytest.mark.parametrize("turned", [1024, 3])
def test_a_head_is_the_optimum_another_solver_finds(monkeypatch: pytest.MonkeyPatch, turned: int) -> None:
    penalty = 1e-2
    monkeypatch.setattr(fit, "MOST_TURNED", turned)
    monkeypatch.setattr(fit, "PENALTIES", (penalty,))
    monkeypatch.setattr(fit, "fit_temperature", lambda *_: 1.0)
    features, targets = classes(300, 1)
    weight, bias, _ = fit_linear(features, targets, 3, cross, *classes(100, 2))
    other = LogisticRegression(C=3 / (penalty * 300), max_iter=5000, tol=1e-10).fit(features.numpy(), targets.numpy())
    mine = (features @ weight.T + bias).softmax(-1).numpy()
    np.testing.assert_allclose(mine, other.predict_proba(features.numpy()), atol=2e-3)


def test_features_far_from_zero_that_go_together_are_fitted_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Along some directions there is a thousandth of what there is along others."""
    penalty = 1e-3
    monkeypatch.setattr(fit, "PENALTIES", (penalty,))
    monkeypatch.setattr(fit, "fit_temperature", lambda *_: 1.0)
    plain, targets = classes(300, 1)
    mixed = torch.diag(10.0 ** -torch.arange(0, 3, 0.5)) @ torch.randn(6, 6, generator=torch.Generator().manual_seed(3))
    features = plain @ mixed + 5.0
    weight, bias, _ = fit_linear(features, targets, 3, cross, features, targets)
    exact = features.double().numpy()
    other = LogisticRegression(C=3 / (penalty * 300), max_iter=50_000, tol=1e-12).fit(exact, targets.numpy())
    mine = (features @ weight.T + bias).softmax(-1).numpy()
    np.testing.assert_allclose(mine, other.predict_proba(exact), atol=5e-3)


def test_features_that_are_no_numbers_leave_a_head_without_an_opinion() -> None:
    features, targets = classes(30, 1)
    features[4, 2] = float("nan")
    weight, bias, _ = fit_linear(features, targets, 3, cross, *classes(30, 2))
    assert not weight.any() and not bias.any()


def test_a_regression_is_a_ridge(monkeypatch: pytest.MonkeyPatch) -> None:
    penalty = 3e-2
    monkeypatch.setattr(fit, "PENALTIES", (penalty,))
    features, _ = classes(200, 3)
    targets = features @ torch.arange(6.0) + 40 + torch.randn(200, generator=torch.Generator().manual_seed(4))
    weight, bias, _ = fit_linear(features, targets, 1, squares, features, targets)
    other = Ridge(alpha=0.5 * penalty * 200).fit(features.numpy(), targets.numpy())
    np.testing.assert_allclose(weight[0].numpy(), other.coef_, atol=2e-3)
    assert float(bias) == pytest.approx(float(other.intercept_), abs=1e-2)


def test_the_penalty_is_chosen_on_validation_rows() -> None:
    features, targets = classes(40, 5, width=30)
    valid = classes(400, 6, width=30)
    weight, bias, score = fit_linear(features, targets, 3, cross, *valid)
    assert score == pytest.approx(float(cross(valid[0] @ weight.T + bias, valid[1]).mean()), rel=1e-5)
    tried = []
    for penalty in fit.PENALTIES:
        model = LogisticRegression(C=3 / (penalty * 40), max_iter=5000).fit(features.numpy(), targets.numpy())
        logits = torch.from_numpy(model.predict_proba(valid[0].numpy())).log()
        tried.append(float(cross(logits / fit_temperature(logits, valid[1], cross), valid[1]).mean()))
    assert score <= tried[-1] + 1e-3 and score == pytest.approx(min(tried), rel=0.05)


def test_few_rows_a_class_get_a_strong_penalty_and_a_map_that_is_as_sure_as_it_is_right() -> None:
    """Classes around centres, three rows each: the map that is nearly the centres is right most often, and unsure."""
    count, width, draw = 40, 24, torch.Generator().manual_seed(11)
    centres = torch.randn(count, width, generator=draw)

    def rows(each: int) -> tuple[Tensor, Tensor]:
        targets = torch.arange(count).repeat(each)
        seen = centres[targets] + 1.2 * torch.randn(len(targets), width, generator=draw)
        return F.layer_norm(seen, (width,)), targets

    features, targets = rows(3)
    learned, valid, test = (features, targets), rows(10), rows(50)
    weight, bias, score = fit_linear(*learned, count, cross, *valid)
    weak = LogisticRegression(C=count / (0.1 * len(targets)), max_iter=5000).fit(features.numpy(), targets.numpy())
    told = test[0] @ weight.T + bias
    assert float((told.argmax(1) == test[1]).float().mean()) > weak.score(test[0].numpy(), test[1].numpy()) + 0.01
    assert fit_temperature(valid[0] @ weight.T + bias, valid[1], cross) == pytest.approx(1.0, abs=0.02)
    assert float(cross(told, test[1]).mean()) == pytest.approx(score, rel=0.15)


@pytest.mark.parametrize("planted", [0.5, 1.0, 3.0])
def test_a_planted_temperature_is_found(planted: float) -> None:
    draw = torch.Generator().manual_seed(7)
    logits = 2 * torch.randn(4000, 4, generator=draw)
    targets = torch.multinomial(logits.softmax(-1), 1, generator=draw).squeeze(1)
    assert fit_temperature(logits * planted, targets, cross) == pytest.approx(planted, rel=0.08)


def test_a_temperature_stays_in_bounds() -> None:
    right = torch.eye(3).repeat(20, 1)
    targets = torch.arange(3).repeat(20)
    assert 0.05 <= fit_temperature(right, targets, cross) <= 20
    assert 0.05 <= fit_temperature(-right * 50, targets, cross) <= 20
    assert fit_temperature(right * float("nan"), targets, cross) == 1.0


def test_planted_merge_weights_are_found() -> None:
    draw = torch.Generator().manual_seed(8)
    opinions = [torch.randn(6000, 3, generator=draw).log_softmax(-1) for _ in range(3)]
    planted = torch.tensor([1.2, 0.5, 0.02])
    mixed = torch.einsum("i,inc->nc", planted, torch.stack(opinions))
    targets = torch.multinomial(mixed.softmax(-1), 1, generator=draw).squeeze(1)
    found = fit_weights(opinions, targets, cross, torch.full((3,), 1 / 3))
    assert found.tolist() == pytest.approx(planted.tolist(), abs=0.12)


def test_merge_weights_stay_where_nothing_is_better() -> None:
    start = torch.tensor([0.5, 0.5])
    opinions = [torch.full((40, 2), float("nan"))] * 2
    assert fit_weights(opinions, torch.zeros(40, dtype=torch.int64), cross, start) is start


def smallest(sure: Tensor, given_up: Tensor, tolerance: float) -> float:
    """The rule, row by row: go down while exits give up no more than the tolerance."""
    best = 1.0
    for threshold in np.arange(100, 0, -1) / 100:
        lost = 0.0
        for row in range(sure.shape[1]):
            taken = next((e for e in range(len(sure)) if float(sure[e, row]) >= float(np.float32(threshold))), None)
            lost += 0.0 if taken is None else float(given_up[taken, row])
        if lost / sure.shape[1] > tolerance + 1e-8:
            return best
        best = float(threshold)
    return best


@pytest.mark.parametrize("tolerance", [0.0, 0.004, 0.05, 0.3, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_thresholds_follow_the_rule(seed: int, tolerance: float) -> None:
    draw = torch.Generator().manual_seed(seed)
    sure = torch.rand(3, 120, generator=draw)
    given_up = torch.rand(3, 120, generator=draw) * (torch.rand(3, 120, generator=draw) > sure) - 0.02
    assert pick_threshold(sure, given_up, tolerance) == pytest.approx(smallest(sure, given_up, tolerance))


def test_exits_that_give_up_much_leave_the_graph_at_full_depth() -> None:
    sure, much = torch.full((1, 40), 0.99), torch.full((1, 40), 0.5)
    assert pick_threshold(sure, much, 0.004) == 1.0
    assert pick_threshold(sure, 0 * much, 0.0) == 0.01
    assert pick_threshold(sure, -much, 0.0) == 0.01


def test_a_label_is_given_from_where_f1_is_largest() -> None:
    truth = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    low = torch.tensor([[0.32, 0.1], [0.31, 0.2], [0.05, 0.33], [0.12, 0.1]])
    assert pick_decision(low, truth) == pytest.approx(0.3)
    assert pick_decision(truth, truth) == 0.5  # all thresholds are as good: the usual one
