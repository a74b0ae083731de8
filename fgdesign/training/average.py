"""A running average of the weights that learn: what is validated and kept.

It is as good late in a stage as weights at a small learning rate, and much sooner so. Knows nothing of data or losses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

EVERY = 4  # steps between two updates: each reads and writes all weights that learn


class Average:
    """The exponential average of some parameters over the steps of a stage (Polyak and Juditsky, 1992).

    keep: share of the average that stays at each step, 0 for the weights as they are. It grows up to `keep` with the
    steps made, so that a short stage is not held back by where it began.
    """

    def __init__(self, network: nn.Module, names: Sequence[str], keep: float) -> None:
        parameters = dict(network.named_parameters())
        self.parameters = {name: parameters[name] for name in names}
        self.keep = keep**EVERY
        self.count = 0
        self.values: dict[str, Tensor] = {}

    def after(self, steps: int) -> None:
        """Take in the weights as they are after so many steps of the stage."""
        if not self.keep or steps % EVERY:
            return
        now = [parameter.detach() for parameter in self.parameters.values()]
        if not self.values:
            self.values = dict(zip(self.parameters, (tensor.clone() for tensor in now), strict=True))
        self.count += 1
        stays = min(self.keep, (1 + self.count) / (10 + self.count))
        torch._foreach_lerp_(list(self.values.values()), now, 1 - stays)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The network holds the average for a while, and its own weights again afterwards."""
        own = {name: parameter.detach().clone() for name, parameter in self.parameters.items() if name in self.values}
        self._hold(self.values)
        try:
            yield
        finally:
            self._hold(own)

    def restore(self, values: Mapping[str, Tensor], steps: int) -> None:
        """Go on from the values of an average after so many steps of the stage."""
        self.values = {name: values[name].to(parameter.device) for name, parameter in self.parameters.items()
                       if name in values}
        self.count = steps // EVERY if self.values else 0

    def _hold(self, values: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in values.items():
                self.parameters[name].copy_(value)
