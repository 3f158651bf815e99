"""Intervals of many heads at once and of timings; scipy's bootstrap, which has neither, agrees where both apply."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap

from coreheads.stats import bootstrap as resampling
from coreheads.stats import significance


def test_columns_share_the_draws_of_single_ones() -> None:
    values = np.random.default_rng(2).random((25, 7))
    low, high = resampling.bootstrap_means([values], seed=4)
    for column in range(7):
        alone = resampling.bootstrap_means([values[:, column : column + 1]], seed=4)
        assert (alone[0][0], alone[1][0]) == pytest.approx((low[column], high[column]))
        drawn = significance.bootstrap_mean_ci(values[:, column], seed=1)  # scipy's, another draw
        assert drawn == pytest.approx((low[column], high[column]), abs=0.02)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(2).random((25, 3))
    whole = resampling.bootstrap_means([values], seed=4)
    monkeypatch.setattr(resampling, "_CHUNK", 60)
    np.testing.assert_allclose(resampling.bootstrap_means([values], seed=4), whole)


def test_strata_weigh_the_same_and_vary_only_within() -> None:
    many, few = np.zeros((500, 1)), np.ones((3, 1))
    low, high = resampling.bootstrap_means([many, few])
    assert low[0] == high[0] == 0.5


def test_ratio_of_medians() -> None:
    rng = np.random.default_rng(0)
    moment = rng.uniform(1, 3, 15)  # the machine is slow now and then, for both
    dense, patched = 2.0 * moment, moment * rng.uniform(0.99, 1.01, 15)
    ratio, low, high = resampling.ratio_of_medians_ci(dense, patched)
    assert ratio == np.median(dense) / np.median(patched)
    assert low <= ratio <= high
    assert 1.8 < low < high < 2.2
    assert resampling.ratio_of_medians_ci([4.0], [2.0]) == (2.0, 2.0, 2.0)
    with pytest.raises(ValueError, match="above 0"):
        resampling.ratio_of_medians_ci([1.0], [0.0])
    with pytest.raises(ValueError, match="differ in number"):
        resampling.ratio_of_medians_ci([1.0], [1.0, 2.0])


def test_ratios_are_those_of_scipys_paired_bootstrap() -> None:
    rng = np.random.default_rng(3)
    dense, patched = rng.normal(2, 0.1, 20), rng.normal(1, 0.05, 20)
    _, low, high = resampling.ratio_of_medians_ci(dense, patched)
    found = bootstrap(
        (dense, patched),
        lambda a, b, axis=-1: np.median(a, axis=axis) / np.median(b, axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert (low, high) == pytest.approx((found.low, found.high), abs=0.02)
    median = resampling.bootstrap_median_ci(dense)
    alone = bootstrap((dense,), np.median, n_resamples=20_000, method="percentile", rng=np.random.default_rng(0))
    interval = alone.confidence_interval
    assert median == pytest.approx((interval.low, interval.high), abs=0.02)


def test_unusable_values_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        resampling.bootstrap_means([np.zeros((0, 3))])
    with pytest.raises(ValueError, match="finite numbers"):
        resampling.bootstrap_median_ci([])


def test_the_mean_of_ratios_is_geometric_and_equals_one_ratio_of_one_pair() -> None:
    rng = np.random.default_rng(0)
    slow, fast = rng.uniform(1, 2, 20), rng.uniform(0.5, 1, 20)
    assert resampling.mean_ratio_ci([(slow, fast)])[0] == pytest.approx(resampling.ratio_of_medians_ci(slow, fast)[0])
    mean, low, high = resampling.mean_ratio_ci([(slow, fast), (4 * slow, fast)])
    assert mean == pytest.approx(2 * resampling.ratio_of_medians_ci(slow, fast)[0])
    assert low < mean < high
    with pytest.raises(ValueError, match="differ in number"):
        resampling.mean_ratio_ci([(slow, fast[:3])])
