"""Means over groups of means: what benchmarks call macro averages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from coreheads.errors import UserError


def macro(rows: Iterable[Mapping[str, Any]]) -> float:
    """The plain mean over the groups present of their mean scores; rows: {"group", "score"}."""
    scores: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        scores[row["group"]].append(float(row["score"]))
    if not scores:
        raise UserError("rows: none, expected at least one scored sample")
    return sum(sum(values) / len(values) for values in scores.values()) / len(scores)
