"""The learned router: scores branches and picks some for each row. Knows nothing of graphs."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from fgdesign.model.blocks.functions import masked_mean

ONE = torch.ones(())


@dataclass
class Choice:
    """What a router chose for n rows among N branches.

    probabilities: (n, N). scores: (n, N) before the softmax. given: `called` and `gates` as they were chosen; None
    where each row calls its most probable branch, `best` (n,) int64, at its weight `gate` (n,). agreement: share of
    rows where the noisy choice of training is the choice without noise.
    """

    probabilities: Tensor
    scores: Tensor
    _: KW_ONLY
    given: tuple[Tensor, Tensor] | None = None
    best: Tensor | None = None
    gate: Tensor | None = None
    agreement: Tensor = ONE

    @cached_property
    def called(self) -> Tensor:
        """(n, N) bool: which branches each row calls."""
        if self.given is not None:
            return self.given[0]
        assert self.best is not None
        return torch.zeros_like(self.scores, dtype=torch.bool).scatter_(-1, self.best.unsqueeze(-1), True)

    @cached_property
    def gates(self) -> Tensor:
        """(n, N): the weight of each called branch, 0 for the others."""
        if self.given is not None:
            return self.given[1]
        assert self.gate is not None
        return self.called * self.gate.unsqueeze(-1)

    def instead(self, called: Tensor, gates: Tensor) -> Choice:
        """Other branches for the same scores."""
        return Choice(self.probabilities, self.scores, given=(called, gates), agreement=self.agreement)


class Router(nn.Module):
    """Sparse gating (Shazeer et al. 2017): softmax over scores, the k best are called.

    Training: `noisy_top_k` adds Gaussian noise to the choice, the gate is the probability (for k > 1 shared out
    among the called); `straight_through` draws with Gumbel noise and has gates of one with a soft gradient (Jang
    et al. 2017); `soft` calls all. Evaluation: no noise, the k most probable.

    Args: width: of the vector that is scored. noise: deviation of the noise, -1 for 1 / branches.
    """

    def __init__(self, width: int, *, branches: int, k: int, method: str, scorer: str, temperature: float,
                 noise: float) -> None:
        super().__init__()
        self.k, self.method, self.temperature = k, method, temperature
        self.noise = 1.0 / branches if noise < 0 else noise
        inner = max(16, width // 4)
        self.norm = nn.LayerNorm(width)
        self.scorer = (nn.Linear(width, branches) if scorer == "linear" else
                       nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, branches)))

    def forward(self, value: Tensor, mask: Tensor | None) -> Choice:
        """value: (n, D) or (n, T, H) float, then pooled by its mean; mask: (n, T) bool or None."""
        scores = self.scorer(self.norm(masked_mean(value, mask) if value.dim() == 3 else value))
        scores = (scores if self.temperature == 1.0 else scores / self.temperature).float()
        probabilities = scores.softmax(-1)
        if not self.training and self.k == 1 and self.method != "soft":
            gate, best = probabilities.max(-1)
            gate = torch.ones_like(gate) if self.method == "straight_through" else gate
            return Choice(probabilities, scores, best=best, gate=gate)
        plain = self._best(scores)
        if not self.training:
            return Choice(probabilities, scores, given=(plain, self._gates(probabilities, plain)))
        if self.method == "soft":
            return Choice(probabilities, scores, given=(torch.ones_like(plain), probabilities))
        called = self._best(scores + self._draw(scores))
        agreement = (called == plain).all(-1).float().mean()
        return Choice(probabilities, scores, given=(called, self._gates(probabilities, called)), agreement=agreement)

    def _draw(self, scores: Tensor) -> Tensor:
        if self.method == "straight_through":
            return -torch.empty_like(scores).exponential_().log()
        return self.noise * torch.randn_like(scores)

    def _best(self, scores: Tensor) -> Tensor:
        best = scores.detach().topk(self.k, dim=-1).indices
        return torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, best, True)

    def _gates(self, probabilities: Tensor, called: Tensor) -> Tensor:
        gates = probabilities * called
        if self.method == "straight_through":
            return called.to(gates) + (gates - gates.detach())
        if self.k > 1 or self.method == "soft":
            return gates / gates.sum(-1, keepdim=True).clamp(min=1e-9)
        return gates
