"""Functions of several values on the same rows. Knows nothing of graphs.

values: list of (n, T, H) or (n, D) float tensors of one shape, but for `concat`; mask: (n, T) bool or None.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

Values = list[Tensor]


class Add(nn.Module):
    """sum_i w_i x_i, w fixed or learned from where it was drawn."""

    def __init__(self, weights: Sequence[float], *, learned: bool) -> None:
        super().__init__()
        self.plain = not learned and all(weight == 1.0 for weight in weights)
        start = torch.tensor([float(weight) for weight in weights])
        if learned:
            self.weights = nn.Parameter(start)
        else:
            self.register_buffer("weights", start)

    def forward(self, values: Values, mask: Tensor | None) -> Tensor:
        if not self.plain:
            values = [value * weight for value, weight in zip(values, self.weights, strict=True)]
        total = values[0]
        for value in values[1:]:
            total = total + value
        return total


class Multiply(nn.Module):
    """The product, number by number."""

    def forward(self, values: Values, mask: Tensor | None) -> Tensor:
        product = values[0]
        for value in values[1:]:
            product = product * value
        return product


class Concat(nn.Module):
    """Side by side along the width."""

    def forward(self, values: Values, mask: Tensor | None) -> Tensor:
        return torch.cat(values, dim=-1)


class Gate(nn.Module):
    """x * sigmoid(W control + b): values = [x, control]; a vector control serves every position."""

    def __init__(self, control: int, out: int) -> None:
        super().__init__()
        self.map = nn.Linear(control, out)

    def forward(self, values: Values, mask: Tensor | None) -> Tensor:
        value, control = values
        gate: Tensor = self.map(control).sigmoid()
        return value * (gate.unsqueeze(1) if value.dim() > gate.dim() else gate)
