"""Counted budgets and loyalty of a row, by hand; folders that counted nothing have neither."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import small_run

from coreheads.files import read_json, write_json
from coreheads.leaderboard.rows import build_rows
from coreheads.store.board import Budget
from coreheads.store.folder import RunFolder
from coreheads.store.schema import Counts

TASK = "long_task"


def rewritten(run: RunFolder, change: Any) -> None:
    """Every sample line of the long task, changed by (patch, number from 0, line)."""
    for path in sorted((run.path / "samples").glob(f"*{TASK}*")):
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        patch = path.name.split("__")[2].partition("-")[0].removesuffix(".jsonl")
        path.write_text("".join(json.dumps(change(patch, i, line)) + "\n" for i, line in enumerate(lines)))


def row(run: RunFolder, patch: str, selection: str | None) -> dict[str, Any]:
    rows: list[Any] = build_rows(RunFolder.load(run.path))
    (found,) = [r for r in rows if (r["task"], r["patch"], r["selection"]) == (TASK, patch, selection)]
    return dict(found)


def test_a_folder_that_counted_nothing_has_no_budget(tmp_path: Path) -> None:
    for found in build_rows(small_run.fake_run(tmp_path / "run")):
        assert {found[name] for name in Budget.__annotations__} == {None}  # type: ignore[literal-required]
        assert found["select_ms"] is None


def test_budgets_are_means_over_samples_and_need_all_of_them(tmp_path: Path) -> None:
    run = small_run.fake_run(tmp_path / "run")

    def counted(patch: str, number: int, line: dict[str, Any]) -> dict[str, Any]:
        return line | dict.fromkeys(Counts.__annotations__, 0.5 + number / 10)

    rewritten(run, counted)
    assert row(run, "hybrid", "top")["flops_ratio"] == pytest.approx(0.5 + 19 / 20)
    assert row(run, "ablate", "random")["kv_ratio"] == pytest.approx(0.5 + 19 / 20)
    rewritten(run, lambda patch, i, line: {k: v for k, v in line.items() if k != "flops_ratio" or i})
    found = row(run, "hybrid", "top")
    assert found["flops_ratio"] is None
    assert found["matrix_ratio"] == pytest.approx(0.5 + 19 / 20)


def test_loyalty_is_the_share_of_answers_that_dense_gives(tmp_path: Path) -> None:
    run = small_run.fake_run(tmp_path / "run")
    says = {"none": "a  red\nstar ", "hybrid": " a red star", "ablate": "A red star"}
    rewritten(run, lambda patch, i, line: line | {"response": says[patch] if i % 4 else "other"})
    assert row(run, "none", None)["loyalty"] is None
    assert row(run, "hybrid", "top")["loyalty"] == 1
    assert row(run, "ablate", "random")["loyalty"] == 0.25  # of three draws, on the samples that dense has, too
    rewritten(run, lambda patch, i, line: line | {"response": ""})
    manifest = read_json(run.path / "manifest.json")
    manifest["published"] = {"of": "0" * 16, "responses": False, "pictures": True, "paths": "last part only"}
    write_json(run.path / "manifest.json", manifest)
    assert row(run, "hybrid", "top")["loyalty"] is None


def test_what_was_asked_is_said(tmp_path: Path) -> None:
    run = small_run.fake_run(tmp_path / "run")
    path = run.path / "cells.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        line["question"] = "unseen"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert row(run, "hybrid", "top")["question"] == "unseen"
