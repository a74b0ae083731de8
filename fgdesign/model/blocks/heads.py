"""Answering heads: a vector to logits. Knows nothing of graphs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Head(nn.Module):
    """logits = W norm(x) + b, with an optional hidden layer; (n, D) -> (n, C) float32.

    temperature: divides the logits outside training; fitted on validation (Guo et al. 2017). There the precision is
    that of the weights, whatever autocast says: so small a product gains nothing from fewer digits.
    """

    temperature: Tensor

    def __init__(self, width: int, classes: int, *, norm: bool, dropout: float, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width) if norm else nn.Identity()
        self.dropout = dropout
        self.hidden = nn.Sequential(nn.Linear(width, hidden), nn.GELU()) if hidden else nn.Identity()
        self.out = nn.Linear(hidden or width, classes)
        nn.init.normal_(self.out.weight, std=0.02)
        nn.init.zeros_(self.out.bias)
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, values: list[Tensor], mask: Tensor | None) -> Tensor:
        value = values[0]
        if self.training:
            logits: Tensor = self.out(self.features(F.dropout(value, self.dropout))).float()
            return logits
        with torch.autocast(value.device.type, enabled=False):
            features = self.features(value.to(self.out.weight.dtype))
            logits = F.linear(features, self.out.weight, self.out.bias)
        return logits.float() / self.temperature

    def features(self, value: Tensor) -> Tensor:
        """(n, D) -> (n, D or hidden): what the last linear map sees."""
        features: Tensor = self.hidden(self.norm(value))
        return features
