"""Several random draws of one control as one row: its mean, and an interval that knows of draws and of samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from coreheads.resampling import LEVEL, RESAMPLES
from coreheads.statistics import bootstrap_mean_ci, paired_delta, paired_p

Scores = Mapping[str, float]
"""Score by record id."""


def mean_score(draws: Sequence[Scores], seed: int = 0) -> tuple[float, tuple[float, float]]:
    """(mean, (low, high)) over all draws; one draw is an ordinary cell, whose interval is over its samples."""
    values = [np.array(list(draw.values()), dtype=np.float64) for draw in draws]
    mean = float(np.mean([value.mean() for value in values]))
    if len(values) == 1:
        return mean, bootstrap_mean_ci(values[0], seed)
    return mean, draws_ci(values, seed)


def weights(groups: Mapping[str, str | None]) -> dict[str, float]:
    """Weight of each sample by record id, of mean 1, such that every group weighs the same: the plain mean of weighted
    scores is then the mean over groups of the groups' means. All 1 where there are no groups (None)."""
    sizes = Counter(groups.values())
    return {key: len(groups) / (len(sizes) * sizes[group]) for key, group in groups.items()}


def paired_with(
    draws: Sequence[Scores], dense: Sequence[Scores], seed: int = 0
) -> tuple[float, float, float, float] | None:
    """(delta, low, high, p) against the dense model on the same samples; None where they share none.

    dense: for each draw the dense model's scores, weighted as the draw's are.
    Several draws: the delta is the mean of the draws' deltas, its interval that of ``draws_ci``. p is over samples,
    each with its mean over the draws that answered it: it asks whether these draws changed the answers, and five draws
    could not make it small if each counted once.
    """
    pairs = zip(draws, dense, strict=True)
    deltas = [{key: score - base[key] for key, score in draw.items() if key in base} for draw, base in pairs]
    deltas = [delta for delta in deltas if delta]
    if not deltas:
        return None
    if len(deltas) == 1:
        values = list(deltas[0].values())
        return paired_delta(values, [0.0] * len(values), seed)
    columns = [np.array(list(delta.values()), dtype=np.float64) for delta in deltas]
    low, high = draws_ci(columns, seed)
    records = sorted({key for delta in deltas for key in delta})
    by_record = [float(np.mean([delta[key] for delta in deltas if key in delta])) for key in records]
    return float(np.mean([column.mean() for column in columns])), low, high, paired_p(by_record, seed)


FEW_DRAWS = 5
"""With fewer draws Student's t says almost nothing."""


def draws_ci(draws: Sequence[npt.NDArray[np.float64]], seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean of the draws' means, for draws yet to come and samples yet to be asked.

    The draws' means are independent and vary with draw and samples alike, so that Student's t over them knows of
    both; a bootstrap of the draws would be too narrow with ten of them. It is cut off at the largest and smallest
    score, beyond which no mean lies. With fewer than FEW_DRAWS draws, draws and then samples within them are resampled
    (a two-stage percentile bootstrap), which counts the samples' part twice and so errs to the wide side.
    """
    from scipy.stats import ttest_1samp

    if len(draws) < FEW_DRAWS:
        return _two_stage_ci(draws, seed)
    means = [float(draw.mean()) for draw in draws]
    if len(set(means)) == 1:
        return means[0], means[0]
    found = ttest_1samp(means, 0.0).confidence_interval(LEVEL)
    return max(float(found.low), min(float(draw.min()) for draw in draws)), min(
        float(found.high), max(float(draw.max()) for draw in draws)
    )


def _two_stage_ci(groups: Sequence[npt.NDArray[np.float64]], seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(groups), (RESAMPLES, len(groups)))
    means = np.zeros(chosen.shape)
    for index, group in enumerate(groups):
        places = chosen == index
        drawn = rng.integers(0, len(group), (int(places.sum()), len(group)))
        means[places] = group[drawn].mean(axis=1)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means.mean(axis=1), [tail, 1 - tail])
    return float(low), float(high)
