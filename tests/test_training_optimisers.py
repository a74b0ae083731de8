"""The optimisers of training beside those of torch: the same steps, and what follows from a stop between two."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from fgdesign.model.lbfgs import minimise
from fgdesign.training.adamw import AdamW


def layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, 3))


def groups(net: nn.Sequential) -> list[dict[str, object]]:
    return [{"params": list(net[0].parameters()), "lr": 0.02}, {"params": list(net[2].parameters()), "lr": 0.3}]


def learn(net: nn.Sequential, optimiser: AdamW | torch.optim.AdamW, number: int, *, all_of_it: bool = True) -> None:
    optimiser.zero_grad()
    rows = torch.sin(torch.arange(28.0).view(4, 7) * (number + 1))
    net(rows if all_of_it else rows * 0).square().sum().backward()
    if not all_of_it:
        net[0].weight.grad = None  # no gradient has come here
    optimiser.param_groups[0]["lr"] = 0.02 / (number + 1)
    optimiser.step()


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_adamw_moves_weights_to_the_bit_as_the_class_of_torch() -> None:
    ours, theirs = layers(), layers()
    mine = AdamW(groups(ours), 0.1)
    reference = torch.optim.AdamW(groups(theirs), weight_decay=0.1, fused=True)
    for number in range(6):
        for net, optimiser in ((ours, mine), (theirs, reference)):
            learn(net, optimiser, number, all_of_it=number != 0)
        assert same(ours, theirs), number
    assert not same(ours, layers())


def test_adamw_goes_with_a_scaler_that_skips_what_overflows() -> None:
    ours, theirs = layers(), layers()
    for net, optimiser in ((ours, AdamW(groups(ours), 0.1)),
                           (theirs, torch.optim.AdamW(groups(theirs), weight_decay=0.1, fused=True))):
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, enabled=True)
        for number, rows in enumerate((torch.ones(2, 7), torch.full((2, 7), float("inf")), torch.eye(7))):
            optimiser.zero_grad()
            scaler.scale(net(rows).square().sum()).backward()
            scaler.unscale_(optimiser)
            before = net[2].weight.clone()
            scaler.step(optimiser)
            scaler.update()
            assert torch.equal(net[2].weight, before) is (number == 1)
        assert scaler.get_scale() == 2.0**9
    assert same(ours, theirs)


def test_adamw_goes_on_as_if_nothing_had_been() -> None:
    one, other = layers(), layers()
    first, second = AdamW(groups(one), 0.1), AdamW(groups(other), 0.1)
    for number in range(3):
        learn(one, first, number)
    other.load_state_dict(one.state_dict())
    kept = {name: tensor.clone() for name, tensor in first.tensors().items()}
    assert set(kept) == {f"{place}.{what}" for place in range(4) for what in ("step", "exp_avg", "exp_avg_sq")}
    second.restore(kept)
    for net, optimiser in ((one, first), (other, second)):
        learn(net, optimiser, 5)
    assert same(one, other)
    assert kept["0.step"] == 3  # what was given is not what is moved


def logistic() -> tuple[list[Tensor], Callable[[], Tensor]]:
    random = torch.Generator().manual_seed(3)
    rows, targets = torch.randn(300, 20, generator=random), torch.randint(0, 4, (300,), generator=random)
    weights = [torch.zeros(4, 20, requires_grad=True), torch.zeros(4, requires_grad=True)]
    return weights, lambda: (nn.functional.cross_entropy(rows @ weights[0].T + weights[1], targets)
                             + 1e-3 * weights[0].square().sum())


def valley() -> tuple[list[Tensor], Callable[[], Tensor]]:
    """Rosenbrock's: the floor is curved, its lowest point at (1, 1)."""
    place = torch.tensor([-1.2, 1.0], requires_grad=True)
    return [place], lambda: (1 - place[0]).square() + 100 * (place[1] - place[0].square()).square()


@pytest.mark.parametrize("problem", [logistic, valley])
def test_lbfgs_comes_as_low_as_that_of_torch(problem: Callable[[], tuple[list[Tensor], Callable[[], Tensor]]]) -> None:
    parameters, total = problem()
    start = float(total().detach())
    minimise(total, parameters)
    theirs, their_total = problem()
    solver = torch.optim.LBFGS(theirs, max_iter=60, history_size=10, line_search_fn="strong_wolfe",
                               tolerance_grad=1e-5, tolerance_change=1e-7)

    def closure() -> Tensor:
        solver.zero_grad()
        value = their_total()
        value.backward()
        return value

    solver.step(closure)
    assert float(total().detach()) <= float(their_total().detach()) + 1e-5 < start
    for mine, other in zip(parameters, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=2e-2, rtol=0)


def test_lbfgs_leaves_alone_what_it_cannot_make_lower() -> None:
    nothing = torch.tensor([2.0], requires_grad=True)
    minimise(lambda: (nothing / 0).sum(), [nothing])
    assert nothing.item() == 2
    least = torch.zeros(3, requires_grad=True)
    minimise(lambda: least.square().sum(), [least])
    assert not least.detach().any()
    one_way = torch.tensor([1.0], requires_grad=True)  # no least value: as far as the steps go, and always a number
    minimise(lambda: -one_way.log().sum(), [one_way], steps=5)
    assert one_way.item() > 1 and bool(torch.isfinite(one_way))


def test_lbfgs_takes_no_more_steps_than_asked() -> None:
    values = []
    for steps in (0, 1, 3):
        parameters, total = valley()
        minimise(total, parameters, steps=steps)
        values.append(float(total().detach()))
    assert values[0] == pytest.approx(24.2) and values[0] > values[1] > values[2] > 1e-3
