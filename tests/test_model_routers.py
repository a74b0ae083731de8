"""Learned routers: gates, determinism, gradients and noise; heads' temperature; how sure an exit is."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from fgdesign.model.blocks.heads import Head
from fgdesign.model.blocks.routers import Router
from fgdesign.model.choosing import certainty


def router(method: str = "noisy_top_k", k: int = 1, scorer: str = "linear", noise: float = -1.0) -> Router:
    torch.manual_seed(0)
    return Router(8, branches=4, k=k, method=method, scorer=scorer, temperature=0.7, noise=noise)


ROUTED = pytest.mark.parametrize(("method", "k"), list(product(["noisy_top_k", "straight_through", "soft"], [1, 2])))


@ROUTED
@pytest.mark.parametrize("scorer", ["linear", "mlp"])
def test_a_router_in_use_takes_the_k_most_probable_branches_every_time(method: str, k: int, scorer: str) -> None:
    module, x = router(method, k, scorer).eval(), torch.randn(50, 8)
    first, again = module(x, None), module(x, None)
    values = ("probabilities", "scores", "called", "gates", "agreement")
    assert all(torch.equal(getattr(first, name), getattr(again, name)) for name in values)
    for row in range(50):
        p = (module.scorer(module.norm(x[row])) / 0.7).softmax(-1)
        best = p.argsort(descending=True)[:k]
        assert set(first.called[row].nonzero().squeeze(1).tolist()) == set(best.tolist())
        gates = torch.zeros(4)
        gates[best] = torch.ones(k) if method == "straight_through" else p[best] / (
            1.0 if method == "noisy_top_k" and k == 1 else p[best].sum())
        torch.testing.assert_close(first.gates[row], gates)
    assert first.agreement == 1.0


@ROUTED
def test_training_reaches_the_scorer_through_the_gates(method: str, k: int) -> None:
    module, x = router(method, k).train(), torch.randn(50, 8)
    choice = module(x, None)
    (choice.gates * torch.rand(50, 4)).sum().backward()
    assert bool(module.scorer.weight.grad.abs().sum() > 1e-4)
    assert torch.equal(choice.called, choice.gates.detach() > 0)
    assert choice.called.sum(1).tolist() == [4 if method == "soft" else k] * 50


@pytest.mark.parametrize("method", ["noisy_top_k", "straight_through"])
def test_noise_explores_and_agreement_tells_how_much(method: str) -> None:
    module, x = router(method, noise=2.0).train(), torch.randn(400, 8)
    choice, plain = module(x, None), router(method).eval()(x, None)
    same = float((choice.called == plain.called).all(1).float().mean())
    assert 0.2 < same < 0.95
    assert choice.agreement == pytest.approx(same)


def test_gumbel_noise_draws_branches_by_their_probability() -> None:
    module, x = router("straight_through").train(), torch.randn(1, 8)
    choice = module(x.expand(20_000, -1), None)
    torch.testing.assert_close(choice.called.float().mean(0), choice.probabilities[0], atol=0.015, rtol=0)


def test_without_noise_training_routes_as_use_does() -> None:
    module, x = router(noise=0.0), torch.randn(50, 8)
    assert torch.equal(module.train()(x, None).called, module.eval()(x, None).called)


def test_a_router_pools_a_sequence_over_its_real_positions() -> None:
    module, x = router().eval(), torch.randn(2, 5, 8)
    mask = torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
    pooled = torch.stack([x[0].mean(0), x[1, :2].mean(0)])
    torch.testing.assert_close(module(x, mask).scores, module(pooled, None).scores)


def test_a_head_is_tempered_in_use_only() -> None:
    head, x = Head(8, 3, norm=True, dropout=0.0, hidden=0), torch.randn(4, 8)
    head.temperature.fill_(2.0)
    torch.testing.assert_close(head.train()([x], None), head.eval()([x], None) * 2.0)


SURE = [
    ("confidence", [0.7, 0.2, 0.1], 0.7), ("margin", [0.7, 0.2, 0.1], 0.5), ("entropy", [1.0, 0.0, 0.0], 1.0),
    ("entropy", [1 / 3, 1 / 3, 1 / 3], 0.0), ("margin", [0.5, 0.5, 0.0], 0.0), ("margin", [1.0], 1.0),
]


@pytest.mark.parametrize(("measure", "p", "expected"), SURE)
def test_certainty(measure: str, p: list[float], expected: float) -> None:
    logits = torch.tensor([p]).clamp(min=1e-9).log() + 3.0
    assert float(certainty(logits, measure)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("measure", "expected"), [("confidence", 0.8), ("margin", 0.6)])
def test_certainty_of_several_labels_is_the_mean_of_their_yes_or_no(measure: str, expected: float) -> None:
    logits = torch.tensor([[0.9, 0.3]]).logit()
    assert float(certainty(logits, measure, several=True)) == pytest.approx(expected, abs=1e-5)
