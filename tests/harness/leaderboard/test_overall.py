"""The ranking over all tasks, and the best condition at a speed, against sums by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import page_boards
import pytest
import small_run

from coreheads.config.cells import Cell
from coreheads.leaderboard.build import build
from coreheads.leaderboard.overall import best
from coreheads.report.columns import method

TASKS = ["short | task", "long_task"]


def named(lines: Any, **wanted: Any) -> Any:
    """The one line that has these fields."""
    (line,) = [line for line in lines if all(line[key] == value for key, value in wanted.items())]
    return line


def test_means_over_tasks(tmp_path: Path) -> None:
    ranking = build([small_run.fake_run(tmp_path / "run")])["overall"]
    assert {line["patch"] for line in ranking} == {"none", "hybrid"}
    top = named(ranking, patch="hybrid", selection="top")
    assert top["tasks"] == top["timed_tasks"] == TASKS
    assert (top["score"], top["delta"], top["n"], top["rank"]) == (0.9, 0.0, 40, 1)
    assert top["prefill_speedup"] == pytest.approx(2.0)
    assert top["prefill_speedup_ci"] == pytest.approx((2.0, 2.0))
    assert top["score_ci"][0] < 0.9 < top["score_ci"][1]
    dense = named(ranking, patch="none")
    assert (dense["rank"], dense["prefill_speedup"], dense["delta"]) == (2, 1.0, None)
    none = named(ranking, selection="none")
    assert (none["rank"], none["score"], none["delta"], none["prefill_speedup"]) == (3, 0.0, -0.9, None)


def test_a_speedup_is_a_geometric_mean(tmp_path: Path) -> None:
    run = small_run.fake_run(tmp_path / "run")
    cell = Cell("made-up", "long_task", "hybrid", selection="top", fraction=0.25, timed=True)
    run.finish_timing([small_run.timing(cell, 8.0)])
    assert named(build([run])["overall"], selection="top")["prefill_speedup"] == pytest.approx(4.0)


def test_what_was_not_judged_on_every_task_is_not_ranked(tmp_path: Path) -> None:
    run = small_run.fake_run(tmp_path / "run")
    cell = Cell("made-up", "long_task", "hybrid", selection="top", fraction=0.5)
    store = run.samples(cell.name)
    for key in small_run.scores(cell, 20):
        store.add(key, "", 1.0, {"accuracy": 1.0}, 100)
    run.finish_cell(cell, [[0, 0]], {"metric": "accuracy", "n": 20, "score": 1.0, "tokens_median": 100})
    board = build([run])
    assert any(row["fraction"] == 0.5 for row in board["rows"])
    assert not any("50 %" in line["condition"] for line in board["overall"])


def test_the_best_at_a_speed(tmp_path: Path) -> None:
    lines = build([small_run.fake_run(tmp_path / "run", speedup=2.5)])["best"]
    at = {line["at"]: line for line in lines if line["task"] is None}
    assert list(at) == [1.5, 2.0, 3.0]
    assert at[2.0]["condition"] == "hybrid: top 25 % full"
    assert at[2.0]["within"]
    assert at[3.0]["condition"] is None
    assert not at[3.0]["within"]
    assert {line["task"] for line in lines} == {None, *TASKS}


@pytest.mark.parametrize(
    ("deltas", "wanted", "within"), [((-0.005, 0.0), 1, True), ((-0.2, -0.05), 1, False), ((0.0, -0.3), 0, True)]
)
def test_within_a_point_first_then_the_highest_score(deltas: tuple[float, ...], wanted: int, within: bool) -> None:
    rows: Any = [page_boards.row(**page_boards.speed(1.0))]
    for keep, delta in zip((0.5, 0.25), deltas, strict=True):
        values = {"patch": "dart", "params": {"keep": keep}, "score": 0.9 + delta, "delta": delta}
        rows.append(page_boards.row(**values, **page_boards.speed(2.0)))
    line = next(line for line in best(rows, []) if line["at"] == 2.0)
    assert (line["condition"], line["within"]) == (f"dart (keep {(0.5, 0.25)[wanted]})", within)


def test_a_method_is_a_condition_without_how_much_it_keeps() -> None:
    rows: Any = [page_boards.row(patch="dart", params={"keep": keep, "layer": 2}) for keep in (0.5, 0.25)]
    assert [method(row) for row in rows] == ["dart (layer 2)"] * 2
