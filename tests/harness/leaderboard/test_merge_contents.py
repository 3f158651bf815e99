"""Several runs on one board: a name of a model or a record stands for what it holds, as far as both runs say it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import small_run
from small_run import change_manifest

from coreheads.files import read_json, write_json
from coreheads.leaderboard.build import build
from coreheads.store.folder import RunFolder
from coreheads.store.made_from import other_records

pytestmark = pytest.mark.slow  # whole boards


def two(folder: Path, **changes: Any) -> list[RunFolder]:
    """An older and a newer run of the same machine."""
    older, newer = small_run.fake_run(folder / "older"), small_run.fake_run(folder / "newer")
    return [older, change_manifest(newer, started="2026-02-02T00:00:00+00:00", **changes)]


def made_from(
    run: RunFolder, weights: str | None = "1", record: str | None = "a", task: str = "long_task"
) -> RunFolder:
    """The run as if made from these weights, and a record of this content."""
    manifest = read_json(run.path / "manifest.json")
    manifest["made_from"] = {
        "models": {"made-up": {} if weights is None else {"weights": weights, "code": run.path.name}},
        "tasks": {task: {"code": run.path.name, "records": {"test": {"r1": record, "r2": "same"}}}},
    }
    write_json(run.path / "manifest.json", manifest)
    return RunFolder.load(run.path)


def test_other_weights_under_one_name_are_told_apart(tmp_path: Path) -> None:
    older, newer = two(tmp_path)
    board = build([made_from(older, "1"), made_from(newer, "2")])
    names = {row["run"]: row["model"] for row in board["rows"]}
    assert len(board["rows"]) == 20
    assert names["older"] != names["newer"]
    assert all(name.startswith("made-up (made-up, contents ") for name in names.values())
    (remark,) = board["remarks"]
    assert remark.startswith(
        "Runs call different checkpoints made-up; they are told apart as made-up (made-up, contents"
    )


@pytest.mark.parametrize("weights", ["1", None])
def test_the_same_or_unknown_weights_are_one_model(weights: str | None, tmp_path: Path) -> None:
    older, newer = two(tmp_path)
    board = build([made_from(older, "1"), made_from(newer, weights)])
    assert {row["model"] for row in board["rows"]} == {"made-up"}
    assert {row["run"] for row in board["rows"]} == {"newer"}
    assert board["remarks"] == []


def test_one_checkpoint_in_two_folders_is_one_model(tmp_path: Path) -> None:
    older, newer = two(tmp_path, config={"models": [{"id": "/data/model", "name": "made-up", "heads": "given.json"}]})
    board = build([made_from(older, "1"), made_from(newer, "1")])
    assert {row["model"] for row in board["rows"]} == {"made-up"}
    assert board["remarks"] == []


def test_rows_on_other_records_stand_side_by_side(tmp_path: Path) -> None:
    older, newer = two(tmp_path)
    board = build([made_from(older, record="a"), made_from(newer, record="b")])
    runs = {(row["run"], row["task"]) for row in board["rows"]}
    assert runs == {("older", "long_task"), ("newer", "long_task"), ("newer", "short | task")}
    assert board["remarks"] == [
        "Runs older and newer were asked differently: 1 of 2 records of task long_task, split test (asked, expected or "
        "shown), such as r1."
    ]


@pytest.mark.parametrize("record", ["a", None])
def test_records_that_are_the_same_or_unknown_are_one_set(record: str | None, tmp_path: Path) -> None:
    older, newer = two(tmp_path)
    board = build([made_from(older), made_from(newer, record=record)])
    assert {row["run"] for row in board["rows"]} == {"newer"}
    assert board["remarks"] == []


def test_how_this_machine_draws_made_data_does_not_count(tmp_path: Path) -> None:
    task = small_run.REC
    sources = [
        made_from(small_run.fake_run(tmp_path / str(number)), record=16 * "a" + shown, task=task).manifest["made_from"]
        for number, shown in enumerate((16 * "b", 16 * "c"))
    ]
    assert other_records(*sources, task) == []
    sources[1]["tasks"][task]["records"]["test"]["r1"] = 32 * "b"
    assert len(other_records(*sources, task)) == 1
