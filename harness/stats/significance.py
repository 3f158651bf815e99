"""Intervals, paired tests and their correction, by scipy; deterministic for a given seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from coreheads.stats.bootstrap import LEVEL, RESAMPLES, samples

_BATCH = 2_000_000  # numbers that scipy holds at once
_FLIPS = 9_999


def bootstrap_mean_ci(
    values: npt.ArrayLike, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean (Efron & Tibshirani 1993, chapter 13).

    Too narrow with fewer than about ten samples, and of no width where all are equal: print n beside it.

    Args:
        values: [n] scores.
        seed: Of the resampling.
        resamples: Number of resamples.
        level: Coverage of the interval, 0 to 1.

    Returns:
        (low, high), in the unit of the values.

    Raises:
        ValueError: There are no values.
    """
    from scipy.stats import bootstrap

    column = samples(values)
    if len(column) == 1 or np.all(column == column[0]):
        return float(column[0]), float(column[0])
    interval = bootstrap(
        (column,),
        np.mean,
        confidence_level=level,
        n_resamples=resamples,
        batch=max(1, _BATCH // len(column)),
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def none_of(n: int, level: float = LEVEL) -> float:
    """The largest share that is believable of what was not seen once in ``n`` independent samples.

    The one-sided exact bound (Clopper & Pearson 1934), about 3 / n at 95 %: the rule of three. A bootstrap cannot tell,
    as it draws from what was seen.

    Args:
        n: Samples, at least 1.
        level: Confidence, 0 to 1.

    Returns:
        The share, 0 to 1.

    Raises:
        ValueError: ``n`` is below 1.
    """
    if n < 1:
        raise ValueError(f"n is {n!r}, expected at least 1")
    return float(1 - (1 - level) ** (1 / n))


def paired_delta(values: npt.ArrayLike, baseline: npt.ArrayLike, seed: int = 0) -> tuple[float, float, float, float]:
    """Mean difference of paired scores, with its 95 % interval (pairs are resampled) and p.

    Args:
        values: [n] scores.
        baseline: [n] scores of the same samples in the same order.
        seed: Of the resampling and of the test.

    Returns:
        (delta, low, high, p) of ``mean(values - baseline)``; p is two-sided, from ``paired_p``.

    Raises:
        ValueError: The two differ in number, or there are none.
    """
    first, second = samples(values), samples(baseline)
    if first.shape != second.shape:
        raise ValueError(f"paired scores differ in number: {len(first)} and {len(second)}")
    differences = first - second
    low, high = bootstrap_mean_ci(differences, seed)
    return float(differences.mean()), low, high, paired_p(differences, seed)


def paired_p(differences: npt.ArrayLike, seed: int = 0) -> float:
    """Two-sided p of "the differences [n] are symmetric about 0".

    Differences of 0 say nothing and are left out. Where the others have one size (scores of 0 and 1) it is McNemar's
    exact test (McNemar 1947); otherwise the paired permutation test, which flips signs: all of them where there are
    few, else 9,999 draws, counted with the observed one so that p is never 0.

    Args:
        differences: [n] differences of paired scores.
        seed: Of the drawn flips.

    Returns:
        p, above 0 to 1; 1 where all differences are 0.

    Raises:
        ValueError: There are no differences.
    """
    from scipy.stats import binomtest, permutation_test

    kept = samples(differences)
    kept = kept[kept != 0]
    if len(kept) == 0:
        return 1.0
    better = int((kept > 0).sum())
    if np.all(np.abs(kept) == np.abs(kept[0])):
        return float(binomtest(better, len(kept)).pvalue)
    if len(kept) == 1:
        return 1.0
    result = permutation_test(
        (kept,),
        np.mean,
        permutation_type="samples",
        n_resamples=_FLIPS,
        batch=max(1, _BATCH // len(kept)),
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment for a whole family of tests (Holm 1979).

    Args:
        p_values: Raw p of each test; None where there was no test.

    Returns:
        Adjusted p in the order given, 0 to 1; None stays None.
    """
    # written out: statsmodels' own collects all garbage at every call, a second where models are loaded
    known = np.array([p for p in p_values if p is not None], dtype=np.float64)
    order = known.argsort(kind="stable")
    steps = known[order] * np.arange(len(known), 0, -1)  # the smallest p times all tests, the next times one less
    known[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    corrected = iter(known.tolist())
    return [None if p is None else float(next(corrected)) for p in p_values]
