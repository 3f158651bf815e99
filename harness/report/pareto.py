"""Which rows stand on the Pareto front of accuracy against speedup, and which rows may be compared at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from coreheads.report.columns import Line, grouped
from coreheads.store.board import Row


def by_axis(rows: Iterable[Row]) -> dict[tuple[str, ...], list[Row]]:
    """Timed rows (those with a prefill speedup) by what they must share to stand in one plot: the model first, and the
    run, too, because two machines may have one device's name."""
    timed = (row for row in rows if row["prefill_speedup"] is not None)
    return grouped(timed, "model", "task", "device", "run", "metric", "variant", "limit")


def pareto(rows: Sequence[Line]) -> list[Line]:
    """The rows that no other beats in speedup and score at once, by speedup; of equal ones all.

    A row is beaten by one that is at least as good in both and better in one.
    """
    points = [(row["prefill_speedup"] or 0.0, row["score"]) for row in rows]
    kept = [
        row
        for row, (speed, score) in zip(rows, points, strict=True)
        if not any(s >= speed and a >= score and (s, a) != (speed, score) for s, a in points)
    ]
    return sorted(kept, key=lambda row: (row["prefill_speedup"] or 0.0, -row["score"]))
