"""Several random draws of one control as one row: its mean, and an interval that knows of draws and of samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from coreheads.statistics import LEVEL, RESAMPLES, bootstrap_mean_ci, paired_delta, sign_flip_p

Scores = Mapping[str, float]
"""Score by record id."""


def mean_score(draws: Sequence[Scores], seed: int = 0) -> tuple[float, tuple[float, float]]:
    """(mean, (low, high)) over all draws; one draw is an ordinary cell, whose interval is over its samples."""
    values = [np.array(list(draw.values()), dtype=np.float64) for draw in draws]
    mean = float(np.mean([value.mean() for value in values]))
    if len(values) == 1:
        return mean, bootstrap_mean_ci(values[0], seed)
    return mean, two_stage_ci(values, seed)


def paired_with(draws: Sequence[Scores], dense: Scores, seed: int = 0) -> tuple[float, float, float, float] | None:
    """(delta, low, high, p) against the dense model on the same samples; None where they share none.

    Several draws: the delta is the mean of the draws' deltas, the interval resamples draws and then samples within
    them, and p flips the signs of the draws' deltas (a draw is the unit that chance picked).
    """
    pairs = [[(score, dense[key]) for key, score in draw.items() if key in dense] for draw in draws]
    pairs = [pair for pair in pairs if pair]
    if not pairs:
        return None
    if len(pairs) == 1:
        values, baseline = zip(*pairs[0], strict=True)
        return paired_delta(values, baseline, seed)
    deltas = [np.array([score - base for score, base in pair], dtype=np.float64) for pair in pairs]
    means = [float(delta.mean()) for delta in deltas]
    low, high = two_stage_ci(deltas, seed)
    return float(np.mean(means)), low, high, sign_flip_p(means, seed)


def two_stage_ci(groups: Sequence[npt.NDArray[np.float64]], seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of the mean of the groups' means: resample groups, then samples within each."""
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
