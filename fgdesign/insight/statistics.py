"""Small exact statistics: intervals, tests, corrections, agreement. Arrays in, numbers out.

Each is checked against another implementation in the tests. Knows nothing of models or rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

Z95 = 1.959963984540054  # two-sided 95 % point of the normal distribution
SLACK = 1 + 1e-7  # tables as unlikely as the seen one count, rounding aside
DRAWS = 1000
BLOCK = 2_000_000  # resampled values held at once


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval. p: of the test that it is zero, None where none was made."""

    value: float
    low: float
    high: float
    p: float | None = None

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def wilson(hits: ArrayLike, rows: ArrayLike) -> tuple[Floats, Floats]:
    """95 % interval of a share (Wilson 1927); (0, 1) without rows. hits, rows: counts of any one shape."""
    k, n = np.asarray(hits, np.float64), np.asarray(rows, np.float64)
    safe = np.maximum(n, 1)
    share, z2 = k / safe, Z95**2
    middle = (share + z2 / (2 * safe)) / (1 + z2 / safe)
    half = Z95 * np.sqrt(share * (1 - share) / safe + z2 / (4 * safe**2)) / (1 + z2 / safe)
    return np.where(n > 0, np.clip(middle - half, 0, 1), 0.0), np.where(n > 0, np.clip(middle + half, 0, 1), 1.0)


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """Adjusted p-values that hold the false discovery rate over all given tests (1995). NaN stays and is no test."""
    values = np.asarray(p, np.float64)
    known = np.flatnonzero(~np.isnan(values.ravel()))
    order = known[np.argsort(-values.ravel()[known])]
    count = len(order)
    adjusted = np.full(values.size, np.nan)
    adjusted[order] = np.minimum.accumulate(np.minimum(1.0, values.ravel()[order] * count / np.arange(count, 0, -1)))
    return adjusted.reshape(values.shape)


def fisher(a: int, b: int, c: int, d: int) -> float:
    """Two-sided p of Fisher's exact test on the table [[a, b], [c, d]]: all tables no likelier than the seen one."""
    first, second, chosen = a + b, c + d, a + c
    ways = np.arange(max(0, chosen - second), min(first, chosen) + 1)
    whole = _log_choose(first + second, np.array([chosen]))
    logs = _log_choose(first, ways) + _log_choose(second, chosen - ways) - whole
    chances = np.exp(logs)
    return float(min(1.0, chances[chances <= chances[a - ways[0]] * SLACK].sum()))


def mcnemar(better: int, worse: int) -> float:
    """Exact two-sided p of McNemar's test: rows only one of two was right on are a fair coin (1947)."""
    rows = better + worse
    logs = _log_choose(rows, np.arange(min(better, worse) + 1)) - rows * np.log(2.0)
    return float(min(1.0, 2 * np.exp(logs).sum())) if better != worse else 1.0


def paired_bootstrap(differences: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> Estimate:
    """Mean of paired differences (N,) with a 95 % percentile interval over rows drawn anew (Efron 1979).

    p: twice the share of resampled means on the other side of zero, at least 2 / (draws + 1).
    """
    values = np.asarray(differences, np.float64)
    if not len(values):
        return Estimate(0.0, 0.0, 0.0, 1.0)
    means = resampled(values[:, None], draws=draws, seed=seed)[:, 0]
    return estimate(float(values.mean()), means)


def resampled(values: Floats, *, draws: int = DRAWS, seed: int = 0) -> Floats:
    """(N, K) -> (draws, K) means over N rows drawn with replacement, the same draw for all K columns."""
    rng = np.random.default_rng(seed)
    count = len(values)
    block = max(1, BLOCK // count)
    means = []
    for start in range(0, draws, block):
        some = min(block, draws - start)
        places = rng.integers(0, count, (some, count)) + count * np.arange(some)[:, None]
        times = np.bincount(places.ravel(), minlength=some * count).reshape(some, count)
        means.append(times @ values / count)
    return np.concatenate(means)


def estimate(value: float, samples: Floats) -> Estimate:
    """A value with the interval and p of its resampled values (draws,)."""
    low, high = np.quantile(samples, (0.025, 0.975))
    count = len(samples)
    tail = min(int((samples <= 0).sum()), int((samples >= 0).sum()))
    return Estimate(value, float(low), float(high), min(1.0, 2 * (tail + 1) / (count + 1)))


def entropy(shares: ArrayLike) -> float:
    """Entropy of a distribution in nats; zeros count nothing."""
    p = np.asarray(shares, np.float64)
    p = p[p > 0]
    return float(max(0.0, -(p * np.log(p)).sum()))


def mutual_information(one: Sequence[object] | NDArray[np.generic], other: Sequence[object] | NDArray[np.generic], *,
                       draws: int = 200, seed: int = 0) -> Estimate:
    """Mutual information of two partitions of N rows in nats, less what chance alone gives (Miller and Madow 1955).

    The interval is that of a bootstrap over rows, shifted by the same bias; p that of shuffling one side.
    """
    x, y = _codes(one), _codes(other)
    if not len(x):
        return Estimate(0.0, 0.0, 0.0, 1.0)
    rng = np.random.default_rng(seed)
    raw = _information(x, y)
    bias = (x.max()) * (y.max()) / (2 * len(x))  # (|X| - 1)(|Y| - 1) / 2N
    value = max(0.0, raw - bias)
    samples = np.array([_information(x[rows], y[rows]) for rows in rng.integers(0, len(x), (draws, len(x)))])
    spread = np.quantile(samples - samples.mean(), (0.025, 0.975))
    chance = np.array([_information(x, rng.permutation(y)) for _ in range(draws)])
    p = (int((chance >= raw - 1e-12).sum()) + 1) / (draws + 1)
    return Estimate(value, float(max(0.0, value + spread[0])), float(value + spread[1]), p)


def _information(x: Ints, y: Ints) -> float:
    table = np.bincount(x * (y.max() + 1) + y, minlength=(x.max() + 1) * (y.max() + 1)).astype(np.float64)
    joint = table.reshape(x.max() + 1, y.max() + 1) / len(x)
    return entropy(joint.sum(0)) + entropy(joint.sum(1)) - entropy(joint)


def adjusted_rand(one: Sequence[object] | NDArray[np.generic], other: Sequence[object] | NDArray[np.generic]) -> float:
    """Agreement of two partitions of the same rows: 1 the same, 0 as by chance (Hubert and Arabie 1985)."""
    x, y = _codes(one), _codes(other)
    if not len(x):
        return 1.0
    table = np.bincount(x * (y.max() + 1) + y, minlength=(x.max() + 1) * (y.max() + 1)).astype(np.float64)
    table = table.reshape(x.max() + 1, y.max() + 1)
    pairs, rows, columns = (float(_pairs(part).sum()) for part in (table, table.sum(1), table.sum(0)))
    chance = rows * columns / max(1.0, float(_pairs(np.float64(len(x)))))
    most = (rows + columns) / 2
    return 1.0 if most == chance else (pairs - chance) / (most - chance)


def quantile_bins(values: ArrayLike, bins: int = 5) -> Ints:
    """(N,) the place of each number among bins of about equal size; equal numbers share one."""
    numbers = np.asarray(values, np.float64)
    if not len(numbers):
        return np.zeros(0, np.int64)
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(edges, numbers, side="left").astype(np.int64)


def _pairs(counts: ArrayLike) -> Floats:
    n = np.asarray(counts, np.float64)
    return np.asarray(n * (n - 1) / 2)


def _codes(values: Sequence[object] | NDArray[np.generic]) -> Ints:
    return np.unique(np.asarray(values), return_inverse=True)[1].astype(np.int64).ravel()


def _log_choose(n: int, k: Ints) -> Floats:
    """log of n over k for each of some k."""
    logs = _log_factorials(1 << n.bit_length())
    return np.asarray(logs[n] - logs[k] - logs[n - k])


@lru_cache(maxsize=32)
def _log_factorials(most: int) -> Floats:
    """log i! for i up to `most`."""
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, most + 1)))])
