"""Encoder layers as they run in evaluation: the same numbers as in training, whatever happens to their weights."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from fgdesign.model import packed
from fgdesign.model.backbone import EncoderLayer
from fgdesign.model.lora import tune_layer

NEAR = {torch.float32: 2e-5, torch.bfloat16: 5e-2}


def layer_of(activation: str = "gelu") -> EncoderLayer:
    torch.manual_seed(1)
    layer = EncoderLayer(width=32, heads=4, ffn_width=48, activation=activation)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return layer.eval()


def batch() -> tuple[Tensor, Tensor]:
    mask = torch.arange(7) < torch.tensor([7, 4, 1])[:, None]
    return torch.randn(3, 7, 32, generator=torch.Generator().manual_seed(2)), mask[:, None, None, :]


def in_training(layer: EncoderLayer, hidden: Tensor, mask: Tensor | None) -> Tensor:
    """What the layer gives where gradients are asked for."""
    with torch.enable_grad():
        return layer(hidden, mask).detach()


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu", "tanh", "silu"])
@pytest.mark.parametrize("dtype", NEAR)
@pytest.mark.parametrize("masked", [True, False])
def test_evaluation_gives_the_numbers_of_training(activation: str, dtype: torch.dtype, masked: bool) -> None:
    layer, (hidden, mask) = layer_of(activation), batch()
    mask = mask if masked else None
    with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        is_packed = packed.usable(layer, hidden)
        found = layer(hidden, mask)
    assert is_packed == packed.works(dtype) and (is_packed or dtype == torch.bfloat16)  # not every processor has it
    assert found.dtype == dtype or not is_packed
    torch.testing.assert_close(found.float(), in_training(layer, hidden, mask), atol=NEAR[dtype], rtol=NEAR[dtype])


def test_packed_weights_follow_their_layer() -> None:
    layer, (hidden, mask) = layer_of(), batch()
    for change in (lambda: layer.ffn_out.weight.mul_(1.5), lambda: layer.attention_norm.bias.add_(0.3),
                   lambda: layer.load_state_dict(layer_of("relu").state_dict())):
        with torch.inference_mode():
            layer(hidden, mask)
        with torch.no_grad():
            change()
        with torch.inference_mode():
            torch.testing.assert_close(layer(hidden, mask), in_training(layer, hidden, mask), atol=2e-5, rtol=2e-5)


def test_packed_weights_follow_what_an_optimiser_does() -> None:
    layer, (hidden, mask) = layer_of(), batch()
    fused = torch.optim.AdamW(layer.parameters(), lr=0.1, fused=True)
    for _ in range(2):
        with torch.inference_mode():
            torch.testing.assert_close(layer(hidden, mask), in_training(layer, hidden, mask), atol=2e-5, rtol=2e-5)
        torch.autograd.backward(layer.train()(hidden, mask).square().sum())
        fused.step()
        layer.eval()
    with torch.inference_mode():
        torch.testing.assert_close(layer(hidden, mask), in_training(layer, hidden, mask), atol=2e-5, rtol=2e-5)


def test_a_layer_that_was_made_in_inference_mode_runs_there() -> None:
    with torch.inference_mode():
        layer, (hidden, mask) = layer_of(), batch()
        first = layer(hidden, mask)
        torch.testing.assert_close(first, in_training(layer, hidden, mask), atol=2e-5, rtol=2e-5)
        layer.ffn_in.weight.mul_(2)
        assert not torch.allclose(layer(hidden, mask), first, atol=1e-2)


def test_a_copy_has_weights_of_its_own() -> None:
    layer, (hidden, mask) = layer_of(), batch()
    with torch.inference_mode():
        before = layer(hidden, mask)
    other = copy.deepcopy(layer)
    with torch.no_grad():
        other.qkv.weight.mul_(2)
    with torch.inference_mode():
        assert torch.equal(layer(hidden, mask), before)
        assert not torch.allclose(other(hidden, mask), before, atol=1e-2)


def test_where_gradients_flow_or_a_product_is_no_plain_one_the_layer_runs_as_it_is_written() -> None:
    layer, (hidden, _) = layer_of(), batch()
    assert not packed.usable(layer, hidden)
    with torch.inference_mode():
        assert not packed.usable(layer.train(), hidden)
        tuned = tune_layer(layer_of(), tuning="lora", rank=2, alpha=4.0, bottleneck=4).eval()
        assert not packed.usable(tuned, hidden)
