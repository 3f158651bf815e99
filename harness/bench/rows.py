"""bench.json: one row for a model, selection, pattern, context length and phase; and the crossover length."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from coreheads.stats.bootstrap import bootstrap_median_ci, ratio_of_medians_ci

SCHEMA_VERSION = 1

FIELDS = (
    "model", "weights", "device", "dtype", "phase", "context", "batch", "selection", "fraction", "sink", "window",
    "dense_kernel", "dense_ms", "dense_ci", "hybrid_ms", "hybrid_ci", "speedup", "speedup_ci", "ceiling",
    "ceiling_share", "kv_bytes_ratio", "peak_memory_ratio", "repeats",
)  # fmt: skip
"""Times are milliseconds, of a token for decode; intervals are 95 %, [low, high]; null where not measured."""

PHASES = ("preprocess", "vision", "prefill", "decode", "end_to_end")
SAME_FOR_ALL = ("preprocess", "vision")
"""Phases that hybrid attention does not touch: one measurement stands for dense and hybrid."""

Row = dict[str, Any]
Times = Mapping[str, Sequence[float]]


def rows(
    common: Row, dense: Times, hybrid: Times, ceiling: Times, dense_kernel: Mapping[str, str], memory: Row
) -> list[Row]:
    """The rows of one selection at one context length, a phase each; a phase without times has none.

    common: the fields that all of them share. dense, hybrid, ceiling: seconds by phase, measured in turns.
    memory: kv_bytes_ratio and peak_memory_ratio.
    """
    found = []
    for phase in PHASES:
        if not dense.get(phase):
            continue
        above, below = dense[phase], hybrid[phase]
        speedup, low, high = ratio_of_medians_ci(above, below)
        row = {
            **common,
            "phase": phase,
            "dense_kernel": _kernel(phase, dense_kernel),
            "dense_ms": 1000 * median(above),
            "dense_ci": _ms(bootstrap_median_ci(above)),
            "hybrid_ms": 1000 * median(below),
            "hybrid_ci": _ms(bootstrap_median_ci(below)),
            "speedup": speedup,
            "speedup_ci": [low, high],
            "ceiling": None,
            "ceiling_share": None,
            **memory,
        }
        if phase not in SAME_FOR_ALL:
            row["ceiling"] = ratio_of_medians_ci(above, ceiling[phase])[0]
            row["ceiling_share"] = speedup / row["ceiling"]
        found.append({name: row[name] for name in FIELDS})
    return found


def _kernel(phase: str, kernels: Mapping[str, str]) -> str | None:
    if phase in SAME_FOR_ALL:
        return None
    if phase == "end_to_end":
        return "+".join(dict.fromkeys(kernels.values()))
    return kernels[phase]


def _ms(interval: tuple[float, float]) -> list[float]:
    return [1000 * edge for edge in interval]


def crossover(points: Sequence[tuple[int, float]]) -> tuple[float | None, str]:
    """(length, words): from which context on hybrid is faster; ``points`` are (tokens, speedup) of one phase.

    Between two measured lengths it is interpolated, the speedup linearly over the logarithm of the length. None where
    it lies outside the lengths measured.
    """
    ordered = sorted(points)
    slower = [index for index, (_, speedup) in enumerate(ordered) if speedup <= 1]
    if not slower:
        return None, f"faster at every length measured, from {ordered[0][0]:,} tokens on"
    last = slower[-1]
    if last == len(ordered) - 1:
        return None, f"not faster at {ordered[-1][0]:,} tokens, the longest measured"
    (shorter, below), (longer, above) = ordered[last], ordered[last + 1]
    share = (1 - below) / (above - below)
    length = math.exp(math.log(shorter) + share * (math.log(longer) - math.log(shorter)))
    return length, f"faster from about {length:,.0f} tokens on (between {shorter:,} and {longer:,})"


def series(rows: Sequence[Row], phase: str) -> dict[str, list[Row]]:
    """The rows of a phase by what was run, each by ascending context."""
    found: dict[str, list[Row]] = {}
    for row in sorted((row for row in rows if row["phase"] == phase), key=lambda row: int(row["context"])):
        found.setdefault(title(row), []).append(row)
    return found


def title(row: Row) -> str:
    """A model, a selection and a pattern in words."""
    name = str(row["model"]).rsplit("/", 1)[-1]
    heads = f"{row['selection']} {100 * row['fraction']:g} % of heads" if row["fraction"] else str(row["selection"])
    return f"{name}, {heads}, sink {row['sink']}, window {row['window']}"
