"""A run of patches that take no heads: no profile, a cell a task, its place on the board and in every report."""

from __future__ import annotations

from pathlib import Path

import pytest
import small_run

from coreheads.adapters.patches.dart import Dart
from coreheads.cli import main
from coreheads.files import read_json

pytestmark = pytest.mark.slow  # a whole run

BOTH = {
    "patch": "hybrid",
    "params": {"sink": 4, "window": 32},
    "selections": ["none"],
    "on": {"patch": "fastv", "params": {"keep": 0.5, "layer": 1}},
    "timed": True,
}


def test_its_rows_are_named_by_the_settings(
    small_model: Path,
    small_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    counts: list[int] = []
    choose = Dart.choose

    def counted(self: Dart, cut: object, features: object, count: int) -> object:
        counts.append(count)
        return choose(self, cut, features, count)  # type: ignore[arg-type]

    monkeypatch.setattr(Dart, "choose", counted)
    out = tmp_path / "run"
    content = small_run.config(small_model, small_data, out) | {"profile": {"tasks": []}}
    content["evaluate"] |= {"tasks": [small_run.REC], "limit": 3}
    content["cells"] = [
        {"patch": "dart", "params": {"keep": 0.5}, "timed": True},
        {"patch": "dart", "params": {"keep": 0.25}},
        {"patch": "random", "params": {"keep": 0.25, "seed": 4}},
    ]
    assert main(["run", str(small_run.write_config(tmp_path / "run.yaml", content))]) == 0
    assert len(counts) > 3 + 3 + 10
    rows = {(row["patch"], row["params"].get("keep")): row for row in read_json(out / "leaderboard.json")["rows"]}
    assert set(rows) == {("none", None), ("dart", 0.5), ("dart", 0.25), ("random", 0.25)}
    assert all(row["n"] == 3 for row in rows.values())
    row = rows["dart", 0.5]
    assert (row["selection"], row["fraction"], row["heads"], row["told_apart"]) == (None, None, 0, None)
    assert row["prefill_speedup"] > 0
    assert row["delta"] is not None
    page, text = (out / "leaderboard.html").read_text(), (out / "leaderboard.md").read_text()
    for label in ("dart (keep 0.5)", "dart (keep 0.25)", "random (keep 0.25, seed 4)"):
        assert label in page
        assert label in text
    small = {"patch": "resolution", "params": {"keep": 0.5}, "timed": True}
    content |= {"out": str(tmp_path / "both"), "cells": [BOTH, small]}
    assert main(["run", str(small_run.write_config(tmp_path / "both.yaml", content))]) == 0
    board = read_json(tmp_path / "both" / "leaderboard.json")
    (row,) = [row for row in board["rows"] if row["patch"] == "hybrid"]
    dense, fewer = (next(row for row in board["rows"] if row["patch"] == patch) for patch in ("none", "resolution"))
    assert fewer["n"] == dense["n"] == 3
    assert fewer["tokens_median"] < 0.8 * dense["tokens_median"]
    assert dense["matrix_ratio"] == dense["kv_ratio"] == 1
    assert fewer["matrix_ratio"] == pytest.approx(fewer["kv_ratio"])
    assert fewer["pairs_ratio"] < fewer["flops_ratio"] < 0.9
    assert fewer["prefill_speedup"] > 0
    assert (row["n"], row["on"]) == (3, {"patch": "fastv", "params": {"keep": 0.5, "layer": 1}})
    assert row["prefill_speedup"] > 0
    assert row["ceiling"] > 0
    assert 0 < row["kv_bytes_ratio"] < 1  # asked of the caches
    for name in ("leaderboard.html", "leaderboard.md"):
        assert "hybrid: no head full on fastv (keep 0.5, layer 1)" in (tmp_path / "both" / name).read_text()
    assert main(["check", str(tmp_path / "both"), "--baseline", str(tmp_path / "both.json"), "--update"]) == 0
    content |= {"out": str(tmp_path / "other"), "cells": [{"patch": "stride", "params": {"layer": 2}}]}
    assert main(["run", str(small_run.write_config(tmp_path / "other.yaml", content))]) == 2
    assert "Stride: layer is 2, expected 0 to 1" in capsys.readouterr().err
    assert not list((tmp_path / "other").glob("samples/*"))  # refused before anything is answered
    assert main(["check", str(out), "--baseline", str(tmp_path / "base.json"), "--update"]) == 0
    assert main(["check", str(out), "--baseline", str(tmp_path / "base.json")]) == 0
