"""Budgets from a configuration to a board: counted work is what was asked for, and what cannot be reached is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import small_run

from coreheads.adapters.patches import budget
from coreheads.cli import main
from coreheads.files import read_json, read_jsonl
from coreheads.store.folder import RunFolder

pytestmark = pytest.mark.slow  # a whole run

CELLS = [
    {"patch": "stride", "budgets": [0.75, 0.5], "timed": True},
    {"patch": "dart", "budgets": [0.75, 0.5]},
    {"patch": "dart", "params": {"keep": 0.5}, "preset": True},
    {"patch": "snapkv", "params": {"window": 8}, "budgets": [0.25]},
    {"patch": "streaming", "budgets": [0.05]},
]


def test_counted_work_is_the_budget(
    small_model: Path, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent: dict[str, list[float]] = {}
    solved = budget.Budgeted.solved

    def watched(own: budget.Budgeted, *prompt: Any) -> Any:
        patch = solved(own, *prompt)
        share = budget.cost(patch, *prompt)
        assert share is not None
        spent.setdefault(f"{own.kind} {own.share:g}", []).append(share)
        return patch

    monkeypatch.setattr(budget.Budgeted, "solved", watched)
    content = small_run.config(small_model, small_data, tmp_path / "run") | {"cells": CELLS, "profile": {}}
    content["evaluate"] = {**content["evaluate"], "tasks": [small_run.REC]}
    path = small_run.write_config(tmp_path / "config.yaml", content)
    assert main(["run", str(path), "--quiet"]) == 0
    for name, shares in spent.items():
        assert sum(shares) / len(shares) == pytest.approx(float(name.split()[1]), abs=0.02)
    board = read_json(tmp_path / "run" / "leaderboard.json")
    found = {(row["patch"], row["budget"], row["budget_of"], row["preset"]) for row in board["rows"]}
    assert found == {
        ("none", None, None, None),
        ("stride", 0.75, "flops", None),
        ("stride", 0.5, "flops", None),
        ("dart", 0.75, "flops", None),
        ("dart", 0.5, "flops", None),
        ("dart", None, None, True),
        ("snapkv", 0.25, "kv", None),
    }
    (entry,) = board["left_out"]
    assert entry["what"].endswith("streaming, 5 % of the work")
    assert entry["reason"].startswith("cannot: streaming comes no nearer than ")
    assert board["failed"] == []
    timed = {record["cell"]["budget"] for record in read_jsonl(tmp_path / "run" / "timings.jsonl")}
    assert timed == {0.75, 0.5}
    compared = {(entry["task"], entry["budget"], entry["a"], entry["b"]) for entry in board["comparisons"]}
    assert {frozenset(names) for _, _, *names in compared} == {frozenset({"stride", "dart"})}
    assert {(task, share) for task, share, *_ in compared} == {(small_run.REC, 0.75), (small_run.REC, 0.5)}
    text = (tmp_path / "run" / "leaderboard.md").read_text()
    assert "stride, 50 % of the work" in text
    assert "dart (keep 0.5), preset" in text
    assert "snapkv (window 8), 25 % of the cache" in text
    assert "## On one budget" in text
    # nothing is tried again
    before = (tmp_path / "run" / "cells.jsonl").read_text()
    assert main(["run", str(path), "--quiet"]) == 0
    assert (tmp_path / "run" / "cells.jsonl").read_text() == before
    assert set(RunFolder.load(tmp_path / "run").cannot()) == {f"small__{small_run.REC}__streaming__0.05-of-flops"}
