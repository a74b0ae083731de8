"""How fast this machine multiplies, measured once in a few hundredths of a second. Knows nothing of graphs."""

from __future__ import annotations

from functools import cache
from time import perf_counter

import numpy as np

ROWS, INNER, COLUMNS = 32, 384, 1536  # one short text through the widest matrix of a small encoder
SECONDS = 0.03
FEWEST = 5


@cache
def macs_per_second() -> float:
    """Multiply-adds a second in single precision: the best of some products of the size a small encoder needs."""
    left = np.ones((ROWS, INNER), np.float32)
    right = np.ones((INNER, COLUMNS), np.float32)
    best, end, times = float("inf"), perf_counter() + SECONDS, 0
    while times < FEWEST or perf_counter() < end:
        start = perf_counter()
        left @ right
        best = min(best, perf_counter() - start)
        times += 1
    return ROWS * INNER * COLUMNS / best
