"""How weights move: groups with a learning rate each, the schedule, and what gradients are like at each node.

Knows nothing of data or losses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from fgdesign.model.network import FunctionGraph
from fgdesign.training.adamw import AdamW
from fgdesign.training.settings import Settings, layer_rate_of, rate_of

SMALL = (".down", ".up")  # adapters and LoRA inside a pretrained layer


def make_optimiser(network: FunctionGraph, names: Sequence[str], settings: Settings, *,
                   warm: bool) -> AdamW:
    """AdamW over the named parameters, in groups of one rate. warm: the stage with pretrained layers frozen."""
    groups = parameter_groups(network, names, settings, warm=warm)
    return AdamW(groups, settings.weight_decay)


def parameter_groups(network: FunctionGraph, names: Sequence[str], settings: Settings, *,
                     warm: bool) -> list[dict[str, Any]]:
    """Groups {params, lr, base, name}: pretrained weights, all others, and what `rates` names, by rising rate."""
    parameters, nodes = dict(network.named_parameters()), nodes_of(network)
    tuned = {network.keys[node] for node in network.pretrained_nodes()}
    groups: dict[tuple[float, str], list[nn.Parameter]] = {}
    for name in names:
        key = name.split(".")[1]
        own = next(filter(None, (rate_of(settings, node) for node in nodes[key])), None)
        if own is not None:
            group = (own[1], own[0])
        elif key in tuned and not any(part in name for part in SMALL):
            group = (layer_rate_of(settings, network.plan.backbone.width), "pretrained layers")
        else:
            group = (settings.warm_rate if warm else settings.rate, "all others")
        groups.setdefault(group, []).append(parameters[name])
    return [{"params": members, "lr": rate, "base": rate, "name": label}
            for (rate, label), members in sorted(groups.items(), key=lambda item: item[0])]


def nodes_of(network: FunctionGraph) -> dict[str, list[str]]:
    """Nodes by the module they run; two calls of one layer share theirs."""
    found: dict[str, list[str]] = {}
    for node, key in network.keys.items():
        found.setdefault(key, []).append(node)
    return found


def rate_factor(progress: float, warm_up: float, schedule: str = "linear") -> float:
    """Learning rate as a share of its peak at a share of all steps: linear warm-up, then the schedule."""
    if warm_up and progress < warm_up:
        return (progress + 1e-3) / warm_up
    if schedule == "constant":
        return 1.0
    left = max(0.0, (1 - progress) / max(1e-9, 1 - warm_up))
    return left if schedule == "linear" else 0.5 * (1 - math.cos(math.pi * left))


def set_rates(optimiser: AdamW, factor: float) -> dict[str, float]:
    """Give each group its peak rate times `factor`; returns the rates by the group's name."""
    for group in optimiser.param_groups:
        group["lr"] = group["base"] * factor
    return {group["name"]: group["lr"] for group in optimiser.param_groups}


def gradient_norms(network: FunctionGraph, names: Sequence[str]) -> dict[str, float]:
    """Euclidean norm of the gradient at each node that has one."""
    parameters, squares = dict(network.named_parameters()), dict[str, float]()
    held = [(name.split(".")[1], parameters[name].grad) for name in names]
    grads = [(key, grad) for key, grad in held if grad is not None]
    for (key, _), norm in zip(grads, torch.stack(torch._foreach_norm([grad for _, grad in grads])).tolist()
                              if grads else (), strict=True):
        squares[key] = squares.get(key, 0.0) + norm**2
    nodes = nodes_of(network)
    return {node: math.sqrt(square) for key, square in squares.items() for node in nodes[key]}
