"""Patches that take no heads, from a configuration to a board: no profile is made, and bytes are those kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import small_run

from coreheads.cli import main
from coreheads.files import read_json, read_jsonl

pytestmark = pytest.mark.slow  # a whole run

CELLS = [
    {"patch": "snapkv", "params": {"keep": 0.25, "window": 8}, "timed": True},
    {"patch": "adakv", "params": {"keep": 0.5, "window": 8}},
    {"patch": "streaming", "params": {"window": 32}, "timed": True},
    {"patch": "document"},
]


def test_they_are_rows_of_a_board(small_model: Path, small_data: Path, tmp_path: Path) -> None:
    content = small_run.config(small_model, small_data, tmp_path / "run") | {"cells": CELLS, "profile": {}}
    content["evaluate"] = {**content["evaluate"], "tasks": [small_run.REC]}
    assert main(["run", str(small_run.write_config(tmp_path / "config.yaml", content))]) == 0
    rows = {row["patch"]: row for row in read_json(tmp_path / "run" / "leaderboard.json")["rows"]}
    assert set(rows) == {"none", "snapkv", "adakv", "streaming", "document"}
    assert all(row["n"] == rows["none"]["n"] and row["selection"] is None for row in rows.values())
    cells = {cell["cell"]["patch"]: cell for cell in read_jsonl(tmp_path / "run" / "cells.jsonl")}
    tokens = cells["snapkv"]["tokens_median"]
    assert cells["snapkv"]["kv_bytes_ratio"] == pytest.approx(round(0.25 * tokens) / tokens, abs=1e-6)
    assert cells["adakv"]["kv_bytes_ratio"] == pytest.approx(round(0.5 * tokens) / tokens, abs=1e-6)
    assert cells["streaming"]["kv_bytes_ratio"] == pytest.approx(min(1, 36 / tokens))
    assert cells["document"].get("kv_bytes_ratio") is None
    timed = {record["cell"]["patch"]: record for record in read_jsonl(tmp_path / "run" / "timings.jsonl")}
    assert set(timed) == {"snapkv", "streaming"}
    assert timed["snapkv"]["kv_bytes_ratio"] == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ({"patch": "snapkv", "params": {"keep": 2}}, "SnapKV: keep is 2"),
        ({"patch": "snapkv", "selections": ["top"], "fractions": [0.1]}, "takes no heads"),
    ],
)
def test_what_they_cannot_be_is_one_line(
    cell: dict[str, object],
    message: str,
    small_model: Path,
    small_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = small_run.config(small_model, small_data, tmp_path / "run") | {"cells": [cell], "profile": {}}
    assert main(["run", str(small_run.write_config(tmp_path / "config.yaml", content))]) == 2
    assert message in capsys.readouterr().err
