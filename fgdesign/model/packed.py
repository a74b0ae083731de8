"""Encoder layers in evaluation on a CPU: weights laid out once as oneDNN multiplies them, in the precision of the run.

The products take their activation or their residual along, and hidden states stay in the fast precision from layer to
layer. What is computed is `EncoderLayer.forward` without dropout. Packed weights follow their layer: after a change
they are packed again. A layer marked `int8` multiplies int8 numbers instead. Knows nothing of graphs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fgdesign.model import quantised

if TYPE_CHECKING:
    from fgdesign.model.backbone import EncoderLayer

FUSED = {F.gelu: ("gelu", "none"), F.relu: ("relu", ""), torch.tanh: ("tanh", ""), torch.sigmoid: ("sigmoid", "")}
VERSION = attrgetter("_version")
NEAR = 0.05  # numbers near one may differ so much in the coarsest precision
_kept: WeakKeyDictionary[EncoderLayer, Packed] = WeakKeyDictionary()


@cache
def works(dtype: torch.dtype) -> bool:
    """Whether this torch has these operations, which it does not promise to keep, and they multiply right here."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    with torch.random.fork_rng(devices=[]):
        part = nn.Linear(32, 32)
    x = torch.linspace(-1, 1, 64).view(2, 32)
    try:
        with torch.inference_mode(), torch.autocast("cpu", enabled=False):
            found = two_products(part, part, torch.tanh, True, dtype)(x)
            wanted = x + part(torch.tanh(part(x)))
    except (AttributeError, RuntimeError, TypeError):
        return False
    return bool((found.float() - wanted).abs().max() < NEAR)


def usable(layer: EncoderLayer, hidden: Tensor) -> bool:
    """True in evaluation without gradients, on a CPU that oneDNN serves, where all products are plain ones.

    Weights that were made in inference mode do not count their changes: what is made from them cannot be kept.
    """
    if torch.is_grad_enabled() or layer.training or hidden.device.type != "cpu" or layer.ffn_norm.weight.is_inference():
        return False
    return works(run_dtype(hidden)) and all(type(part) is nn.Linear for part in _linears(layer))


def run_dtype(value: Tensor) -> torch.dtype:
    """What products of a value are computed in: the precision of autocast, or the value's own."""
    kind = value.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else value.dtype


def forget(layer: EncoderLayer) -> None:
    """Drop what was packed of a layer that learns: fused optimisers change weights without counting versions."""
    if any(parameter.requires_grad for parameter in layer.parameters()):
        _kept.pop(layer, None)


def forward(layer: EncoderLayer, hidden: Tensor, attention_mask: Tensor | None) -> Tensor:
    """As `EncoderLayer.forward`; the result is in the precision of the run."""
    packed = _packed(layer, run_dtype(hidden))
    hidden = hidden.to(packed.dtype)
    qkv = packed.qkv(hidden)
    query, key, value = qkv.view(*qkv.shape[:2], 3, layer.heads, -1).permute(2, 0, 3, 1, 4)
    mixed = F.scaled_dot_product_attention(query, key, value, attention_mask)
    hidden = packed.attention_norm(packed.attention_out(mixed.transpose(1, 2).flatten(2), hidden))
    inner = packed.ffn_in(hidden)
    return packed.ffn_norm(packed.ffn_out(inner, hidden))


def two_products(inner: nn.Module, outer: nn.Module, activation: Callable[[Tensor], Tensor], residual: bool,
                 dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """x -> x + outer(activation(inner(x))), or without the x; in a precision, with weights laid out once."""
    first = _activated(inner, activation, dtype)
    if residual:
        last_and_sum = _product_and_sum(outer, dtype)

        def run(x: Tensor) -> Tensor:
            x = x.to(dtype)
            return last_and_sum(first(x), x)

        return run
    last = _product(outer, dtype)
    return lambda x: last(first(x.to(dtype)))


@dataclass(frozen=True)
class Packed:
    """One layer's parts, ready to call, and what they were made from."""

    dtype: torch.dtype
    int8: bool
    state: tuple[int, ...]
    qkv: Callable[[Tensor], Tensor]
    attention_out: Callable[[Tensor, Tensor], Tensor]
    attention_norm: Callable[[Tensor], Tensor]
    ffn_in: Callable[[Tensor], Tensor]
    ffn_out: Callable[[Tensor, Tensor], Tensor]
    ffn_norm: Callable[[Tensor], Tensor]


def _linears(layer: EncoderLayer) -> tuple[nn.Module, ...]:
    return layer.qkv, layer.attention_out, layer.ffn_in, layer.ffn_out


def _packed(layer: EncoderLayer, dtype: torch.dtype) -> Packed:
    held = [p for part in layer._modules.values() if part is not None for p in part._parameters.values()
            if p is not None]
    state = (*map(torch.Tensor.data_ptr, held), sum(map(VERSION, held)))
    found = _kept.get(layer)
    if found is None or (found.dtype, found.int8, found.state) != (dtype, layer.int8, state):
        products = _int8_products(layer) if layer.int8 else (
            _product(layer.qkv, dtype), _product_and_sum(layer.attention_out, dtype),
            _activated(layer.ffn_in, layer.activation, dtype), _product_and_sum(layer.ffn_out, dtype))
        qkv, attention_out, ffn_in, ffn_out = products
        found = _kept[layer] = Packed(dtype, layer.int8, state, qkv, attention_out, _norm(layer.attention_norm, dtype),
                                      ffn_in, ffn_out, _norm(layer.ffn_norm, dtype))
    return found


def _int8_products(layer: EncoderLayer) -> tuple[Any, ...]:
    engine, activation = quantised.require(layer.ffn_norm.weight.device), layer.activation
    qkv, attention_out, ffn_in, ffn_out = (quantised.product(part, engine) for part in _linears(layer))
    return (qkv, lambda hidden, residual: attention_out(hidden) + residual,
            lambda hidden: activation(ffn_in(hidden)), lambda hidden, residual: ffn_out(hidden) + residual)


def _weights(part: Any, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    weight = part.weight.detach().to(dtype).contiguous()
    return torch.ops.mkldnn._reorder_linear_weight(weight), part.bias.detach().to(dtype)


def _activated(part: nn.Module, activation: Callable[[Tensor], Tensor],
               dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """The product and its activation, in one where oneDNN knows it."""
    if activation in FUSED:
        return _product(part, dtype, *FUSED[activation])
    plain = _product(part, dtype)
    return lambda hidden: activation(plain(hidden))


def _product(part: nn.Module, dtype: torch.dtype, activation: str = "none",
             how: str = "") -> Callable[[Tensor], Tensor]:
    weight, bias = _weights(part, dtype)
    multiply = torch.ops.mkldnn._linear_pointwise

    def run(hidden: Tensor) -> Tensor:
        out: Tensor = multiply(hidden, weight, bias, activation, [], how)
        return out

    return run


def _product_and_sum(part: nn.Module, dtype: torch.dtype) -> Callable[[Tensor, Tensor], Tensor]:
    weight, bias = _weights(part, dtype)
    multiply = torch.ops.mkldnn._linear_pointwise.binary

    def run(hidden: Tensor, residual: Tensor) -> Tensor:
        out: Tensor = multiply(hidden, residual, weight, bias, "add")
        return out

    return run


def _norm(part: nn.LayerNorm, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    weight, bias = part.weight.detach().to(dtype), part.bias.detach().to(dtype)
    shape, eps = part.normalized_shape, part.eps

    def run(hidden: Tensor) -> Tensor:
        return F.layer_norm(hidden, shape, weight, bias, eps)

    return run
