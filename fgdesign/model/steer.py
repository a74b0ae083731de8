"""What a run is made to do otherwise than it would: branches forced, exits moved, nodes passed by. Evaluation only.

A row's steering depends on nothing but the row, so neither batches nor regrouping change it. Knows nothing of steps.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fgdesign.model.blocks.routers import Choice

RANDOM, UNIFORM = "random", "uniform"


@dataclass(frozen=True)
class Steer:
    """What is changed.

    branches: per router the branch, from 0, that every row takes. gates: the weight of a forced branch: "one", as in
        a graph without the others; "kept", what the router's own choice weighs; "own", that branch's probability.
    thresholds: per exit; 0 answers always, above 1 never. k: per learned router, how many branches are called.
    routing: per router "random", one branch drawn for each row, or "uniform", all learned branches at equal weight.
    passed: nodes that hand their input on unchanged. seed: of what is drawn.
    """

    branches: Mapping[str, int] = field(default_factory=dict)
    gates: str = "one"
    thresholds: Mapping[str, float] = field(default_factory=dict)
    k: Mapping[str, int] = field(default_factory=dict)
    routing: Mapping[str, str] = field(default_factory=dict)
    passed: frozenset[str] = frozenset()
    seed: int = 0

    @property
    def touched(self) -> frozenset[str]:
        """Nodes that act otherwise."""
        return self.passed.union(self.branches, self.thresholds, self.k, self.routing)

    def choice(self, router: str, choice: Choice, texts: Sequence[str], rows: Tensor | None) -> Choice:
        """A learned router's choice for n rows, steered. texts: of the whole batch; rows: (n,) which of them."""
        if router in self.k:
            best = choice.scores.topk(min(self.k[router], choice.scores.shape[1]), dim=-1).indices
            called = torch.zeros_like(choice.called).scatter_(1, best, True)
            gates = choice.probabilities * called
            choice = choice.instead(called, gates if self.k[router] == 1 else _shared(gates))
        how = self.routing.get(router)
        if how == UNIFORM:
            even = torch.full_like(choice.gates, 1 / choice.gates.shape[1])
            return choice.instead(torch.ones_like(choice.called), even)
        if how == RANDOM:
            return self._forced(choice, self.draw(router, choice.called.shape[1], texts, rows, choice.called.device))
        if router in self.branches:
            return self._forced(choice, torch.full((len(choice.called),), self.branches[router],
                                                   device=choice.called.device))
        return choice

    def draw(self, router: str, branches: int, texts: Sequence[str], rows: Tensor | None,
             device: torch.device) -> Tensor:
        """(n,) int64: a branch for each row, by its text, the router and the seed."""
        chosen = texts if rows is None else [texts[i] for i in rows.tolist()]
        key = f"{self.seed}:{router}:"
        return torch.tensor([zlib.crc32((key + text).encode()) // 7 % branches for text in chosen], device=device)

    def _forced(self, choice: Choice, taken: Tensor) -> Choice:
        called = torch.zeros_like(choice.called).scatter_(1, taken.unsqueeze(1), True)
        if self.gates == "own":
            weight = choice.probabilities
        elif self.gates == "kept":
            weight = choice.gates.sum(1, keepdim=True).expand_as(choice.gates)
        else:
            weight = torch.ones_like(choice.gates)
        return choice.instead(called, weight * called)


def _shared(gates: Tensor) -> Tensor:
    return gates / gates.sum(-1, keepdim=True).clamp(min=1e-9)
