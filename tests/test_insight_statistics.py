"""Intervals, tests, corrections and agreement against scipy and scikit-learn, over many tables."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import adjusted_rand_score, mutual_info_score

from fgdesign.insight import statistics as s

RNG = np.random.default_rng(0)
TABLES = [tuple(map(int, row)) for row in RNG.integers(0, 40, (40, 4))] + [
    (0, 0, 5, 5), (5, 0, 0, 5), (0, 7, 9, 0), (1, 1000, 30, 5000), (3, 0, 4, 0), (900, 120, 4100, 160)]


@pytest.mark.parametrize("hits, rows", [(0, 1), (0, 30), (30, 30), (7, 20), (4999, 5000)])
def test_wilson(hits: int, rows: int) -> None:
    expected = stats.binomtest(hits, rows).proportion_ci(method="wilson")
    low, high = s.wilson(hits, rows)
    assert (float(low), float(high)) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_no_rows_say_nothing_of_a_share() -> None:
    low, high = s.wilson([0, 3], [0, 3])
    assert low[0] == 0 and high[0] == 1 and low[1] > 0.4


@pytest.mark.parametrize("a, b, c, d", TABLES)
def test_fisher(a: int, b: int, c: int, d: int) -> None:
    assert s.fisher(a, b, c, d) == pytest.approx(stats.fisher_exact([[a, b], [c, d]]).pvalue, rel=1e-7)


@pytest.mark.parametrize("better, worse", [(0, 0), (1, 0), (0, 9), (12, 30), (200, 150), (40, 40), (3000, 2800)])
def test_mcnemar(better: int, worse: int) -> None:
    expected = stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert s.mcnemar(better, worse) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("p", [[0.01], [0.04, 0.01, 0.03, 0.2], [0.5, 0.5, 0.001], list(RNG.random(50) ** 3)])
def test_benjamini_hochberg(p: list[float]) -> None:
    np.testing.assert_allclose(s.benjamini_hochberg(p), stats.false_discovery_control(p))


def test_what_was_not_tested_is_not_counted() -> None:
    found = s.benjamini_hochberg([[0.04, np.nan], [0.01, np.nan]])
    np.testing.assert_allclose(found, [[0.04, np.nan], [0.02, np.nan]])


@pytest.mark.parametrize("kinds", [(2, 3), (5, 5), (1, 4), (12, 2)])
def test_agreement_and_information_before_the_bias(kinds: tuple[int, int]) -> None:
    one, other = (RNG.integers(0, kind, 300) for kind in kinds)
    other = np.where(RNG.random(300) < 0.4, one % kinds[1], other)
    assert s.adjusted_rand(one, other) == pytest.approx(adjusted_rand_score(one, other), abs=1e-12)
    bias = (len(set(one)) - 1) * (len(set(other)) - 1) / 600
    found = s.mutual_information(one, other, draws=20)
    assert found.value == pytest.approx(max(0.0, mutual_info_score(one, other) - bias), abs=1e-9)


def test_information_of_what_goes_together_and_of_what_does_not() -> None:
    one = RNG.integers(0, 3, 400)
    bound, free = s.mutual_information(one, one), s.mutual_information(one, RNG.integers(0, 4, 400))
    assert bound.p is not None and bound.p < 0.01 and bound.low > 1.0 and bound.value == pytest.approx(np.log(3), 0.02)
    assert free.p is not None and free.p > 0.05 and free.value < 0.02
    same = s.mutual_information(np.zeros(10), one[:10])
    assert (same.value, same.p) == (0.0, 1.0)


def test_a_bootstrap_interval_is_about_that_of_the_normal_distribution() -> None:
    values = RNG.normal(0.2, 1.0, 800)
    found = s.paired_bootstrap(values)
    half = s.Z95 * values.std() / np.sqrt(800)
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.012)
    assert found.clear and found.p is not None and found.p < 0.01
    assert not s.paired_bootstrap(RNG.normal(0, 1, 500)).clear
    assert s.paired_bootstrap(values) == found, "the same every time"
    assert s.paired_bootstrap([]).p == 1.0 and s.paired_bootstrap([0.0, 0.0]).p == 1.0


def test_resampled_columns_share_their_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    values = RNG.normal(size=(50, 1)) * [1.0, -1.0, 2.0]
    monkeypatch.setattr(s, "BLOCK", 400)
    found = s.resampled(values, draws=30)
    assert found.shape == (30, 3) and found[:, 0].std() > 0
    np.testing.assert_allclose(found[:, 0], -found[:, 1])
    np.testing.assert_allclose(found[:, 2], 2 * found[:, 0])


@pytest.mark.parametrize("shares, expected", [([1.0, 0.0], 0.0), ([0.5, 0.5], np.log(2)), ([0.25] * 4, np.log(4))])
def test_entropy(shares: list[float], expected: float) -> None:
    assert s.entropy(shares) == pytest.approx(expected)


def test_bins_are_of_about_equal_size_and_keep_equals_together() -> None:
    assert np.bincount(s.quantile_bins(np.arange(100), 5)).tolist() == [20] * 5
    assert len(set(s.quantile_bins([3, 3, 3, 3]).tolist())) == 1 and len(s.quantile_bins([])) == 0
