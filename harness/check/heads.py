"""The ranking of a run's heads against its baseline's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from coreheads.check.baseline import AskedRecord, Baseline, HeadsRecord
from coreheads.check.findings import Finding
from coreheads.check.tolerances import Tolerances
from coreheads.heads.ranking import jaccard, spearman
from coreheads.heads.selections import every, top
from coreheads.heads.types import Heads

Matrix = npt.NDArray[np.float64]

WIDTH = 2 * 1.959964
"""A 95 % interval's width in standard errors."""
SAME_RECORDS = 0.05
"""On the same samples heads move by rounding, by far less than this part of their standard errors."""


def compare_heads(now: Mapping[str, HeadsRecord], before: Baseline) -> Iterator[Finding]:
    """For every profile of the baseline: overlap of the top heads, rank correlation of all, and layers that were
    shuffled."""
    tolerances = before.tolerances
    for model, old in before.heads.items():
        if model not in now:
            yield Finding("ranking", f"{model} heads", None, None, False, "the run has no such head profile")
            continue
        first, second = np.array(old.mean), np.array(now[model].mean)
        if first.shape != second.shape:
            sizes = [" x ".join(map(str, matrix.shape)) for matrix in (first, second)]
            text = f"{sizes[0]} heads in the baseline, {sizes[1]} in the run"
            yield Finding("ranking", f"{model} heads", None, None, False, text)
            continue
        fraction, least = tolerances.ranking_fraction, tolerances.ranking_overlap
        chosen = top(first, fraction)
        overlap = jaccard(chosen, _excused(chosen, top(second, fraction), second, _errors(old, now[model])))
        text = f"overlap of the top {100 * fraction:g} % of heads, at least {least:g}"
        yield Finding("ranking", f"{model} top heads", 1.0, overlap, overlap >= least - 1e-9, text)
        agreement, least = spearman(first, second), tolerances.ranking_correlation
        text = f"rank correlation of all heads, at least {least:g}"
        # a constant profile has no ranks; where nothing moved that is no fault
        ok = agreement >= least - 1e-9 or bool(np.array_equal(first, second))
        yield Finding("ranking", f"{model} all heads", 1.0, agreement if agreement == agreement else None, ok, text)
        yield from _layers(model, old, now[model], tolerances)


def explained(asked: AskedRecord, now: Heads, old: HeadsRecord, new: HeadsRecord, least: float) -> bool:
    """Whether the baseline asked for other heads than ``now`` only because two profiles rank nearly equal heads
    otherwise. least: overlap that is wanted of the two choices beyond that."""
    first, second, before = np.array(old.mean), np.array(new.mean), asked.chosen
    if old.mean == new.mean or first.shape != second.shape or not before | now <= every((len(first), len(first[0]))):
        return False  # one ranking gives one choice
    if asked.selection == "layer_matched":  # drawn in the layers of the top heads: others follow from others there
        return top(first, asked.fraction or 1.0) != top(second, asked.fraction or 1.0)
    mean = {"top": second, "bottom": -second}.get(asked.selection or "")
    return mean is not None and jaccard(before, _excused(before, now, mean, _errors(old, new))) >= least - 1e-9


def _layers(model: str, old: HeadsRecord, new: HeadsRecord, tolerances: Tolerances) -> Iterator[Finding]:
    """Layers whose heads are in another order, and moved further than their intervals explain.

    Under the null each head's shift over its standard error is about standard normal (less where both profiles asked
    the same samples), so that the sum of squares over a layer is chi-squared with as many degrees of freedom as heads.
    """
    from scipy.stats import chi2

    first, second = np.array(old.mean), np.array(new.mean)
    tails = chi2.sf((((second - first) / _errors(old, new)) ** 2).sum(axis=1), first.shape[1])
    for layer, tail in enumerate(tails):
        if tail < tolerances.alpha / len(tails):
            agreement = spearman(first[layer], second[layer])
            ok = bool(agreement >= tolerances.layer_correlation - 1e-9)
            text = f"rank correlation of its heads, at least {tolerances.layer_correlation:g}"
            text += f"; they moved beyond their intervals (p {tail:.1g})"
            now = agreement if agreement == agreement else None
            yield Finding("ranking", f"{model} layer {layer}", 1.0, now, ok, text, p=float(tail))


def _excused(before: Heads, now: Heads, mean: Matrix, errors: Matrix) -> Heads:
    """The top heads ``now``, with those of ``before`` that fell out within two standard errors in place of the lowest
    newcomers: which of nearly equal heads stands above a cut is chance."""
    if not now - before:
        return now
    last = min(now, key=lambda head: mean[head])
    near = [head for head in before - now if abs(mean[last] - mean[head]) <= 2 * np.hypot(errors[head], errors[last])]
    newcomers = sorted(now - before, key=lambda head: mean[head])
    swapped = sorted(near, key=lambda head: -mean[head])[: len(newcomers)]
    return (now - frozenset(newcomers[: len(swapped)])) | frozenset(swapped)


def _errors(old: HeadsRecord, new: HeadsRecord) -> Matrix:
    """Standard errors of the heads' shifts. Heads without an interval are exact, up to the digits that are kept."""
    widths = [np.array(record.ci_high) - np.array(record.ci_low) for record in (old, new)]
    errors = np.hypot(*widths) / WIDTH
    if old.records is not None and old.records == new.records:
        errors = SAME_RECORDS * errors
    largest = np.maximum(np.abs(np.array(old.mean)), np.abs(np.array(new.mean)))
    exact: Matrix = np.maximum(errors, 1e-4 * largest + 1e-9)
    return exact
