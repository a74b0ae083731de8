"""Functions of one value. Each takes `(values, mask)` with one value and returns the new one.

values: [(n, T, H) or (n, D) float]; mask: (n, T) bool or None. Knows nothing of graphs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fgdesign.model.backbone import activation_named
from fgdesign.model.lora import BottleneckAdapter

Values = list[Tensor]


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The elementwise function of that name; "abs" beside those an encoder may use."""
    return torch.abs if name == "abs" else activation_named(name)


class Linear(nn.Module):
    """activation(W x + b): (..., width) -> (..., out)."""

    def __init__(self, width: int, out: int, *, activation: str) -> None:
        super().__init__()
        self.map = nn.Linear(width, out)
        self.activation = activation_named(activation)

    def forward(self, values: Values, mask: Tensor | None) -> Tensor:
        return self.activation(self.map(values[0]))


class Activation(nn.Module):
    """A fixed function of every number."""

    def __init__(self, function: str) -> None:
        super().__init__()
        self.function = activation(function)

    def forward(self, values: Values, mask: Tensor | None) -> Tensor:
        return self.function(values[0])


class Expert(nn.Module):
    """x + W2 activation(W1 x), or without the residual x; with it, W2 starts near zero."""

    def __init__(self, width: int, *, hidden: int, activation: str, residual: bool, dropout: float) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.activation, self.residual, self.dropout = activation_named(activation), residual, dropout
        if residual:
            nn.init.normal_(self.outer.weight, std=1e-3)
            nn.init.zeros_(self.outer.bias)

    def forward(self, values: Values, mask: Tensor | None) -> Tensor:
        hidden = F.dropout(self.activation(self.inner(values[0])), self.dropout, self.training)
        out: Tensor = self.outer(hidden)
        return values[0] + out if self.residual else out


class Adapter(BottleneckAdapter):
    """`model.lora.BottleneckAdapter` as a node."""

    def forward(self, values: Values, mask: Tensor | None) -> Tensor:  # type: ignore[override]
        return super().forward(values[0])


class LayerNorm(nn.Module):
    """Layer normalisation over the width (Ba et al. 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, values: Values, mask: Tensor | None) -> Tensor:
        out: Tensor = self.norm(values[0])
        return out


class Dropout(nn.Module):
    """Zeroes a share of the numbers in training, scaling the rest."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, values: Values, mask: Tensor | None) -> Tensor:
        return F.dropout(values[0], self.rate, self.training)


class Scale(nn.Module):
    """x times one number."""

    def __init__(self, value: float, *, learned: bool) -> None:
        super().__init__()
        factor = torch.tensor(float(value))
        if learned:
            self.factor = nn.Parameter(factor)
        else:
            self.register_buffer("factor", factor)

    def forward(self, values: Values, mask: Tensor | None) -> Tensor:
        return values[0] * self.factor


class SoftPrompt(nn.Module):
    """Learned vectors in front: (n, T, H) -> (n, P + T, H), and the longer mask."""

    def __init__(self, width: int, *, length: int) -> None:
        super().__init__()
        self.prompt = nn.Parameter(torch.randn(length, width) * 0.02)

    def forward(self, values: Values, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        hidden = values[0]
        front = self.prompt.to(hidden).expand(len(hidden), -1, -1)
        if mask is not None:
            mask = torch.cat([mask.new_ones(len(mask), len(self.prompt)), mask], dim=1)
        return torch.cat([front, hidden], dim=1), mask


def masked_mean(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """(n, T, H), (n, T) -> (n, H): the mean over real positions."""
    if mask is None:
        return hidden.mean(1)
    weight = mask.to(hidden.dtype)
    return torch.bmm(weight.unsqueeze(1), hidden).squeeze(1) / weight.sum(1, keepdim=True).clamp(min=1)


class Pool(nn.Module):
    """(n, T, H) -> (n, H): first position, mean, largest value, or attention by one learned query.

    The attention starts as the mean: its query is zero.
    """

    def __init__(self, width: int, *, method: str) -> None:
        super().__init__()
        self.method = method
        if method == "attention":
            self.query = nn.Parameter(torch.zeros(width))

    def forward(self, values: Values, mask: Tensor | None) -> Tensor:
        hidden = values[0]
        match self.method:
            case "cls":
                return hidden[:, 0]
            case "mean":
                return masked_mean(hidden, mask)
            case "max":
                return hidden.amax(1) if mask is None else hidden.masked_fill(~mask[..., None], -torch.inf).amax(1)
        scores = hidden @ self.query
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        return torch.bmm(scores.softmax(1).unsqueeze(1), hidden).squeeze(1)


class Normalise(nn.Module):
    """Length one (l2), or mean zero and deviation one over the width (standardise)."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method = method

    def forward(self, values: Values, mask: Tensor | None) -> Tensor:
        value = values[0]
        return F.normalize(value, dim=-1) if self.method == "l2" else F.layer_norm(value, value.shape[-1:])
