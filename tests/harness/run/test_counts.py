"""Counts of a run: on every sample's line, of a run that was killed and begun again too, and on the board."""

from __future__ import annotations

from pathlib import Path

import pytest
import small_run

from coreheads.cli import main
from coreheads.files import read_json, read_jsonl
from coreheads.store.schema import Counts

pytestmark = pytest.mark.slow  # a whole run

CELLS = [
    {"patch": "snapkv", "params": {"keep": 0.25, "window": 8}, "timed": True},
    {"patch": "snapkv", "params": {"keep": 0.25, "window": 8, "question": "unseen"}},
    {"patch": "dart", "params": {"keep": 0.5}, "timed": True},
    {"patch": "streaming", "params": {"window": 32}, "timed": True},
]


def test_every_sample_is_counted_and_rows_have_the_means(small_model: Path, small_data: Path, tmp_path: Path) -> None:
    content = small_run.config(small_model, small_data, tmp_path / "run") | {"cells": CELLS, "profile": {}}
    content["evaluate"] = {**content["evaluate"], "tasks": [small_run.REC]}
    command = ["run", str(small_run.write_config(tmp_path / "config.yaml", content))]
    assert main(command) == 0
    run = tmp_path / "run"
    before = {path.name: list(read_jsonl(path)) for path in (run / "samples").glob("*.jsonl")}
    assert len(before) == 1 + len(CELLS)
    assert all(Counts.__annotations__.keys() <= line.keys() for lines in before.values() for line in lines)
    rows = read_json(run / "leaderboard.json")["rows"]
    named = {(row["patch"], row["question"]): row for row in rows}
    assert set(named) == {
        ("none", None), ("snapkv", "seen"), ("snapkv", "unseen"), ("dart", None), ("streaming", None),
    }  # fmt: skip
    dense, snapkv, dart = named["none", None], named["snapkv", "seen"], named["dart", None]
    assert {dense[name] for name in Counts.__annotations__} == {1}
    assert dense["loyalty"] is None
    assert all(0 <= row["loyalty"] <= 1 for row in rows if row is not dense)
    assert snapkv["kv_ratio"] == pytest.approx(0.25, abs=0.01)
    assert snapkv["kv_bytes_ratio"] == pytest.approx(snapkv["kv_ratio"], abs=0.01)
    assert snapkv["flops_ratio"] > 1 == snapkv["pairs_ratio"]
    assert dart["kv_ratio"] == dart["matrix_ratio"] < 1
    assert dart["kv_bytes_ratio"] == pytest.approx(dart["kv_ratio"], abs=0.05)
    for row in (snapkv, dart):
        assert 0 < row["select_ms"] < row["prefill_ms"]
    assert dense["select_ms"] is None
    assert named["streaming", None]["select_ms"] is None

    # killed before the last two answers of every cell
    for name, lines in before.items():
        path = run / "samples" / name
        path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[: len(lines) - 2]))
        small_run.append_half_line(path)
    (run / "cells.jsonl").unlink()
    assert main(command) == 0
    assert {path.name: list(read_jsonl(path)) for path in (run / "samples").glob("*.jsonl")} == before
    again = read_json(run / "leaderboard.json")["rows"]
    names = [*Counts.__annotations__, "loyalty", "question"]
    assert [[row[name] for name in names] for row in again] == [[row[name] for name in names] for row in rows]
