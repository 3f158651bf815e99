"""Folders and baselines of the version before budgets, counts and other head scores are read, and look as they did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import small_run

from coreheads.cli import main
from coreheads.files import read_json, write_json
from coreheads.store.folder import RunFolder

pytestmark = pytest.mark.slow  # boards and pages

NEW = {
    *("on", "head_score", "budget", "budget_of", "preset"),  # of a cell
    *("matrix_ratio", "pairs_ratio", "flops_ratio", "kv_ratio", "question", "cannot"),
    *("select", "peak_device_ratio", "plugins", "score_hash"),
}


def older(value: Any) -> Any:
    """Without what an older version did not know."""
    if isinstance(value, dict):
        return {name: older(part) for name, part in value.items() if name not in NEW}
    return [older(part) for part in value] if isinstance(value, list) else value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = small_run.fake_run(tmp_path / "run").path
    for file in path.rglob("*.json"):
        write_json(file, older(read_json(file)))
    for file in path.rglob("*.jsonl"):
        lines = [json.dumps(older(json.loads(line))) + "\n" for line in file.read_text().splitlines()]
        file.write_text("".join(lines))
    return path


def test_a_site_of_an_older_folder_has_no_new_columns(folder: Path, tmp_path: Path) -> None:
    assert main(["publish", str(folder), "--to", str(tmp_path / "site")]) == 0
    header = next(
        line for line in (tmp_path / "site" / "leaderboard.md").read_text().splitlines() if line.startswith("|")
    )
    assert "KV kept" in header
    assert not [name for name in ("work", "FLOPs", "pairs", "choosing", "budget", "question") if name in header]


def test_an_older_baseline(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    baseline = tmp_path / "baseline.json"
    small_run.change_manifest(RunFolder.load(folder), config={"seed": 0})
    assert main(["check", str(folder), "--baseline", str(baseline), "--update"]) == 0
    write_json(baseline, older(read_json(baseline)))
    assert main(["check", str(folder), "--baseline", str(baseline)]) == 0
    new = small_run.change_manifest(small_run.fake_run(tmp_path / "new"), config={"seed": 1})
    capsys.readouterr()
    assert main(["check", str(new.path), "--baseline", str(baseline)]) == 1
    assert "seed is 1, in the baseline 0; answers and speeds of" in " ".join(capsys.readouterr().out.split())
