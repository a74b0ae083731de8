"""The table of settings: values refused with the rule, presets, words of the command line; and what they change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fgdesign.data.encode import buckets
from fgdesign.errors import DeviceError, InputError
from fgdesign.graph import Graph
from fgdesign.model import device
from fgdesign.model.build import plan
from fgdesign.model.network import FunctionGraph
from fgdesign.training.losses import objective, weighed
from fgdesign.training.optimise import gradient_norms, parameter_groups, rate_factor, set_rates
from fgdesign.training.order import Order, tune_epochs
from fgdesign.training.settings import (
    DEFAULTS,
    GROUPS,
    PRESETS,
    TABLE,
    Settings,
    as_words,
    check_nodes,
    from_words,
    preset,
    settings_from,
)
from fgdesign.training.stages import TUNE_VALIDATIONS


def test_every_setting_is_explained_and_has_a_default_in_its_range() -> None:
    for name, about in TABLE.items():
        assert about.group in GROUPS and about.label and about.help.endswith(".")
        assert from_words(name, as_words(getattr(DEFAULTS, name))) == getattr(DEFAULTS, name)
    assert settings_from(DEFAULTS.as_dict()) == DEFAULTS and not DEFAULTS.changed


@pytest.mark.parametrize(("name", "value", "rule"), [
    ("epochs", 1001, "whole number between 0 and 1000, or -1: 3 below"), ("epochs", -2, "between 0"),
    ("epochs", 1.5, "whole number"), ("rate", 1.5, "between 0 and 1"), ("rate", float("nan"), "between 0 and 1"),
    ("rate", True, "number between"), ("batch_size", 0, "between 1 and 4096"), ("balance", -0.5, "or -1: as drawn"),
    ("class_weights", 1, "true or false"), ("schedule", "cosinus", "one of: linear, cosine, constant"),
    ("device", "tpu:1", "one of: auto, cpu"), ("precision", "float16", "one of: auto, float32"),
    ("rates", "layer_6", "between 0 and 1, such as"), ("rates", "layer_6=2", "between 0 and 1"),
    ("rates", "=0.1", "names of nodes"), ("rates", {"a": 1}, "names of nodes"), ("clipp", 1.0, "Did you mean clip"),
])
def test_a_wrong_value_is_refused_with_the_rule(name: str, value: Any, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        settings_from({name: value})


def test_a_preset_is_a_start_and_is_known_again() -> None:
    assert [preset(name).preset for name in PRESETS] == ["fast", "balanced", "thorough"]
    assert preset("fast", seed=7, device="cpu").preset == "fast" and preset("fast", clip=0.5).preset == ""
    assert preset("fast", epochs=4).epochs == 4 and preset("thorough").schedule == "cosine"
    with pytest.raises(InputError, match="There is no preset 'slow'"):
        preset("slow")


@pytest.mark.parametrize("name", ["balanced", "thorough"])
def test_patience_outlasts_tuning_whose_gain_comes_as_the_rate_falls(name: str) -> None:
    settings = preset(name)
    assert settings.patience >= TUNE_VALIDATIONS * tune_epochs(settings, rows=1000)


def test_rates_name_nodes_of_the_graph() -> None:
    check_nodes(Settings(rates="exp*=0.1, head=0.2"), ("expert_1", "head"))
    with pytest.raises(InputError, match=r"names 'hed', which no node .* Did you mean head"):
        check_nodes(Settings(rates="hed=0.2"), ("expert_1", "head"))


@pytest.fixture
def network(tiny_graph: Callable[[str], Graph]) -> FunctionGraph:
    return FunctionGraph(plan(tiny_graph("routed-experts"), task="single", classes=3), seed=1)


def learned(network: FunctionGraph) -> list[str]:
    return [name for name, parameter in network.named_parameters() if parameter.requires_grad]


def test_each_parameter_has_one_rate(network: FunctionGraph) -> None:
    tuned, experts = network.pretrained_nodes(), [n for n in network.keys if n.startswith("expert")]
    chosen = Settings(rates=f"{tuned[-1]}=0.5,expert*=0.25")
    groups = {group["name"]: group for group in parameter_groups(network, learned(network), chosen, warm=False)}
    assert {name: group["lr"] for name, group in groups.items()} == {
        "pretrained layers": 3e-4, "all others": chosen.rate, tuned[-1]: 0.5, "expert*": 0.25}
    given = [id(p) for group in groups.values() for p in group["params"]]
    assert len(given) == len(set(given)) == len(learned(network))
    mine = {id(p) for node in experts for p in network.module_of(node).parameters()}
    assert experts and mine == {id(p) for p in groups["expert*"]["params"]}
    warm = parameter_groups(network, [learned(network)[-1]], DEFAULTS, warm=True)
    assert [group["lr"] for group in warm] == [DEFAULTS.warm_rate]


@pytest.mark.parametrize(("schedule", "middle", "end"), [("linear", 0.5, 0.0), ("cosine", 0.5, 0.0),
                                                         ("constant", 1.0, 1.0)])
def test_the_schedules(schedule: str, middle: float, end: float) -> None:
    factors = [rate_factor(step / 40, 0.0, schedule) for step in range(41)]
    assert (factors[0], factors[20], factors[40]) == pytest.approx((1.0, middle, end), abs=1e-9)
    assert factors == sorted(factors, reverse=True)
    optimiser = torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], "lr": 9.0, "base": 4.0, "name": "all"}])
    assert set_rates(optimiser, factors[20]) == {"all": pytest.approx(4 * middle)}


def test_the_cosine_stays_high_longer_and_falls_faster() -> None:
    assert rate_factor(0.25, 0.0, "cosine") > rate_factor(0.25, 0.0) and rate_factor(0.9, 0.0, "cosine") < 0.1


def test_gradient_norms_are_those_of_each_node(network: FunctionGraph) -> None:
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter) if parameter.requires_grad else None
    norms = gradient_norms(network, learned(network))
    for node, norm in norms.items():
        count = sum(p.numel() for p in network.module_of(node).parameters() if p.requires_grad)
        assert norm == pytest.approx(count**0.5)
    assert "router" in norms and gradient_norms(network, []) == {}


@pytest.mark.parametrize("tokens", [64, 100, 1000])
def test_batches_by_tokens_hold_what_fits(tokens: int) -> None:
    lengths = np.random.default_rng(0).integers(1, 90, 700)
    batches = buckets(lengths, 16, seed=1, epoch=2, shuffle=True, tokens=tokens)
    assert sorted(np.concatenate(batches)) == list(range(700))
    assert all(len(rows) == 1 or len(rows) * lengths[rows].max() <= tokens for rows in batches)
    assert len(batches) < 1.35 * lengths.sum() / min(tokens, 90) + 30
    assert max(map(len, batches)) > 16 or tokens < 1000


@pytest.mark.parametrize(("tokens", "accumulate"), [(0, 1), (0, 3), (120, 1), (120, 4)])
def test_an_order_goes_on_from_any_step(tokens: int, accumulate: int) -> None:
    lengths = np.random.default_rng(3).integers(2, 40, 75)
    order = Order(lengths, 3, 8, tokens, accumulate, seed=5)
    whole = list(order.steps(0))
    assert len(whole) == order.total and [step for step, _, _ in whole] == list(range(order.total))
    for epoch in range(3):
        rows = np.concatenate([batch for _, at, batches in whole if at == epoch for batch in batches])
        assert sorted(rows) == list(range(75))
    for first in range(order.total + 1):
        rest = list(order.steps(first))
        assert [(s, e) for s, e, _ in rest] == [(s, e) for s, e, _ in whole[first:]]
        assert all(np.array_equal(a, b) for one, other in zip(rest, whole[first:], strict=True)
                   for a, b in zip(one[2], other[2], strict=True))
    assert all(len(batches) <= accumulate for _, _, batches in whole)


def test_weights_of_losses_may_be_set_instead_of_drawn(tiny_graph: Callable[[str], Graph]) -> None:
    drawn = objective(plan(tiny_graph("routed-experts"), task="single", classes=3))
    assert weighed(drawn, DEFAULTS) == drawn
    own = weighed(drawn, Settings(balance=0.5, mutual_information=0.0)).routers["router"]
    assert (own["balance"], own["mutual_information"]) == (0.5, 0.0)
    assert own["z_loss"] == drawn.routers["router"]["z_loss"]
    exits = objective(plan(tiny_graph("early-exit"), task="single", classes=3))
    heads = weighed(exits, replace(DEFAULTS, exit_weight=0.3, distil=0.6)).heads
    assert all((head.weight, head.distil) == (0.3, 0.6) for head in heads if head.exit)
    assert [head for head in heads if head.exit is None] == [head for head in exits.heads if head.exit is None]


def test_a_precision_that_is_not_native_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    here = torch.device("cpu")
    monkeypatch.setattr(device, "fast_dtype", lambda _: torch.float32)
    assert device.step_dtype(here, "auto") == device.step_dtype(here, "float32") == torch.float32
    with pytest.raises(DeviceError, match="not native to this machine's cpu"):
        device.step_dtype(here, "bfloat16")
    monkeypatch.setattr(device, "fast_dtype", lambda _: torch.bfloat16)
    assert [device.step_dtype(here, name) for name in ("auto", "float32", "bfloat16")] == [
        torch.bfloat16, torch.float32, torch.bfloat16]
