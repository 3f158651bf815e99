"""A made-up board for the gate: what an honest run again of it looks like, and runs with something planted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from coreheads.check.baseline import Baseline, CellRecord, HeadsRecord, SpeedRecord
from coreheads.check.tolerances import Tolerances

TASKS = ("pictures", "pages", "videos")
SAMPLES, DRAWS, A_DRAW = 128, 3, 16
LAYERS, HEADS = 8, 16
LOGITS = 0.01
"""Standard deviation that rounding gives to a difference of logits."""

CONDITIONS = {"none": 0.9, "ablate__top__0.05": 0.1, "ablate__random__0.05": 0.88, "hybrid__top__0.1": 0.89}
"""Condition -> how often it is right."""


def board(seed: int = 0) -> Baseline:
    """Dense, top heads off, random heads off (draws of few samples), hybrid (timed), on three tasks of 128 samples."""
    rng = np.random.default_rng(seed)
    cells: dict[str, CellRecord] = {}
    for task in TASKS:
        for condition, right in CONDITIONS.items():
            draws = range(DRAWS) if "random" in condition else [None]
            for draw in draws:
                name = f"m__{task}__{condition}" + ("" if draw is None else f"__draw{draw}")
                timed = condition.startswith("hybrid")
                cells[name] = CellRecord(
                    condition=f"m__all__{condition}",
                    metric="accuracy",
                    kv_bytes_ratio=0.2 if timed else None,
                    speed=SpeedRecord(speedup=2.6, low=2.5, high=2.7) if timed else None,
                    samples={
                        f"r{index}": _sample(index, rng.random() < right, rng.exponential(3.0))
                        for index in range(SAMPLES if draw is None else A_DRAW)
                    },
                )
    mean = rng.gamma(0.5, 0.01, (LAYERS, HEADS))
    for head in ((5, 2), (5, 9), (6, 1), (6, 14), (3, 3), (4, 7)):
        mean[head] = rng.uniform(0.5, 0.9)
    return Baseline(cells=cells, heads={"m": _heads(mean, 0.1 * mean)}, tolerances=Tolerances())


def again(baseline: Baseline, seed: int) -> Baseline:
    """The same run on another machine: near-ties tip, one sample in 2,000 changes besides, heads are found on other
    samples (within their intervals), speeds differ by some percent."""
    rng = np.random.default_rng(seed)
    cells = {}
    for name, cell in baseline.cells.items():
        samples = {}
        shifts, luck = rng.normal(0, LOGITS, len(cell.samples)).tolist(), rng.random(len(cell.samples)).tolist()
        for index, (record, (score, answer, margin)) in enumerate(cell.samples.items()):
            moved = (margin or 0.0) + shifts[index]
            tipped = moved < 0 or luck[index] < 0.0005
            samples[record] = _sample(index, score == 0, abs(moved)) if tipped else (score, answer, abs(moved))
        speed = None
        if cell.speed is not None:
            factor = float(np.exp(rng.normal(0, 0.06)))
            speed = SpeedRecord(speedup=2.6 * factor, low=2.5 * factor, high=2.7 * factor)
        cells[name] = cell.model_copy(update={"samples": samples, "speed": speed})
    mean = np.array(baseline.heads["m"].mean)
    found = np.abs(mean + rng.normal(0, 0.1 * mean))
    return baseline.model_copy(update={"cells": cells, "heads": {"m": _heads(found, 0.1 * mean)}})


def lost(baseline: Baseline, points: float, cell: str = "") -> Baseline:
    """Without so many points of accuracy, in one cell or (its name's part empty) in all that are mostly right."""
    cells = {}
    for name, record in baseline.cells.items():
        samples = dict(record.samples)
        if cell in name and "ablate__top" not in name:
            right = [key for key, (score, _, margin) in samples.items() if score == 1 and (margin or 0) > 0.5]
            for key in right[: round(points / 100 * len(samples))]:
                samples[key] = (0.0, "something else", 2.0)
        cells[name] = record.model_copy(update={"samples": samples})
    return baseline.model_copy(update={"cells": cells})


def changed(baseline: Baseline, cell: str, change: Callable[[CellRecord], dict[str, Any]]) -> Baseline:
    """With other fields in one cell."""
    cells = dict(baseline.cells)
    cells[cell] = cells[cell].model_copy(update=change(cells[cell]))
    return baseline.model_copy(update={"cells": cells})


def shuffled(baseline: Baseline, layer: int, seed: int) -> Baseline:
    """With the heads of one layer in another order."""
    order = np.random.default_rng(seed).permutation(HEADS)
    while (order == np.arange(HEADS)).any():
        order = np.random.default_rng(seed := seed + 1000).permutation(HEADS)
    record = baseline.heads["m"]
    matrices = {}
    for name in ("mean", "ci_low", "ci_high"):
        matrix = np.array(getattr(record, name))
        matrix[layer] = matrix[layer][order]
        matrices[name] = tuple(tuple(float(value) for value in row) for row in matrix)
    return baseline.model_copy(update={"heads": {"m": HeadsRecord(**matrices, records=record.records)}})


def wide(baseline: Baseline) -> Baseline:
    """With intervals half again as wide as the means, of known records."""
    mean = np.array(baseline.heads["m"].mean)
    return with_heads(baseline, mean, 0.4 * mean, "one set")


def rounded(baseline: Baseline, seed: int) -> Baseline:
    """The profile found anew on the same records, on another machine."""
    record = baseline.heads["m"]
    noise = np.random.default_rng(seed).normal(1, 1e-5, (LAYERS, HEADS))
    error = (np.array(record.ci_high) - np.array(record.ci_low)) / 3.92
    return with_heads(baseline, np.array(record.mean) * noise, error, record.records)


def with_heads(baseline: Baseline, mean: Any, error: Any, records: str | None = None) -> Baseline:
    """With this RAM of the heads, [layers][heads], and these standard errors."""
    heads = _heads(np.array(mean), np.broadcast_to(error, (LAYERS, HEADS)))
    return baseline.model_copy(update={"heads": {"m": heads.model_copy(update={"records": records})}})


def _sample(index: int, right: bool, margin: float) -> tuple[float, str, float]:
    return float(right), f"answer {index}" if right else f"not {index}", float(margin)


def _heads(mean: Any, error: Any) -> HeadsRecord:
    matrices = {"mean": mean, "ci_low": mean - 1.96 * error, "ci_high": mean + 1.96 * error}
    return HeadsRecord(**{name: tuple(tuple(map(float, row)) for row in value) for name, value in matrices.items()})
