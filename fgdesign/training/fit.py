"""What is fitted in closed form or nearly so: linear heads, temperatures, merge weights, exit thresholds.

All work on values computed once; no pass through a graph is made here. Knows nothing of files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fgdesign.model.lanes import one_thread
from fgdesign.model.lbfgs import minimise

PENALTIES = (3.0, 1.0, 3e-1, 1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4)
STRONG = 200.0  # penalties above 0.1 that weigh more than so many rows of an output are not tried
LITTLE = 1 << 25  # multiplications of one value of a loss, below which threads would wait more than they work
ROUGH, CLOSE = 1e-4, 1e-7  # of the loss of a constant answer, 1 at most: falls that end a fit on the path, and the last
MOST_TURNED = 1024  # features
RowLoss = Callable[[Tensor, Tensor], Tensor]
Map = tuple[Tensor, Tensor]  # weight (outputs, D) of features along their axes, and bias (outputs,)


def fit_linear(features: Tensor, targets: Tensor, outputs: int, loss: RowLoss, valid_features: Tensor,
               valid_targets: Tensor) -> tuple[Tensor, Tensor, float]:
    """A linear map with an L2 penalty, by L-BFGS along a path of penalties, the best on validation kept.

    Logits are divided by a temperature before they are judged: a strong penalty makes a map unsure, not wrong. It is
    sought along the principal axes of the features, each stretched by how much the loss curves there, so that no
    direction needs many more steps than another.

    Args: features: (N, D) float32; targets: as `loss` takes them; valid_*: the rows that choose the penalty.
    Returns: weight (outputs, D) and bias (outputs,), both divided by the temperature, and the validation loss.
    """
    mean = features.mean(0)
    centred = features - mean
    spread, axes = _axes(centred)
    turned, bend = centred @ axes, max(outputs - 1, 1) / outputs**2
    del centred  # several heads are fitted at once
    values = targets.dtype.is_floating_point and targets.dim() == 1
    weight = torch.zeros(outputs, features.shape[1], device=features.device, requires_grad=True)
    bias = torch.full((outputs,), float(targets.mean()) if values else 0.0, device=features.device, requires_grad=True)
    far = min(1.0, float(loss(bias.detach().expand(len(features), -1), targets).mean()))

    def fitted(penalty: float, start: Map, still: float) -> Map:
        """Where the loss is least."""
        stretch = (bend * spread + penalty / outputs).rsqrt()
        weight.data, bias.data = start[0] / stretch, start[1].clone()

        def total() -> Tensor:
            plain = weight * stretch
            return loss(turned @ plain.T + bias, targets).mean() + 0.5 * penalty * plain.square().sum() / outputs

        with one_thread(features.numel() * outputs < LITTLE):
            minimise(total, [weight, bias], still=still * far)
        return weight.detach() * stretch, bias.detach().clone()

    def judged(found: Map) -> tuple[Tensor, Tensor, float]:
        """The same for features as they are, divided by its temperature, and the validation loss."""
        plain = found[0] @ axes.T
        shift = found[1] - plain @ mean
        told = valid_features @ plain.T + shift
        heat = 1.0 if values else fit_temperature(told, valid_targets, loss)
        return plain / heat, shift / heat, float(loss(told / heat, valid_targets).mean())

    best = now = (weight.detach().clone(), bias.detach().clone())
    chosen, least, worse = 0.0, float("inf"), 0
    for penalty in (one for one in PENALTIES if one <= max(0.1, STRONG * outputs / len(features))):
        now = fitted(penalty, now, ROUGH)
        score = judged(now)[2]
        if score < least:
            best, chosen, least, worse = now, penalty, score, 0
        elif (worse := worse + 1) == 2:
            break
    return judged(fitted(chosen, best, CLOSE)) if chosen else (*best, least)


def _axes(centred: Tensor) -> tuple[Tensor, Tensor]:
    """The variance (D,) along each of the principal axes (D, D) of (N, D) rows around zero; of the features themselves
    where they are no numbers, or so many that their axes would take longer to find than they save."""
    if centred.shape[1] > MOST_TURNED or not bool(centred.isfinite().all()):
        return centred.square().mean(0), torch.eye(centred.shape[1], device=centred.device)
    spread, axes = torch.linalg.eigh((centred.T @ centred / len(centred)).cpu().double())
    return spread.clamp(min=0.0).to(centred), axes.to(centred)


def fit_temperature(logits: Tensor, targets: Tensor, loss: RowLoss) -> float:
    """The temperature that makes (n, C) logits most likely; between 0.05 and 20 (Guo et al. 2017)."""
    log_t = torch.zeros((), requires_grad=True)
    with one_thread(logits.numel() < LITTLE):
        minimise(lambda: loss(logits / log_t.exp(), targets).mean() + 1e-4 * log_t.square(), [log_t])
    value = float(log_t.detach().exp())
    return min(max(value, 0.05), 20.0) if math.isfinite(value) else 1.0


def fit_weights(opinions: Sequence[Tensor], targets: Tensor, loss: RowLoss, start: Tensor) -> Tensor:
    """Weights a_i >= 0 of sum_i a_i o_i that make (n, C) opinions most likely; `start` where it does not help."""
    stack = torch.stack(list(opinions))
    raw = start.clamp(min=1e-3).log().clone().requires_grad_()

    def total() -> Tensor:
        mixed = torch.einsum("i,inc->nc", raw.exp(), stack)
        return loss(mixed, targets).mean() + 1e-4 * raw.square().sum()

    with one_thread(stack.numel() < LITTLE):
        minimise(total, [raw])
    fitted = raw.detach().exp().clamp(max=20.0)
    before, after = (float(loss(torch.einsum("i,inc->nc", w, stack), targets).mean()) for w in (start, fitted))
    return fitted if after < before else start


def never_below_one(weights: Tensor, opinions: Sequence[Tensor], targets: Tensor) -> Tensor:
    """The weights, or those of a single opinion where it alone is more often right than the sum.

    Args: opinions: (n, C) each; targets: (n,) int64.
    """
    def right(logits: Tensor) -> int:
        return int((logits.argmax(1) == targets).sum())

    alone = [right(opinion) for opinion in opinions]
    if max(alone) <= right(torch.einsum("i,inc->nc", weights, torch.stack(list(opinions)))):
        return weights
    only = torch.zeros_like(weights)
    only[alone.index(max(alone))] = 1.0
    return only


def pick_threshold(sure: Tensor, given_up: Tensor, tolerance: float) -> float:
    """The smallest common threshold under which exits give up no more accuracy than they may.

    Args: sure: (E, n) how sure each exit is, in order; given_up: (E, n) accuracy given up where that exit answers
        instead of the full graph, below 0 where it gains. tolerance: the largest mean over the n rows.
    Returns: a threshold in 0.01..1; 1 where none below holds.
    """
    best = 1.0
    for step in range(100, 0, -1):
        leaves = sure >= step / 100
        first = leaves.float().argmax(0)
        lost = given_up.gather(0, first.unsqueeze(0)).squeeze(0)[leaves.any(0)]
        if float(lost.sum()) > tolerance * sure.shape[1] + 1e-6:
            break
        best = step / 100
    return best


def pick_decision(probabilities: Tensor, targets: Tensor) -> float:
    """The probability from which a label is given that makes micro-F1 largest; the nearest to 0.5 of equals.

    Args: probabilities: (n, C); targets: (n, C) zeros and ones.
    """
    truth = targets > 0.5
    best, best_f1 = 0.5, -1.0
    for step in sorted(range(5, 100, 5), key=lambda step: abs(step - 50)):
        given = probabilities >= step / 100
        f1 = 2 * float((given & truth).sum()) / max(1.0, float(given.sum() + truth.sum()))
        if f1 > best_f1 + 1e-9:
            best, best_f1 = step / 100, f1
    return best
