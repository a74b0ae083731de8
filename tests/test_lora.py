"""Tuned encoder layers: what is trained, what stays, and that step 0 changes nothing."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import nn

from fgdesign.errors import GraphError
from fgdesign.model.backbone import EncoderLayer, attention_mask_of
from fgdesign.model.lora import PARTS, TUNINGS, BottleneckAdapter, LoRALinear, Tuning, tune_layer


def tiny_layer() -> EncoderLayer:
    return EncoderLayer(width=32, heads=4, ffn_width=48, activation="gelu_new").eval()


TRAINED = {
    "frozen": set(),
    "lora": {f"{name}.{part}" for name in PARTS for part in ("down", "up")},
    "adapter": {
        f"{name}.1.{part}.{kind}"
        for name in ("attention_out", "ffn_out")
        for part in ("down", "up")
        for kind in ("weight", "bias")
    },
    "full": {name for name, _ in tiny_layer().named_parameters()},
}


@pytest.mark.parametrize("tuning", TUNINGS)
def test_a_tuned_layer_starts_as_the_frozen_one_and_trains_only_its_own(tuning: Tuning) -> None:
    layer, hidden = tiny_layer(), torch.randn(2, 5, 32)
    mask = attention_mask_of(torch.tensor([[True] * 5, [True] * 3 + [False] * 2]))
    expected = layer(hidden, mask)
    tuned = tune_layer(layer, tuning=tuning, rank=2, bottleneck=4)
    assert torch.equal(tuned(hidden, mask), expected)
    assert {name for name, weight in tuned.named_parameters() if weight.requires_grad} == TRAINED[tuning]


@pytest.mark.parametrize("tuning", ["lora", "adapter"])
def test_training_a_tuned_layer_moves_its_answer_but_not_the_weights_it_shares(tuning: Tuning) -> None:
    layer, hidden = tiny_layer(), torch.randn(2, 5, 32)
    before, names = layer(hidden, None), set(layer.state_dict())
    tuned = tune_layer(layer, tuning=tuning)
    optimiser = torch.optim.SGD([weight for weight in tuned.parameters() if weight.requires_grad], lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        tuned(hidden, None)[..., 0].sum().backward()
        optimiser.step()
    assert not torch.allclose(tuned(hidden, None), before)
    assert torch.equal(layer(hidden, None), before)
    assert set(layer.state_dict()) == names
    shared = {id(weight) for weight in layer.parameters()} & {id(weight) for weight in tuned.parameters()}
    assert len(shared) == len(names)


def test_lora_on_a_packed_linear_is_lora_on_each_product() -> None:
    lora, x = LoRALinear(nn.Linear(6, 12), rank=2, alpha=6.0, parts=3), torch.randn(5, 6)
    nn.init.normal_(lora.up)
    apart = [3.0 * x @ a.T @ b.T for a, b in zip(lora.down.chunk(3), lora.up, strict=True)]
    torch.testing.assert_close(lora(x), lora.base(x) + torch.cat(apart, dim=1))


def test_an_adapter_adds_a_bottleneck_to_its_input() -> None:
    adapter, x = BottleneckAdapter(6, 2, activation="relu"), torch.randn(3, 6)
    assert torch.equal(adapter(x), x)
    nn.init.normal_(adapter.up.weight)
    torch.testing.assert_close(adapter(x), x + adapter.down(x).relu() @ adapter.up.weight.T)


def test_an_unknown_tuning() -> None:
    with pytest.raises(GraphError, match=r"'lorra' of an encoder layer is unknown\. Did you mean lora"):
        tune_layer(tiny_layer(), tuning=cast(Tuning, "lorra"))
