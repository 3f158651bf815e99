"""Which rows stand on the Pareto front of accuracy against speedup, and which rows may be compared at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coreheads.store.board import Row

Axis = tuple[str, str, str, str, str, str, str]


def axis(row: Row) -> Axis:
    """What two rows must share to stand in one plot: model, task, device, run (two machines may have one device's
    name), metric, variant and limit."""
    fields = ("model", "task", "device", "run", "metric", "variant", "limit")
    model, task, device, run, metric, variant, limit = (str(row.get(name)) for name in fields)
    return model, task, device, run, metric, variant, limit


def by_axis(rows: Iterable[Row]) -> dict[Axis, list[Row]]:
    """Timed rows (those with a prefill speedup) by :func:`axis`, in their order."""
    groups: dict[Axis, list[Row]] = {}
    for row in rows:
        if row["prefill_speedup"] is not None:
            groups.setdefault(axis(row), []).append(row)
    return groups


def pareto(rows: Sequence[Row]) -> list[Row]:
    """The rows that no other beats in speedup and score at once, by speedup; of equal ones all.

    A row is beaten by one that is at least as good in both and better in one.
    """
    points = [(row["prefill_speedup"], row["score"]) for row in rows]
    kept = [
        row
        for row, (speed, score) in zip(rows, points, strict=True)
        if not any(s >= speed and a >= score and (s, a) != (speed, score) for s, a in points)
    ]
    return sorted(kept, key=lambda row: (row["prefill_speedup"], -row["score"]))
