"""Methods on one budget against each other: the best one with every other, by paired tests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from coreheads.report.columns import method_label
from coreheads.stats import pooling
from coreheads.stats.significance import holm, paired_delta
from coreheads.store.board import Comparison, Row
from coreheads.store.folder import RunFolder

Scores = Mapping[str, float]
"""Score by record id."""


def compare(run: RunFolder, rows: Iterable[Row]) -> list[Comparison]:
    """The comparisons of one run, budget by budget: on each task, then on all of them where there are several.

    The best method is that of the best mean score, drawn controls left aside; on all tasks, of those methods that have
    a score on each. It is chosen by looking, so that p is corrected for all pairs of the methods, not only for those
    that are listed (the others count as if their p were 1, which errs to the safe side).

    Args:
        run: What the rows are of.
        rows: Its rows as the board shows them.
    """
    budgets: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row.get("budget") is not None:
            budgets[row["model"], row["budget_of"], -row["budget"]].append(row)  # type: ignore[operator]
    return [entry for _, group in sorted(budgets.items()) for entry in _of_budget(run, group)]


def _of_budget(run: RunFolder, rows: Sequence[Row]) -> Iterator[Comparison]:
    tasks: dict[str, dict[str, tuple[Row, Scores]]] = defaultdict(dict)
    for row in rows:
        tasks[row["task"]][method_label(row)] = row, _scores(run, row)
    for task, methods in tasks.items():
        yield from _with_best(rows[0], task, {name: [scores] for name, (_, scores) in methods.items()}, methods)
    everywhere = [name for name in next(iter(tasks.values())) if all(name in methods for methods in tasks.values())]
    if len(tasks) > 1:
        together = {name: [methods[name][1] for methods in tasks.values()] for name in everywhere}
        yield from _with_best(rows[0], None, together, next(iter(tasks.values())))


def _with_best(
    row: Row, task: str | None, methods: Mapping[str, Sequence[Scores]], about: Mapping[str, tuple[Row, Scores]]
) -> Iterator[Comparison]:
    """methods: by name the scores on each task. about: a row of each method."""
    means = {
        name: float(np.mean([np.mean(list(scores.values())) for scores in on_tasks]))
        for name, on_tasks in methods.items()
        if about[name][0]["draws"] is None
    }
    if not means or len(methods) < 2:
        return
    best = max(means, key=means.__getitem__)
    found = {
        name: paired_delta(differences, [0.0] * len(differences))
        for name, other in methods.items()
        if name != best and (differences := _differences(methods[best], other))
    }
    unlisted = len(list(combinations(methods, 2))) - len(found)
    corrected = holm([*(p for *_, p in found.values()), *[1.0] * unlisted])
    for (name, (difference, low, high, _)), p in zip(found.items(), corrected, strict=False):
        assert p is not None  # every pair has a test
        yield {
            "run": row["run"],
            "model": row["model"],
            "task": task,
            "budget": row["budget"] or 0.0,
            "budget_of": "kv" if row["budget_of"] == "kv" else "flops",
            "a": best,
            "b": name,
            "n": sum(len(one.keys() & two.keys()) for one, two in zip(methods[best], methods[name], strict=True)),
            "difference": difference,
            "difference_ci": (low, high),
            "p_value": p,
        }


def _differences(first: Sequence[Scores], second: Sequence[Scores]) -> list[float]:
    """Differences on the samples that both answered, weighted so that their mean is the mean over tasks of the tasks'
    means."""
    by_task = [
        [one[key] - two[key] for key in sorted(one.keys() & two.keys())] for one, two in zip(first, second, strict=True)
    ]
    if not all(by_task):
        return []
    share = sum(map(len, by_task)) / len(by_task)
    return [share / len(values) * value for values in by_task for value in values]


def _scores(run: RunFolder, row: Row) -> Scores:
    """By record the mean over draws, weighted by the record's group as the row's score is."""
    found: dict[str, list[float]] = defaultdict(list)
    for name in row["cells"]:
        lines = run.samples(name).samples
        weights = pooling.weights({key: line.get("group") for key, line in lines.items()})
        for key, line in lines.items():
            found[key].append(weights[key] * float(line["score"]))
    return {key: float(np.mean(values)) for key, values in found.items()}
