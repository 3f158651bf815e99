"""What the samples of a row were counted to cost, and how many are answered as the dense model answers them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from coreheads.store.board import Budget
from coreheads.store.schema import CellRecord, Counts, SampleRecord


def budget_of(first: CellRecord, lines: Sequence[SampleRecord]) -> Budget:
    """The means over a row's samples, and what its first cell says was asked."""
    asked = first["cell"]
    means: dict[str, float | None] = {}
    for name in Counts.__annotations__:
        values = [line.get(name) for line in lines]
        # of a cell that an older version began, some samples were not counted
        means[name] = None if None in values else fmean(value for value in values if isinstance(value, float))
    return {
        "matrix_ratio": means["matrix_ratio"],
        "pairs_ratio": means["pairs_ratio"],
        "flops_ratio": means["flops_ratio"],
        "kv_ratio": means["kv_ratio"],
        "budget": asked.get("budget"),
        "budget_of": asked.get("budget_of"),
        "preset": asked.get("preset") or None,
        "question": first.get("question"),
    }


def loyalty(draws: Sequence[Mapping[str, SampleRecord]], dense: Mapping[str, SampleRecord]) -> float | None:
    """Share of the answers that the dense model gives, too, on the same samples; None where there are none.

    Runs of white space count as one blank.
    """
    equal = [
        line["response"].split() == dense[record]["response"].split()
        for draw in draws
        for record, line in draw.items()
        if record in dense
    ]
    return fmean(equal) if equal else None
