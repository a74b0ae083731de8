"""Few trained numbers inside a frozen encoder layer: low-rank updates and bottleneck adapters.

Both change nothing at step 0: a tuned layer first answers like the pretrained one. Knows nothing of training.
"""

from __future__ import annotations

import copy
import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fgdesign.errors import GraphError, choices
from fgdesign.model.backbone import EncoderLayer, activation_named

Tuning = Literal["frozen", "lora", "adapter", "full"]
TUNINGS: tuple[Tuning, ...] = ("frozen", "lora", "adapter", "full")
PARTS = {"qkv": 3, "attention_out": 1, "ffn_in": 1, "ffn_out": 1}  # how many products each linear packs


class LoRALinear(nn.Module):
    """A frozen linear plus a trained update of low rank: W x + b + alpha / rank * B A x.

    Hu et al. 2021 (https://arxiv.org/abs/2106.09685). B starts at zero. A linear that packs several products
    (`parts`) has an A and a B for each, as if they were apart.
    """

    def __init__(self, base: nn.Linear, *, rank: int, alpha: float, parts: int = 1) -> None:
        super().__init__()
        self.base, self.parts, self.scale = base, parts, alpha / rank
        self.down = nn.Parameter(base.weight.new_empty(parts * rank, base.in_features))
        self.up = nn.Parameter(base.weight.new_zeros(parts, base.out_features // parts, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) float -> (..., out_features) float."""
        low = F.linear(x, self.down).reshape(*x.shape[:-1], self.parts, -1)
        update = torch.einsum("...pr,por->...po", low, self.up).flatten(-2)
        return torch.add(self.base(x), update, alpha=self.scale)


class BottleneckAdapter(nn.Module):
    """A small network added to its own input: x + up(activation(down(x))), where `up` starts at zero.

    Houlsby et al. 2019 (https://arxiv.org/abs/1902.00751); Pfeiffer et al. 2020 (https://arxiv.org/abs/2005.00247).
    """

    def __init__(self, width: int, bottleneck: int, activation: str = "gelu") -> None:
        super().__init__()
        self.activation = activation_named(activation)
        self.down = nn.Linear(width, bottleneck)
        self.up = nn.Linear(bottleneck, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) float -> (..., width) float."""
        return torch.add(x, self.up(self.activation(self.down(x))))


def tune_layer(
    layer: EncoderLayer, *, tuning: Tuning, rank: int = 8, alpha: float = 16.0, bottleneck: int = 48
) -> EncoderLayer:
    """The layer as it is to be trained; its pretrained weights are frozen unless tuning is "full".

    "frozen" and "full" return `layer` itself. "lora" (in all four linears) and "adapter" (one after the
    attention, one after the feed-forward network, before each sum) return a new layer on the same weights.
    Raises: GraphError for an unknown tuning.
    """
    if tuning not in TUNINGS:
        raise GraphError(f"The tuning {tuning!r} of an encoder layer is unknown. {choices(TUNINGS, tuning)}")
    layer.requires_grad_(tuning == "full")
    if tuning in ("frozen", "full"):
        return layer
    tuned = copy.deepcopy(layer, {id(weight): weight for weight in layer.parameters()})
    if tuning == "lora":
        for name, parts in PARTS.items():
            setattr(tuned, name, LoRALinear(getattr(tuned, name), rank=rank, alpha=alpha, parts=parts))
    else:
        for name in ("attention_out", "ffn_out"):
            linear = getattr(tuned, name)
            adapter = BottleneckAdapter(linear.out_features, bottleneck).to(linear.weight)
            setattr(tuned, name, nn.Sequential(linear, adapter))
    return tuned
