"""A run by several head scores: a profile a score, a row a score on the same kernel, and what is made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import small_run

from coreheads.check.snapshot import snapshot
from coreheads.cli import main
from coreheads.config.schema import load_config
from coreheads.errors import UserError
from coreheads.heads.profile import HeadProfile
from coreheads.run.preflight import check_names
from coreheads.run.runner import run
from coreheads.store.folder import RunFolder


def asked(folder: Path) -> dict[str, Any]:
    tree = small_run.config(
        small_run.save_model(folder / "model"), small_run.make_data(folder / "data"), folder / "run"
    )
    tree["profile"] |= {"score": ["ram", "qrhead", "visual_hit"], "samples": 2}
    tree["evaluate"] |= {"tasks": [small_run.REC], "limit": 2}
    hybrid = {"patch": "hybrid", "params": {"sink": 4, "window": 32}, "selections": ["top"], "fractions": [0.25]}
    tree["cells"] = [hybrid | {"score": score} for score in tree["profile"]["score"]]
    tree["timing"] = {"tasks": []}
    return tree


def load(tree: dict[str, Any], folder: Path) -> Any:
    (folder / "run.yaml").write_text(json.dumps(tree))
    return load_config(folder / "run.yaml")


def test_a_run_has_a_row_a_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = asked(tmp_path)
    config = load(tree, tmp_path)
    board = run(config, shown=False).board
    assert board is not None
    rows = [row for row in board["rows"] if row["patch"] == "hybrid"]
    assert [row["head_score"] for row in rows] == [None, "qrhead", "visual_hit"]
    assert [summary["score"] for summary in board["heads"]] == ["ram", "qrhead", "visual_hit"]
    folder = RunFolder.load(tmp_path / "run")
    for row in rows:
        score = row["head_score"] or "ram"
        profile = HeadProfile.load(folder.heads_path("small", row["head_score"]))
        assert profile.score == score
        heads = folder.cells()[row["cells"][0]]["heads"]
        assert frozenset(map(tuple, heads)) == profile.top(0.25)
    assert folder.heads_path("small").name == "small.json"
    assert set(snapshot(folder).heads) == {"small", "small by qrhead", "small by visual_hit"}
    page = (tmp_path / "run" / "leaderboard.md").read_text()
    assert "hybrid: top 25 % by qrhead full" in page
    assert "small by qrhead: the top 25 %" in page
    # what is finished is not computed again
    assert run(config, shown=False).complete
    capsys.readouterr()
    files = [str(folder.heads_path("small", score)) for score in folder.scores]
    assert main(["heads", "compare", *files, "--run", str(folder.path)]) == 0
    text = capsys.readouterr().out
    assert "heads shared by" in text
    assert "hybrid: top 25 % full (sink 4, window 32)" in text
    assert main(["heads", "compare", *files[:1]]) == 2

    given = tree["models"][0] | {"heads": files[1]}
    check_names(load(tree | {"models": [given]}, tmp_path))
    unmeasured = tree | {"models": [given], "profile": {"score": ["ram"], "tasks": []}, "cells": []}
    with pytest.raises(UserError, match=r"is by score qrhead, expected profile\.score: ram"):
        check_names(load(unmeasured, tmp_path))
