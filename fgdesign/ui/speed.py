"""How fast this machine multiplies, measured once in a few hundredths of a second. Knows nothing of graphs."""

from __future__ import annotations

import os
from functools import cache
from time import perf_counter

import numpy as np
from threadpoolctl import threadpool_limits

ROWS, INNER, COLUMNS = 32, 384, 1536  # one short text through the widest matrix of a small encoder
SECONDS = 0.03
FEWEST = 5
MOST_THREADS = 4  # that are taken to help with one text


@cache
def macs_per_second() -> float:
    """Multiply-adds a second in single precision: the best of some products of the size a small encoder needs.

    Measured on one thread, for several that wait for each other are many times slower while other work is done.
    """
    left = np.ones((ROWS, INNER), np.float32)
    right = np.ones((INNER, COLUMNS), np.float32)
    best, end, times = float("inf"), perf_counter() + SECONDS, 0
    with threadpool_limits(1):
        while times < FEWEST or perf_counter() < end:
            start = perf_counter()
            left @ right
            best = min(best, perf_counter() - start)
            times += 1
    return min(MOST_THREADS, os.cpu_count() or 1) * ROWS * INNER * COLUMNS / best
