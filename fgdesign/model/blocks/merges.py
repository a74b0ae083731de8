"""Uniting the rows of several branches. Knows nothing of graphs.

All take `(values, positions, gates, count)`: values[i]: (n_i, ...) float; positions[i]: (n_i,) int64 places of
its rows among the `count` united rows, None where they are all; gates[i]: (n_i,) or None; and give (count, ...).
"""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fgdesign.graph.catalogue.merges import parse_links

Tensors = list[Tensor]
Optional = list[Tensor | None]


def gated(value: Tensor, gate: Tensor | None) -> Tensor:
    """value (n, ...) times gate (n,)."""
    return value if gate is None else value * gate.to(value.dtype).view(-1, *[1] * (value.dim() - 1))


def spread(value: Tensor, places: Tensor | None, count: int, fill: float = 0.0) -> Tensor:
    """(n, ...) -> (count, ...): rows at their places, `fill` elsewhere."""
    if places is None:
        return value
    out = value.new_full((count, *value.shape[1:]), fill)
    return out.index_copy(0, places, value)


def alike(values: Tensors) -> Tensors:
    """The values in the widest of their types: in mixed precision branches differ."""
    widest = reduce(torch.promote_types, (value.dtype for value in values))
    return [value.to(widest) for value in values]


def stacked(values: Tensors, positions: Optional, gates: Optional, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """(count, N, ...) values, (count, N) bool presence, (count, N) gates; absent values are zero."""
    values = alike(values)
    ones = [torch.ones(len(v), dtype=torch.bool, device=v.device) for v in values]
    weight = [one.to(v.dtype) if g is None else g.to(v.dtype) for v, g, one in zip(values, gates, ones, strict=True)]
    return (
        torch.stack([spread(v, p, count) for v, p in zip(values, positions, strict=True)], 1),
        torch.stack([spread(one, p, count) for one, p in zip(ones, positions, strict=True)], 1),
        torch.stack([spread(w, p, count) for w, p in zip(weight, positions, strict=True)], 1),
    )


class Merge(nn.Module):
    """sum: sum_i g_i x_i; mean: the same over sum_i g_i; max: the largest value present, gates aside."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method = method

    def forward(self, values: Tensors, positions: Optional, gates: Optional, count: int) -> Tensor:
        values = alike(values)
        if self.method == "max":
            parts = [spread(v, p, count, -torch.inf) for v, p in zip(values, positions, strict=True)]
            return torch.stack(parts).amax(0)
        total = self._sum([gated(v, g) for v, g in zip(values, gates, strict=True)], positions, count)
        if self.method == "sum":
            return total
        ones = [torch.ones(len(v), dtype=v.dtype, device=v.device) if g is None else g.to(v.dtype)
                for v, g in zip(values, gates, strict=True)]
        weight = self._sum(ones, positions, count).clamp(min=1e-9)
        return total / weight.view(-1, *[1] * (total.dim() - 1))

    @staticmethod
    def _sum(parts: Tensors, positions: Optional, count: int) -> Tensor:
        total = parts[0].new_zeros((count, *parts[0].shape[1:]))
        for part, places in zip(parts, positions, strict=True):
            total = total + part if places is None else total.index_add(0, places, part)
        return total


class LogitMerge(nn.Module):
    """softmax(sum_i a_i log p_i): opinions joined in log space (Heskes 1998); a is fitted on validation.

    For several labels the logits are added, for a regression the values averaged, with the same weights.
    """

    weights: Tensor

    def __init__(self, count: int, *, kind: str, shared: bool) -> None:
        super().__init__()
        self.kind = kind
        self.register_buffer("weights", torch.full((count,), 1.0 / count if shared else 1.0))

    def forward(self, values: Tensors, positions: Optional, gates: Optional, count: int) -> Tensor:
        if all(places is None for places in positions):  # every opinion on every row
            every = self.opinion(torch.stack([value.float() for value in values]))
            mixed = (self.weights.view(-1, 1, 1) * every).sum(0)
            return mixed / self.weights.sum().clamp(min=1e-6) if self.kind == "regression" else mixed
        total = values[0].new_zeros((count, values[0].shape[1]), dtype=torch.float32)
        weight = total.new_zeros((count, 1))
        for i, (value, places) in enumerate(zip(values, positions, strict=True)):
            part = self.weights[i] * self.opinion(value)
            mine = self.weights[i].expand(len(value), 1)
            total = total + part if places is None else total.index_add(0, places, part)
            weight = weight + mine if places is None else weight.index_add(0, places, mine)
        return total / weight.clamp(min=1e-6) if self.kind == "regression" else total

    def opinion(self, value: Tensor) -> Tensor:
        """Logits (..., C) as they are weighted: log-probabilities for one label out of several."""
        return torch.log_softmax(value.float(), -1) if self.kind == "single" else value.float()


class AttentionMerge(nn.Module):
    """sum_i a_i x_i, a = softmax over the called i of (q . x_i / sqrt(D) + log g_i)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(width))

    def forward(self, values: Tensors, positions: Optional, gates: Optional, count: int) -> Tensor:
        x, present, weight = stacked(values, positions, gates, count)
        scores = torch.einsum("bn...d,d->bn...", x, self.query) / x.shape[-1] ** 0.5
        extra = [1] * (scores.dim() - 2)
        scores = scores + weight.clamp(min=1e-9).log().view(*weight.shape, *extra)
        scores = scores.masked_fill(~present.view(*present.shape, *extra), -torch.inf)
        return torch.einsum("bn...,bn...d->b...d", scores.softmax(1), x)


class GCNMerge(nn.Module):
    """X' = relu(D^-1/2 (A + I) D^-1/2 X W + b) + X over the called functions of each row, then read out.

    Kipf and Welling 2017. X: (count, N, ..., D), row i the gated output of function i; a function that was not
    called has no edges and no value. The last round has no relu; W starts near the identity.
    """

    adjacency: Tensor

    def __init__(self, width: int, inputs: int, *, adjacency: str, links: str, depth: int, readout: str) -> None:
        super().__init__()
        self.readout = readout
        self.weight = nn.Parameter(torch.randn(depth, width, width) * 1e-3)
        self.bias = nn.Parameter(torch.zeros(depth, width))
        if adjacency == "learned":
            self.links = nn.Parameter(torch.zeros(inputs, inputs))
        elif adjacency == "drawn":
            drawn = torch.zeros(inputs, inputs)
            for one, other in parse_links(links, inputs):
                drawn[one, other] = drawn[other, one] = 1.0
            self.register_buffer("adjacency", drawn.fill_diagonal_(0.0))
        else:
            self.register_buffer("adjacency", torch.ones(inputs, inputs) - torch.eye(inputs))

    def strengths(self) -> Tensor:
        """(N, N) adjacency without self-loops; learned ones are a symmetric sigmoid."""
        if not hasattr(self, "links"):
            return self.adjacency
        learned = torch.sigmoid(self.links + self.links.T)
        return learned * (1 - torch.eye(len(learned), device=learned.device))

    def forward(self, values: Tensors, positions: Optional, gates: Optional, count: int) -> Tensor:
        x, present, gate = stacked(values, positions, gates, count)
        x = x * gate.view(*gate.shape, *[1] * (x.dim() - 2))
        here = present.to(x.dtype)
        links = self.strengths().to(x.dtype) + torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        links = links * here.unsqueeze(1) * here.unsqueeze(2)
        scale = links.sum(-1).clamp(min=1e-9).rsqrt() * here
        links = links * scale.unsqueeze(1) * scale.unsqueeze(2)
        for i, (weight, bias) in enumerate(zip(self.weight, self.bias, strict=True), 1):
            update = torch.einsum("bnm,bm...d->bn...d", links, F.linear(x, weight)) + bias
            x = x + (update.relu() if i < len(self.weight) else update)
        x = x * here.view(*here.shape, *[1] * (x.dim() - 2))
        total = x.sum(1)
        return total if self.readout == "sum" else total / here.sum(1).clamp(min=1).view(-1, *[1] * (total.dim() - 1))
