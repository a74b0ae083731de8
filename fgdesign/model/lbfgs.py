"""L-BFGS (Nocedal, 1980) and a line search for the strong Wolfe conditions.

The class of torch does as well, but loads torch's compiler when it is made, seconds of every process; scipy's takes
three times as long on float32. Knows nothing of what is minimised.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

REMEMBERED, TRIES = 10, 10  # earlier steps that shape the next one; values of one line search
FALL, SLOPE = 1e-4, 0.9  # Wolfe: share of the promised fall that has to come, and of the slope that may be left
NOISE = 2e-7  # of a value, relative: float32
FLAT, STILL = 1e-5, 1e-7  # the gradient's largest entry, and a change of value (also foreseen) or place, that end it

Point = tuple[Tensor, Tensor, Tensor]  # place (n,), value (), gradient (n,)
Step = tuple[Tensor, Tensor, float]  # how place and gradient changed, (n,) each, and their product


def minimise(total: Callable[[], Tensor], parameters: Sequence[Tensor], steps: int = 60, still: float = STILL) -> None:
    """Move parameters, in place, to where `total` is least; nothing where the start is not finite.

    Args: still: a fall of the value, also a foreseen one, that ends it.
    """
    def at(place: Tensor) -> Point:
        _put(parameters, place)
        value = total()
        return place, value.detach(), torch.cat([part.flatten() for part in torch.autograd.grad(value, parameters)])

    now = at(torch.cat([parameter.detach().flatten() for parameter in parameters]))
    if not bool(torch.isfinite(now[1])):
        return
    history: deque[Step] = deque(maxlen=REMEMBERED)
    for _ in range(steps):
        if float(now[2].abs().max()) <= FLAT:
            break
        direction = _direction(now[2], history)
        slope = float(now[2] @ direction)
        if slope > -still:
            break
        then = _along(at, now, direction, slope, 1.0 if history else min(1.0, 1.0 / float(now[2].abs().sum())))
        if then is None:
            break
        moved, turned = then[0] - now[0], then[2] - now[2]
        if (along := float(moved @ turned)) > 1e-10:
            history.append((moved, turned, along))
        fell, now = float(now[1] - then[1]), then
        if abs(fell) < still or float(moved.abs().max()) < STILL:
            break
    _put(parameters, now[0])


def _direction(gradient: Tensor, history: Sequence[Step]) -> Tensor:
    """Downhill, by what earlier steps told of the curvature: the two loops."""
    direction, shares = -gradient, []
    for moved, turned, along in reversed(history):
        share = float(moved @ direction) / along
        direction.sub_(turned, alpha=share)
        shares.append(share)
    if history:
        _, turned, along = history[-1]
        direction.mul_(along / float(turned @ turned))
    for (moved, turned, along), share in zip(history, reversed(shares), strict=True):
        direction.add_(moved, alpha=share - float(turned @ direction) / along)
    return direction


def _along(at: Callable[[Tensor], Point], start: Point, direction: Tensor, slope: float, step: float) -> Point | None:
    """A point along a direction, low and flat enough; the lowest seen where none is; None where all are higher."""
    place, base = start[0], float(start[1])
    (low, rise), (high, fall), best = (0.0, slope), (float("inf"), 0.0), None
    for _ in range(TRIES):
        then = at(place + step * direction)
        found, tilt = float(then[1]), float(then[2] @ direction)
        if found < base and (best is None or found < float(best[1])):
            best = then
        if not found <= base + FALL * step * slope + NOISE * abs(base):  # not a number, too
            high, fall = step, tilt
        elif tilt < SLOPE * slope:
            low, rise = step, tilt
        elif tilt > -SLOPE * slope:
            high, fall = step, tilt
        else:
            return then
        step = 4 * step if high == float("inf") else _between(low, high, rise, fall)
    return best


def _between(low: float, high: float, rise: float, fall: float) -> float:
    """Where the slope would be zero were it a line, a tenth off both ends at least."""
    share = rise / (rise - fall) if fall > rise else 0.5
    return low + (high - low) * min(0.9, max(0.1, share))


def _put(parameters: Sequence[Tensor], place: Tensor) -> None:
    with torch.no_grad():
        parts = torch.split_with_sizes(place, [parameter.numel() for parameter in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.copy_(part.view_as(parameter))
