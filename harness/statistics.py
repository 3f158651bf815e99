"""Intervals, paired tests and rank agreement, in numpy only, deterministic for a given seed.

Every interval is a percentile bootstrap (Efron & Tibshirani 1993, chapter 13). Two things it cannot do:
with fewer than about ten samples it is too narrow, and where all samples are equal it has no width at all.
Print ``n`` beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import comb

import numpy as np
import numpy.typing as npt

from coreheads.agreement import jaccard, spearman, split_half_correlation

__all__ = [
    "bootstrap_mean_ci",
    "bootstrap_means",
    "bootstrap_median_ci",
    "holm",
    "jaccard",
    "paired_delta",
    "ratio_of_medians_ci",
    "sign_flip_p",
    "spearman",
    "split_half_correlation",
]

Floats = npt.NDArray[np.float64]

RESAMPLES = 2000
LEVEL = 0.95
_CHUNK = 2_000_000  # drawn indices held at once: 16 MB
_ENUMERATE = 14  # sign flips are enumerated up to 2**14, and sampled beyond


def bootstrap_mean_ci(
    values: npt.ArrayLike, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> tuple[float, float]:
    """(low, high) of the mean of ``values`` [n]. Raises ValueError when there are none."""
    column = _samples(values)[:, None]
    low, high = bootstrap_means([column], seed, resamples, level)
    return float(low[0]), float(high[0])


def bootstrap_means(
    groups: Sequence[npt.NDArray[np.floating]], seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> tuple[Floats, Floats]:
    """(low, high), each [m], of the mean over groups of the groups' means over their samples.

    groups: arrays [n_g, m]; samples are drawn anew within each group (a stratified bootstrap), so that a
    group with many samples weighs no more than one with few. One draw serves all m columns.
    """
    if not groups or any(len(group) == 0 for group in groups):
        raise ValueError("a bootstrap needs at least one sample in every group")
    rng = np.random.default_rng(seed)
    means = np.zeros((resamples, groups[0].shape[1]))
    for values in groups:
        group = np.asarray(values, dtype=np.float64)
        for rows, weights in _resampling_weights(len(group), resamples, rng):
            means[rows] += weights @ group / len(groups)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return low, high


def paired_delta(
    values: npt.ArrayLike, baseline: npt.ArrayLike, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> tuple[float, float, float, float]:
    """(delta, low, high, p) of ``mean(values - baseline)``, both [n], the same samples in the same order.

    The interval resamples pairs. p is two-sided, by flipping signs (see :func:`sign_flip_p`), which is the
    exact McNemar test where scores are 0 or 1.
    """
    first, second = _samples(values), _samples(baseline)
    if first.shape != second.shape:
        raise ValueError(f"paired scores differ in number: {len(first)} and {len(second)}")
    differences = first - second
    low, high = bootstrap_mean_ci(differences, seed, resamples, level)
    return float(differences.mean()), low, high, sign_flip_p(differences, seed)


def sign_flip_p(differences: npt.ArrayLike, seed: int = 0, draws: int = 10_000) -> float:
    """Two-sided p of "the differences [n] are symmetric about 0", by the paired permutation test.

    Differences of 0 say nothing and are left out. Where the others have one size (0/1 scores) the count of
    positive ones is binomial, and p is that of McNemar's exact test. Otherwise all flips are enumerated
    when there are few samples, else ``draws`` are sampled and counted with the observed one, so that p is
    never 0.
    """
    kept = _samples(differences)
    kept = kept[kept != 0]
    count = len(kept)
    if count == 0:
        return 1.0
    sizes = np.abs(kept)
    if np.all(sizes == sizes[0]):
        fewer = min(int((kept > 0).sum()), int((kept < 0).sum()))
        return min(1.0, 2 * float(sum(comb(count, k) for k in range(fewer + 1)) / (1 << count)))
    # a flip that gives the same sum in another order of addition must count as equal
    reached = abs(kept.sum()) * (1 - 1e-12) - 1e-300
    if count <= _ENUMERATE:
        signs = np.array(list(product((-1.0, 1.0), repeat=count)))
        return float((np.abs(signs @ sizes) >= reached).mean())
    rng = np.random.default_rng(seed)
    hits, left = 0, draws
    while left:
        rows = min(left, max(1, _CHUNK // count))
        signs = rng.integers(0, 2, (rows, count)) * 2.0 - 1.0
        hits += int((np.abs(signs @ sizes) >= reached).sum())
        left -= rows
    return (1 + hits) / (1 + draws)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment (Holm 1979) for the whole family, in the order given; None stays None."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for step, (p, place) in enumerate(known):
        running = max(running, min(1.0, (len(known) - step) * p))
        adjusted[place] = running
    return adjusted


def ratio_of_medians_ci(
    numerator: npt.ArrayLike,
    denominator: npt.ArrayLike,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> tuple[float, float, float]:
    """(ratio, low, high) of ``median(numerator) / median(denominator)``, for interleaved timings [n] in
    any one unit.

    Pair i was measured back to back, so pairs are resampled: a slow moment of the machine hits both and
        cancels.
    A speedup is ``ratio_of_medians_ci(dense_seconds, patched_seconds)``.
    """
    above, below = _samples(numerator), _samples(denominator)
    if above.shape != below.shape:
        raise ValueError(f"paired timings differ in number: {len(above)} and {len(below)}")
    if np.any(below <= 0):
        raise ValueError("timings must be above 0")
    draws = np.random.default_rng(seed).integers(0, len(above), (resamples, len(above)))
    ratios = np.median(above[draws], axis=1) / np.median(below[draws], axis=1)
    tail = (1 - level) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return float(np.median(above) / np.median(below)), float(low), float(high)


def bootstrap_median_ci(
    values: npt.ArrayLike, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> tuple[float, float]:
    """(low, high) of the median of ``values`` [n]. Raises ValueError when there are none."""
    column = _samples(values)
    draws = np.random.default_rng(seed).integers(0, len(column), (resamples, len(column)))
    tail = (1 - level) / 2
    low, high = np.quantile(np.median(column[draws], axis=1), [tail, 1 - tail])
    return float(low), float(high)


def _samples(values: npt.ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) == 0 or not np.isfinite(array).all():
        raise ValueError(f"expected one or more finite numbers in one dimension, got an array {array.shape}")
    return array


def _resampling_weights(n: int, resamples: int, rng: np.random.Generator) -> Iterator[tuple[slice, Floats]]:
    """Chunks of (rows, weights [rows, n]): how often each sample was drawn, over n; ``weights @ values``
    are means."""
    step = max(1, _CHUNK // n)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(0, n, (rows, n)) + np.arange(rows)[:, None] * n
        counts = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
        yield slice(start, start + rows), counts / n
