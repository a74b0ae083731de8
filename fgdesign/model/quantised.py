"""Encoder layers whose products multiply int8 numbers, in evaluation on a CPU.

Each row of a weight has a scale of its own, once; the rows of a call share theirs, found anew each time (dynamic
quantisation, as in torch.ao). Pays most where the processor has no native bfloat16. Knows nothing of graphs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from fgdesign.errors import DeviceError

ENGINES = ("onednn", "x86")  # the fastest first
LARGEST = 127  # of a symmetric int8 number
NEAR = 0.05  # relative error of a product that is computed right


@cache
def engine() -> str | None:
    """The engine that multiplies right here; None where there is none."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        part, x = nn.Linear(256, 64), 4 * torch.randn(32, 256)
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        wanted = part(x)
        for name in (name for name in ENGINES if name in torch.backends.quantized.supported_engines):
            try:
                found = product(part, name)(x)
            except (AttributeError, RuntimeError):
                continue
            if (found - wanted).norm() < NEAR * wanted.norm():
                return name
    return None


def require(device: torch.device) -> str:
    """The engine. Raises DeviceError where int8 numbers are not multiplied."""
    if device.type != "cpu" or engine() is None:
        raise DeviceError(f"Precision int8 is for processors with int8 products in torch, and this is "
                          f"{'a processor without' if device.type == 'cpu' else f'a {device.type} device'}. "
                          "Choose precision auto, which takes what is fastest here.")
    return str(engine())


def product(part: Any, name: str) -> Callable[[Tensor], Tensor]:
    """x (..., in) -> (..., out) of a linear layer, in x's own precision, its weight kept as int8 by an engine."""
    weight = part.weight.detach().float()
    scales = (weight.abs().amax(1) / LARGEST).clamp(min=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch means to drop these tensors; `engine` is None without them
        whole = torch.quantize_per_channel(weight, scales.double(), torch.zeros_like(scales).long(), 0, torch.qint8)
    packed = _packed(whole, part.bias.detach().float(), name)
    multiply = torch.ops.quantized.linear_dynamic

    def run(x: Tensor) -> Tensor:
        out: Tensor = multiply(x.float(), packed, False)
        return out.to(x.dtype)

    return run


def _packed(weight: Tensor, bias: Tensor, name: str) -> object:
    """Laid out by an engine; torch chooses it by a setting of the process."""
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = name
    try:
        return torch.ops.quantized.linear_prepack(weight, bias)
    finally:
        torch.backends.quantized.engine = before
