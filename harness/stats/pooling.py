"""Several random draws of one control as one row: its mean, and an interval that knows of draws and of samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from coreheads.stats.bootstrap import LEVEL, RESAMPLES, TAILS
from coreheads.stats.significance import bootstrap_mean_ci, paired_delta, paired_p

Scores = Mapping[str, float]
"""Score by record id."""


def mean_score(draws: Sequence[Scores], seed: int = 0) -> tuple[float, tuple[float, float]]:
    """Mean over all draws, with its 95 % interval.

    Args:
        draws: At least one, each scores by record id; one draw is an ordinary cell, whose interval is over samples.
        seed: Of the resampling.

    Returns:
        (mean, (low, high)), in the unit of the scores.
    """
    mean = float(np.mean([np.mean(list(draw.values())) for draw in draws]))
    if len(draws) == 1:
        return mean, bootstrap_mean_ci(list(draws[0].values()), seed)
    return mean, draws_ci(draws, seed)


def weights(groups: Mapping[str, str | None]) -> dict[str, float]:
    """Weight of each sample such that every group weighs the same.

    The plain mean of weighted scores is then the mean over groups of the groups' means.

    Args:
        groups: The group of each sample by record id; None for all where there are no groups.

    Returns:
        Weights by record id, of mean 1; all 1 where there are no groups.
    """
    sizes = Counter(groups.values())
    return {key: len(groups) / (len(sizes) * sizes[group]) for key, group in groups.items()}


def alike(groups: Mapping[str, str | None]) -> int:
    """How many samples a bound may go by (``significance.none_of``) where all samples say the same.

    With groups that weigh the same, what was not seen may be hidden in the smallest one: each counts for no more.

    Args:
        groups: The group of each sample by record id; None for all where there are no groups.
    """
    sizes = Counter(groups.values())
    return len(sizes) * min(sizes.values(), default=0)


def paired_with(
    draws: Sequence[Scores], dense: Sequence[Scores], seed: int = 0
) -> tuple[float, float, float, float] | None:
    """Difference from the dense model on the same samples, with its 95 % interval and p.

    Of several draws, delta is the mean of the draws' deltas and its interval that of ``draws_ci``. p is over samples,
    each with its mean over the draws that answered it: it asks whether these draws changed the answers, and five draws
    could not make it small if each counted once.

    Args:
        draws: At least one, each scores by record id.
        dense: For each draw the dense model's scores, weighted as the draw's are.
        seed: Of the resampling and of the test.

    Returns:
        (delta, low, high, p), p two-sided; None where they share no samples.
    """
    pairs = zip(draws, dense, strict=True)
    deltas = [{key: score - base[key] for key, score in draw.items() if key in base} for draw, base in pairs]
    deltas = [delta for delta in deltas if delta]
    if not deltas:
        return None
    if len(deltas) == 1:
        values = list(deltas[0].values())
        return paired_delta(values, [0.0] * len(values), seed)
    low, high = draws_ci(deltas, seed)
    records = sorted({key for delta in deltas for key in delta})
    by_record = [float(np.mean([delta[key] for delta in deltas if key in delta])) for key in records]
    return float(np.mean([np.mean(list(delta.values())) for delta in deltas])), low, high, paired_p(by_record, seed)


FEW_DRAWS = 5
"""With fewer draws Student's t says almost nothing."""


def draws_ci(draws: Sequence[Scores], seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean of the draws' means, for draws yet to come and samples yet to be asked.

    Draws that asked different samples are independent, and their means vary with draw and samples alike: Student's t
    over them knows of both, where a bootstrap of ten draws would be too narrow. It is cut off at the largest and the
    smallest score, beyond which no mean lies. Draws that share samples, and fewer than FEW_DRAWS, are resampled
    crosswise, draws and samples (Owen 2007, the pigeonhole bootstrap), which errs to the wide side.

    Args:
        draws: At least two, each scores by record id.
        seed: Of the resampling.

    Returns:
        (low, high), in the unit of the scores.
    """
    from scipy.stats import ttest_1samp

    asked = Counter(key for draw in draws for key in draw)
    if len(draws) < FEW_DRAWS or max(asked.values()) > 1:
        return _crossed_ci(draws, sorted(asked), seed)
    means = [float(np.mean(list(draw.values()))) for draw in draws]
    if len(set(means)) == 1:
        return means[0], means[0]
    interval = ttest_1samp(means, 0.0).confidence_interval(LEVEL)
    scores = [score for draw in draws for score in draw.values()]
    return max(float(interval.low), min(scores)), min(float(interval.high), max(scores))


def _crossed_ci(draws: Sequence[Scores], records: Sequence[str], seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    scores = np.array([[draw.get(key, 0.0) for key in records] for draw in draws])
    asked = np.array([[float(key in draw) for key in records] for draw in draws])
    counts = rng.multinomial(len(records), np.full(len(records), 1 / len(records)), RESAMPLES).astype(float)
    totals = counts @ asked.T
    means = np.divide(counts @ scores.T, totals, out=np.full(totals.shape, np.nan), where=totals > 0)
    chosen = np.take_along_axis(means, rng.integers(0, len(draws), means.shape), axis=1)
    kept = ~np.isnan(chosen).all(axis=1)  # but for a few where only draws were taken that asked none of the records
    low, high = np.quantile(np.nanmean(chosen[kept], axis=1), TAILS)
    return float(low), float(high)
