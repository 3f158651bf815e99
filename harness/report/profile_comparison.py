"""Several head profiles beside each other: the heads that their tops share, and the accuracy that each top gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from tabulate import tabulate

from coreheads.heads.profile import HeadProfile
from coreheads.heads.selections import head_count
from coreheads.heads.types import Heads
from coreheads.report.columns import condition_label, number
from coreheads.report.profile_text import FRACTIONS, correlation
from coreheads.store.board import Row
from coreheads.text import visible


def overlaps(profiles: Mapping[str, HeadProfile]) -> str:
    """For every two profiles of one shape, by their names, how many heads their tops share; by chance below."""
    count = next(iter(profiles.values())).count
    sizes = [head_count(fraction, count) for fraction in FRACTIONS]
    rows = [
        [
            f"{one}, {other}",
            *(len(profiles[one].top(fraction) & profiles[other].top(fraction)) for fraction in FRACTIONS),
            correlation(profiles[one].mean, profiles[other].mean),
        ]
        for one, other in combinations(profiles, 2)
    ]
    rows.append(["by chance", *(f"{size * size / count:.1f}" for size in sizes), "0"])
    tops = [f"top {100 * fraction:g} % ({size})" for fraction, size in zip(FRACTIONS, sizes, strict=True)]
    return tabulate(rows, ["heads shared by", *tops, f"Spearman, all {count}"], "simple", disable_numparse=True)


def accuracies(
    profiles: Mapping[str, HeadProfile], rows: Sequence[Row], heads: Mapping[str, Heads], models: Sequence[str]
) -> str:
    """The scores of a run's rows whose selected heads are the top of one of the profiles.

    Args:
        profiles: By name.
        rows: The run's.
        heads: Of every cell, by its name.
        models: The run's names of the profiles' model.

    Returns:
        A table: a line a task and condition, a column a profile; empty where no row has such heads.
    """
    dense = {(row["model"], row["task"]): row["score"] for row in rows if row["patch"] == "none"}
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    for row in rows:
        if row["selection"] != "top" or row["fraction"] is None or row["model"] not in models:
            continue
        label = condition_label({**row, "head_score": None, "told_apart": True})
        for name, profile in profiles.items():
            if profile.top(row["fraction"]) == heads[row["cells"][0]]:
                found.setdefault((row["model"], row["task"], label), {})[name] = row["score"]
    lines = [
        [visible(task), visible(label), number(dense.get((model, task))), *(number(by.get(name)) for name in profiles)]
        for (model, task, label), by in found.items()
    ]
    return tabulate(lines, ["task", "condition", "dense", *profiles], "simple", disable_numparse=True) if lines else ""
