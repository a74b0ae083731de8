"""The running average of weights: its values, holding it for a while, and going on from a checkpoint."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fgdesign.training.average import EVERY, Average


@pytest.fixture
def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))


def move(network: nn.Module, value: float) -> None:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(value)


def test_it_is_the_exponential_average_of_every_fourth_step(network: nn.Module) -> None:
    average = Average(network, ["0.weight"], keep=0.9)
    expected = 0.0
    for step in range(1, 61):
        move(network, float(step))
        average.after(step)
        if step % EVERY == 0:
            count = step // EVERY
            stays = min(0.9**EVERY, (1 + count) / (10 + count))
            expected = step if count == 1 else expected * stays + step * (1 - stays)
    assert average.values.keys() == {"0.weight"}
    assert average.values["0.weight"].unique().item() == pytest.approx(expected, rel=1e-5)
    assert 50 < expected < 60


def test_the_network_holds_it_for_a_while_only(network: nn.Module) -> None:
    average = Average(network, ["0.weight"], keep=0.9)
    for step, value in ((4, 1.0), (8, 2.0)):
        move(network, value)
        average.after(step)
    with pytest.raises(ValueError, match="broke off"), average.in_place():
        assert 1 < network[0].weight.max() < 2 and network[1].weight.eq(2).all()
        raise ValueError("broke off")
    assert network[0].weight.eq(2).all()


@pytest.mark.parametrize(("keep", "steps"), [(0.0, 40), (0.98, EVERY - 1)])
def test_without_an_average_the_weights_are_as_they_are(network: nn.Module, keep: float, steps: int) -> None:
    average = Average(network, ["0.weight"], keep)
    for step in range(1, steps + 1):
        move(network, float(step))
        average.after(step)
    with average.in_place():
        assert network[0].weight.eq(steps).all()
    assert not average.values


def test_it_goes_on_from_its_values(network: nn.Module) -> None:
    whole, broken, again = (Average(network, ["0.weight"], 0.9) for _ in range(3))
    for step in range(1, 41):
        move(network, float(step))
        whole.after(step)
        if step <= 22:
            broken.after(step)
        if step == 22:
            again.restore({name: value.clone() for name, value in broken.values.items()}, step)
        if step > 22:
            again.after(step)
    assert torch.equal(again.values["0.weight"], whole.values["0.weight"])
