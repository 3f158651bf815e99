"""The script for Slurm, run by a shell in Slurm's place: a job a model, whose merged board is the whole run's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import small_run

from coreheads.cli import main
from coreheads.files import read_json

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[3] / "docs" / "slurm.sh"
NAMES = ["someone/first", "someone/second"]


def job(number: int | None, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The script as Slurm starts it: as a job of an array with this number, or as a job of its own."""
    own = {} if number is None else {"SLURM_ARRAY_TASK_ID": str(number)}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", str(SCRIPT), *map(str, arguments)],
        env={**os.environ, **own, "PATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def without_run(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in entry.items() if name != "run"} for entry in entries]


def test_the_merged_board_of_a_job_a_model_is_the_whole_runs(tmp_path: Path) -> None:
    content = small_run.config(Path("tiny"), small_run.make_data(tmp_path / "data"), tmp_path / "whole")
    content["models"] = [{"id": "tiny", "name": name} for name in NAMES]
    content["evaluate"]["tasks"], content["timing"] = [small_run.REC], {"tasks": []}
    config, out = small_run.write_config(tmp_path / "two.yaml", content), tmp_path / "parts"
    for number in range(len(NAMES)):
        done = job(number, config, out, "--quiet")
        assert done.returncode == 0, done.stderr[-3000:]
    assert sorted(path.name for path in out.iterdir()) == ["00-first", "01-second"]
    done = job(None, config, out)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "of 2 runs" in done.stdout
    assert main(["run", str(config), "--quiet"]) == 0

    assert len(small_run.rows_without_times(out / "board")) == 2 * 4
    assert small_run.rows_without_times(out / "board") == small_run.rows_without_times(tmp_path / "whole")
    merged, whole = (read_json(folder / "leaderboard.json") for folder in (out / "board", tmp_path / "whole"))
    assert {entry["model"] for entry in merged["claims"]} == {*NAMES, "all models"}
    for part in ("claims", "heads", "overall", "best", "comparisons"):
        assert without_run(merged[part]) == without_run(whole[part]), part
    assert merged["failed"] == whole["failed"] == []


def test_a_number_without_a_model_is_noticed(tmp_path: Path) -> None:
    done = job(1, "embedded", tmp_path / "out")
    assert done.returncode == 1
    assert "unbound variable" in done.stderr
    assert not (tmp_path / "out").exists()
