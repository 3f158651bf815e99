"""No row shows a speedup over a dense row of another machine or process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import small_run

from coreheads.config.cells import Cell
from coreheads.leaderboard.rows import build_rows

COMMON: dict[str, Any] = {"model": "made-up", "task": "long_task", "patch": "hybrid", "selection": "top"}


def speeds(run: Any) -> dict[tuple[str, float | None], Any]:
    rows = [row for row in build_rows(run) if row["task"] == "long_task"]
    return {
        (row["patch"], row["fraction"]): row["prefill_speedup"] for row in rows if row["prefill_speedup"] is not None
    }


def finish(run: Any, fraction: float, **changes: Any) -> None:
    """A second timed cell, as another process or machine would have left it."""
    cell = Cell(**COMMON, fraction=fraction, timed=True)
    store = run.samples(cell.name)
    for key in small_run.scores(cell, 20):
        store.add(key, "", 1.0, {"accuracy": 1.0}, 100)
    run.finish_cell(cell, [[0, 0]], {"metric": "accuracy", "n": 20, "score": 1.0, "tokens_median": 100})
    run.finish_timing([{**small_run.timing(cell, 4.0), **changes}])


def test_cells_of_one_measurement_share_their_dense_row(tmp_path: Path) -> None:
    run = small_run.fake_run(tmp_path / "run")
    finish(run, 0.5)
    assert {key: round(value, 6) for key, value in speeds(run).items()} == {
        ("none", None): 1.0, ("hybrid", 0.25): 2.0, ("hybrid", 0.5): 4.0,
    }  # fmt: skip


def test_a_speedup_of_another_process_is_left_out(tmp_path: Path) -> None:
    run = small_run.fake_run(tmp_path / "run")
    times = small_run.timing(Cell(**COMMON, fraction=0.5), 4.0)["times"]
    times["dense"] = {phase: [1.1 * value for value in values] for phase, values in times["dense"].items()}
    finish(run, 0.5, times=times)
    found = speeds(run)
    assert set(found) == {("none", None), ("hybrid", 0.5)}
    dense = next(row for row in build_rows(run) if row["task"] == "long_task" and row["patch"] == "none")
    assert dense["prefill_ms"] > 1100


def test_a_speedup_of_another_machine_is_left_out(tmp_path: Path) -> None:
    run = small_run.fake_run(tmp_path / "run")
    finish(run, 0.5, device="another CPU")
    assert set(speeds(run)) == {("none", None), ("hybrid", 0.5)}
