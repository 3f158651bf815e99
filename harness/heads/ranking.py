"""How far two rankings of the same heads agree: rank correlation, overlap of the top, halves of one data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

SPLIT_HALF_TOP = 20
SPLIT_HALF_SPLITS = 100


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
    columns = [np.asarray(group[:, leading], dtype=np.float64) for group in groups]
    rng = np.random.default_rng(seed)
    correlations = []
    for _ in range(splits):
        halves = np.zeros((2, len(leading)))
        for column in columns:
            half = len(column) // 2
            shuffled = column[rng.permutation(len(column))]
            halves[0] += shuffled[:half].mean(axis=0)
            halves[1] += shuffled[half : 2 * half].mean(axis=0)
        correlations.append(spearman(halves[0], halves[1]))
    result = float(np.mean(correlations))
    return result if np.isfinite(result) else None
