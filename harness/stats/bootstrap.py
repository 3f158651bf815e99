"""Percentile bootstrap intervals (Efron & Tibshirani 1993, chapter 13) of many heads at once, and of timings.

In numpy only: scipy cannot draw for all heads together, and timings are also taken where it is not installed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RESAMPLES = 2000
LEVEL = 0.95
TAILS = ((1 - LEVEL) / 2, 1 - (1 - LEVEL) / 2)
"""The ends of an interval as quantiles."""
_CHUNK = 2_000_000  # drawn indices held at once: 16 MB


def bootstrap_means(groups: Sequence[npt.NDArray[np.floating]], seed: int = 0) -> tuple[Floats, Floats]:
    """(low, high), each [m], of the mean over groups of the groups' means over their samples.

    groups: arrays [n_g, m]; samples are drawn anew within each group (a stratified bootstrap), so that a group with
    many samples weighs no more than one with few. One draw serves all m columns.
    """
    if not groups or any(len(group) == 0 for group in groups):
        raise ValueError("a bootstrap needs at least one sample in every group")
    rng = np.random.default_rng(seed)
    means = np.zeros((RESAMPLES, groups[0].shape[1]))
    for values in groups:
        group = np.asarray(values, dtype=np.float64)
        for rows, weights in _resampling_weights(len(group), rng):
            means[rows] += weights @ group / len(groups)
    low, high = np.quantile(means, TAILS, axis=0)
    return low, high


def ratio_of_medians_ci(
    numerator: npt.ArrayLike, denominator: npt.ArrayLike, seed: int = 0
) -> tuple[float, float, float]:
    """(ratio, low, high) of ``median(numerator) / median(denominator)``, for interleaved timings [n] in any one unit.

    Pair i was measured back to back, so pairs are resampled: a slow moment of the machine hits both and cancels.
    A speedup is ``ratio_of_medians_ci(dense_seconds, patched_seconds)``.
    """
    above, below = samples(numerator), samples(denominator)
    if above.shape != below.shape:
        raise ValueError(f"paired timings differ in number: {len(above)} and {len(below)}")
    if np.any(below <= 0):
        raise ValueError("timings must be above 0")
    draws = np.random.default_rng(seed).integers(0, len(above), (RESAMPLES, len(above)))
    low, high = np.quantile(np.median(above[draws], axis=1) / np.median(below[draws], axis=1), TAILS)
    return float(np.median(above) / np.median(below)), float(low), float(high)


def mean_ratio_ci(pairs: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]], seed: int = 0) -> tuple[float, float, float]:
    """(ratio, low, high) of the geometric mean over ``pairs`` of ``ratio_of_medians_ci``'s ratios.

    pairs: (numerator, denominator) timings, each pair of its own number of repeats, which are drawn anew within it.
    """
    rng, drawn, logs = np.random.default_rng(seed), np.zeros(RESAMPLES), 0.0
    for numerator, denominator in pairs:
        above, below = samples(numerator), samples(denominator)
        if above.shape != below.shape or np.any(below <= 0):
            raise ValueError("paired timings differ in number or are not above 0")
        draws = rng.integers(0, len(above), (RESAMPLES, len(above)))
        drawn += np.log(np.median(above[draws], axis=1) / np.median(below[draws], axis=1)) / len(pairs)
        logs += float(np.log(np.median(above) / np.median(below))) / len(pairs)
    low, high = np.exp(np.quantile(drawn, TAILS))
    return float(np.exp(logs)), float(low), float(high)


def bootstrap_median_ci(values: npt.ArrayLike, seed: int = 0) -> tuple[float, float]:
    """(low, high) of the median of ``values`` [n]. Raises ValueError when there are none."""
    return ratio_of_medians_ci(values, np.ones(np.shape(values)), seed)[1:]


def samples(values: npt.ArrayLike) -> Floats:
    """``values`` as float64 [n]. Raises ValueError unless they are one or more finite numbers in one dimension."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) == 0 or not np.isfinite(array).all():
        raise ValueError(f"expected one or more finite numbers in one dimension, got an array {array.shape}")
    return array


def _resampling_weights(n: int, rng: np.random.Generator) -> Iterator[tuple[slice, Floats]]:
    """Chunks of (rows, weights [rows, n]): how often each sample was drawn, over n; ``weights @ values`` are means."""
    step = max(1, _CHUNK // n)
    for start in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - start)
        drawn = rng.integers(0, n, (rows, n)) + np.arange(rows)[:, None] * n
        counts = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
        yield slice(start, start + rows), counts / n
