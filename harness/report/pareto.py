"""Which rows stand on the Pareto front of accuracy against speedup or cost, and which rows may be compared at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from coreheads.report.columns import Line, grouped
from coreheads.store.board import Row


def by_axis(rows: Iterable[Row]) -> dict[tuple[str, ...], list[Row]]:
    """Timed rows (those with a prefill speedup) by what they must share to stand in one plot: the model first, and the
    run, too, because two machines may have one device's name."""
    timed = (row for row in rows if row["prefill_speedup"] is not None)
    return grouped(timed, "model", "task", "device", "run", "metric", "variant", "limit")


def _speedup(row: Any) -> float:
    return row["prefill_speedup"] or 0.0


def pareto(rows: Sequence[Line], gain: Callable[[Any], float] = _speedup) -> list[Line]:
    """The rows that no other beats in gain (by default the speedup) and score at once, by gain; of equal ones all.

    A row is beaten by one that is at least as good in both and better in one.
    """
    points = [(gain(row), row["score"]) for row in rows]
    kept = [
        row
        for row, (much, score) in zip(rows, points, strict=True)
        if not any(m >= much and s >= score and (m, s) != (much, score) for m, s in points)
    ]
    return sorted(kept, key=lambda row: (gain(row), -row["score"]))
