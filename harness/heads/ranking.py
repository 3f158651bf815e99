"""How far a ranking of heads can be trusted: rank correlation, overlap of the top, halves of a data set, clear cuts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt

SPLIT_HALF_TOP = 20
SPLIT_HALF_SPLITS = 100
CLEAR_WITHIN = 0.2
"""Of all heads: further down, cuts lie between heads that read little and heads that read nothing."""


class ClearTop(TypedDict):
    """Leading heads that stand clear of the rest."""

    count: int
    """How many there are."""
    low: float
    """The lowest lower end of an interval among them."""
    high: float
    """The highest upper end of an interval among all others; less than ``low``."""
    shared: float | None
    """Which share of them random halves of the samples have in common, 0 to 1; null where that is not known."""


def order(scores: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """Indices of ``scores`` (flattened) from the highest to the lowest; equal ones by ascending index."""
    return np.argsort(-np.asarray(scores, dtype=np.float64).ravel(), kind="stable")


def spearman(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Spearman's rank correlation of two arrays of one shape, ties by average ranks; NaN where one is constant."""
    from scipy.stats import spearmanr

    a, b = np.asarray(first).ravel(), np.asarray(second).ravel()
    if a.shape != b.shape:
        raise ValueError(f"rank correlation of {len(a)} with {len(b)} numbers")
    if len(a) < 2 or np.all(a == a[0]) or np.all(b == b[0]):
        return float("nan")
    return float(spearmanr(a, b).statistic)


def jaccard(first: frozenset[tuple[int, int]], second: frozenset[tuple[int, int]]) -> float:
    """Shared heads over heads in either; 1 for two empty sets."""
    either = len(first | second)
    return len(first & second) / either if either else 1.0


def clear_top(
    mean: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike, shared: Sequence[float] | None = None
) -> ClearTop | None:
    """The last clear cut of a ranking: the most leading heads whose intervals all lie above those of all others.

    mean, low, high: scores of one shape and the ends of their intervals. shared: as ``split_half_shared`` gives it.

    A cut behind the first k heads (by mean) is clear where the lowest of their lower ends is above the highest upper
    end of the rest; equal ones are not. Cuts up to ``CLEAR_WITHIN`` of the heads are tried, and the last clear one is
    taken: another sample would find the same k heads, in whatever order. None where no cut is clear.

    What it does not say: that heads behind the cut do nothing, or are all ranked by luck; a tail that falls smoothly
    has no cut, though its order may be well known. It is cautious: each head has its own interval, as if heads were
    measured on different samples, and one head with a wide interval (it reads in one task of several, say) hides the
    cuts around it. More samples give narrower intervals and so later cuts. The intervals must be believed: with
    fewer than about ten samples they are too narrow.
    """
    means = np.asarray(mean, dtype=np.float64).ravel()
    ranked = order(means)
    ends = np.minimum(np.ravel(low), means)[ranked], np.maximum(np.ravel(high), means)[ranked]
    lowest = np.minimum.accumulate(ends[0])[:-1]
    highest = np.maximum.accumulate(ends[1][::-1])[::-1][1:]
    clear = np.flatnonzero((lowest > highest)[: max(1, int(CLEAR_WITHIN * len(means)))])
    if not len(clear):
        return None
    last = int(clear[-1])
    agreed = None if shared is None else shared[last]
    return {"count": last + 1, "low": float(lowest[last]), "high": float(highest[last]), "shared": agreed}


def split_half_correlation(
    groups: Sequence[npt.NDArray[np.floating]],
    top: int = SPLIT_HALF_TOP,
    splits: int = SPLIT_HALF_SPLITS,
    seed: int = 0,
) -> float | None:
    """How well one half of the samples predicts the ranks that the other half gives to the leading heads.

    groups: per task, the scores of its samples [n_t, heads]. The ``top`` heads are those with the highest mean over
    tasks of the tasks' means, on all samples. Then, ``splits`` times: the samples of each task are halved at random
    (an odd one is left out), each half gives every leading head its mean over tasks, and Spearman's correlation of
    the two is taken over the leading heads. The result is the mean over the splits.

    Nothing is added for a half being smaller than the whole (no Spearman-Brown step), so the ranking by all samples
    is more reliable than this number says. Pure noise gives less than 0, because heads that lead by luck in one half
    fall back in the other. None where a task has fewer than two samples, or ranks cannot be told apart (a constant
    half, fewer than two heads).
    """
    if not groups or any(len(group) < 2 for group in groups):
        return None
    leading = order(np.mean([group.mean(axis=0) for group in groups], axis=0))[:top]
    halves = _halves([group[:, leading] for group in groups], splits, seed)
    result = float(np.mean([spearman(first, second) for first, second in halves]))
    return result if np.isfinite(result) else None


def split_half_shared(
    groups: Sequence[npt.NDArray[np.floating]], splits: int = SPLIT_HALF_SPLITS, seed: int = 0
) -> list[float] | None:
    """For every k, which share of its top k one half of the samples has in common with the other's top k.

    groups, splits, seed: as for ``split_half_correlation``, and the same halves. Place k - 1 of the result is the mean
    over the splits, 0 to 1; two random rankings share k of n. Heads of equal score are ranked at random in each half,
    so that they agree no better than chance where a cut parts them. Noise shares a little less than that, because what
    is high in one half of a sample is low in the other. None where a task has fewer than two samples.
    """
    if not groups or any(len(group) < 2 for group in groups):
        return None
    count = groups[0].shape[1]
    lots = np.random.default_rng([seed, 1])
    common = np.zeros(count)
    for halves in _halves(groups, splits, seed):
        ranks = [np.argsort(np.lexsort((lots.random(count), -half))) for half in halves]
        common += np.bincount(np.maximum(*ranks), minlength=count).cumsum()
    shares: list[float] = (common / splits / np.arange(1, count + 1)).tolist()
    return shares


def _halves(groups: Sequence[npt.NDArray[np.floating]], splits: int, seed: int) -> Iterator[npt.NDArray[np.float64]]:
    """Per split, the means over tasks [2, heads] of two random halves of each task's samples."""
    columns = [np.asarray(group, dtype=np.float64) for group in groups]
    rng = np.random.default_rng(seed)
    for _ in range(splits):
        halves = np.zeros((2, columns[0].shape[1]))
        for column in columns:
            half = len(column) // 2
            shuffled = column[rng.permutation(len(column))]
            halves[0] += shuffled[:half].mean(axis=0)
            halves[1] += shuffled[half : 2 * half].mean(axis=0)
        yield halves
