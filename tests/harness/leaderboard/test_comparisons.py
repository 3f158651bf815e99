"""Methods on one budget: the best with each other one, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_run

from coreheads.config.cells import Cell
from coreheads.leaderboard.comparisons import compare
from coreheads.leaderboard.rows import build_rows
from coreheads.report import budgets
from coreheads.stats.significance import paired_p
from coreheads.store.folder import RunFolder

RIGHT = {"dart": (18, 30), "stride": (8, 30), "random": (4, 9)}
"""Right answers of 20 and of 30 on two tasks."""
TASKS = {"long_task": 20, "short | task": 30}


def finish(run: RunFolder, task: str, patch: str, right: int, count: int, budget: float = 0.5) -> None:
    cell = Cell("made-up", task, patch, budget=budget, budget_of="flops")
    store = run.samples(cell.name)
    values = [1.0] * right + [0.0] * (count - right)
    for index, value in enumerate(values):
        store.add(f"r{index}", "", value, {"accuracy": value}, 100)
    result: Any = {"metric": "accuracy", "n": count, "score": right / count, "tokens_median": 100}
    run.finish_cell(cell, [], result)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    made = small_run.fake_run(tmp_path / "run")
    for place, (task, count) in enumerate(TASKS.items()):
        for patch, right in RIGHT.items():
            finish(made, task, patch, right[place], count)
    return made


def test_the_best_is_compared_with_each_other_one(run: RunFolder) -> None:
    found = compare(run, build_rows(run))
    assert {(entry["task"], entry["a"], entry["b"]) for entry in found} == {
        ("long_task", "dart", "stride"), ("long_task", "dart", "random"),
        ("short | task", "dart", "stride"), ("short | task", "dart", "random"),
        (None, "dart", "stride"), (None, "dart", "random"),
    }  # fmt: skip
    entries = {(entry["task"], entry["b"]): entry for entry in found}
    assert entries["long_task", "stride"]["difference"] == pytest.approx(0.5)
    assert entries["short | task", "stride"]["difference"] == 0
    assert entries["short | task", "stride"]["p_value"] == 1
    assert entries[None, "stride"]["difference"] == pytest.approx(0.25)
    assert entries[None, "random"]["difference"] == pytest.approx((0.7 + 0.7) / 2)
    assert entries[None, "random"]["n"] == 50
    # ten and fourteen samples that only one of the two got right, of three pairs of methods
    raw = [paired_p(np.ones(14)), paired_p(np.ones(10))]
    assert entries["long_task", "random"]["p_value"] == pytest.approx(3 * raw[0])
    assert entries["long_task", "stride"]["p_value"] == pytest.approx(2 * raw[1])


def test_budgets_do_not_mix(run: RunFolder) -> None:
    finish(run, "long_task", "cdpruner", 20, 20, budget=0.25)
    assert not any("cdpruner" in (entry["a"], entry["b"]) for entry in compare(run, build_rows(run)))


def test_in_words(run: RunFolder) -> None:
    headings, lines = budgets.table(compare(run, build_rows(run)))
    assert len(lines) == 3
    found = {line[2]: dict(zip(headings, line, strict=True)) for line in lines}
    assert found["long_task"]["best"] == "dart"
    assert found["long_task"]["worse"].startswith("stride by 0.50 (p ")
    assert ", random by 0.70 (p " in found["long_task"]["worse"]
    assert found["short | task"]["not told apart from it"] == "stride"
    assert {line[1] for line in lines} == {"50 % of the work"}


def test_no_difference_is_no_lead(run: RunFolder) -> None:
    entries = [entry | {"p_value": 0.051, "difference": 0.2} for entry in compare(run, build_rows(run))]
    for *_, best, same, worse in budgets.table(entries)[1]:  # type: ignore[arg-type]
        assert (best, same, worse) == ("no difference (highest: dart)", "random, stride", "")
