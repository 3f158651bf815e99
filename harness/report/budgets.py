"""Methods on one budget as a table: the best of each, what cannot be told from it, and what is worse."""

from __future__ import annotations

from collections.abc import Iterable

from coreheads.report.columns import budget_label, p_value
from coreheads.store.board import Comparison

TOLD_APART = 0.05
"""A corrected p above it tells no difference."""
NO_DIFFERENCE = "no difference"


def table(comparisons: Iterable[Comparison]) -> tuple[list[str], list[list[str]]]:
    """(headings, lines): a line for every model, budget and task. Where no method is worse than the best by the test,
    the line says that there is no difference."""
    groups: dict[tuple[str, str, str, float, str | None], list[Comparison]] = {}
    for entry in comparisons:
        key = entry["run"], entry["model"], entry["budget_of"], entry["budget"], entry["task"]
        groups.setdefault(key, []).append(entry)
    lines = []
    # what is said over all tasks stands before the tasks
    ordered = sorted(groups.items(), key=lambda group: (*group[0][:3], -group[0][3], group[0][4] is not None))
    for (_, model, of, budget, task), entries in ordered:
        worse = sorted((e for e in entries if e["p_value"] <= TOLD_APART), key=lambda e: e["difference"])
        same = [entry["b"] for entry in entries if entry["p_value"] > TOLD_APART]
        best = entries[0]["a"]
        lines.append(
            [
                model,
                budget_label(budget, of),
                task or "mean of all tasks",
                best if worse else f"{NO_DIFFERENCE} (highest: {best})",
                ", ".join(same),
                ", ".join(f"{e['b']} by {e['difference']:.2f} (p {p_value(e['p_value'])})" for e in worse),
            ]
        )
    return ["model", "budget", "task", "best", "not told apart from it", "worse"], lines
