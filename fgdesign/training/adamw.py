"""AdamW (Loshchilov and Hutter, 2019) over torch's fused kernel.

The class of torch does the same to the bit, but loads torch's compiler when it is made: seconds and 70 MB of every
process that trains, for something that is not used. Knows nothing of schedules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

BETAS, EPS = (0.9, 0.999), 1e-8
STATE = ("step", "exp_avg", "exp_avg_sq")  # of a parameter, by the names that torch uses


class AdamW:
    """Moves parameters by their gradients; one without a gradient stays.

    Args: groups: each {"params": parameters, "lr": rate, ...}; "lr" is read at every step.
        weight_decay: the share of a weight, times its rate, that each step takes from it.
    """

    def __init__(self, groups: Iterable[Mapping[str, Any]], weight_decay: float) -> None:
        self.param_groups: list[dict[str, Any]] = [{"weight_decay": weight_decay, **group} for group in groups]
        self.state: dict[nn.Parameter, dict[str, Tensor]] = {}

    @property
    def parameters(self) -> list[nn.Parameter]:
        """All that are moved, in the order of their groups."""
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            held = [self._state_of(parameter) for parameter in moved]
            steps, means, squares = ([state[name] for state in held] for name in STATE)
            adamw(moved, [parameter.grad for parameter in moved], means, squares, [], steps, fused=True, amsgrad=False,
                  beta1=BETAS[0], beta2=BETAS[1], lr=group["lr"], weight_decay=group["weight_decay"], eps=EPS,
                  maximize=False)

    def _state_of(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        if parameter not in self.state:
            step = torch.zeros((), dtype=torch.float32, device=parameter.device)
            self.state[parameter] = dict(zip(STATE, (step, torch.zeros_like(parameter), torch.zeros_like(parameter)),
                                             strict=True))
        return self.state[parameter]

    def tensors(self) -> dict[str, Tensor]:
        """The state as flat names "place of the parameter.what"."""
        return {f"{place}.{name}": tensor for place, parameter in enumerate(self.parameters)
                for name, tensor in self.state.get(parameter, {}).items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `tensors` gave."""
        parameters, self.state = self.parameters, {}
        for name, tensor in tensors.items():
            place, _, what = name.partition(".")
            parameter = parameters[int(place)]
            self.state.setdefault(parameter, {})[what] = tensor.to(parameter.device, torch.float32, copy=True)
