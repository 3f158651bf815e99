"""Runs that are killed, or whose disk fills up, at every kind of write: the same command goes on to the same board."""

from __future__ import annotations

import errno
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import crashes
import pytest
import small_run

from coreheads.cli import main
from coreheads.files import TEMPORARY, append_jsonl, read_json, read_jsonl, write_json
from coreheads.store.folder import RunFolder

pytestmark = pytest.mark.slow  # whole runs, boards and pages

STRIDE = 9
"""Writes between two kills; prime to the writes of a cell, so that all kinds are met."""


def config(model: Path, data: Path, out: Path) -> dict[str, Any]:
    """Two tasks, of which one is timed with two cells in one measurement."""
    hybrid = {"patch": "hybrid", "params": {"sink": 4, "window": 32}, "selections": ["top"], "timed": True}
    return small_run.config(model, data, out) | {
        "profile": {"tasks": [small_run.REC], "samples": 2},
        "evaluate": {"tasks": [small_run.REC, small_run.PAGE], "limit": 3, "batch_size": 2},
        "cells": [{**hybrid, "fractions": [0.25, 0.5]}],
    }


def sample_lines(folder: Path) -> Counter[tuple[str, str]]:
    return Counter((path.name, line["record_id"]) for path in (folder / "samples").iterdir() for line in whole(path))


def whole(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


@pytest.fixture(scope="module")
def uninterrupted(small_model: Path, small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    path = small_run.write_config(folder / "config.yaml", config(small_model, small_data, folder / "run"))
    assert main(["run", str(path), "--quiet"]) == 0
    return folder / "run"


@pytest.mark.slow
def test_killed_again_and_again(uninterrupted: Path, small_model: Path, small_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    path = small_run.write_config(tmp_path / "config.yaml", config(small_model, small_data, run))
    kept: set[tuple[str, str]] = set()
    statuses = []
    # the first starts die one write after the other, the later ones further on
    for start in range(40):
        statuses.append(
            crashes.in_fork(["run", str(path), "--quiet"], crashes.killed_at(start + 1 + STRIDE * start // 4))
        )
        if (run / "samples").is_dir():
            now = set(sample_lines(run))
            assert kept <= now, "a sample was lost"
            kept = now
        if statuses[-1] == 0:
            break
    assert statuses[-1] == 0
    assert set(statuses[:-1]) == {-9}
    assert len(statuses) > 6
    assert set(sample_lines(run).values()) == {1}, "a sample was done twice"
    assert small_run.rows_without_times(run) == small_run.rows_without_times(uninterrupted)
    timings = list(RunFolder.load(run).timings().values())
    assert len(timings) == 2
    assert timings[0]["times"]["dense"] == timings[1]["times"]["dense"], "two measurements are mixed"
    assert not list(run.rglob(TEMPORARY))
    assert (run / "run.lock").read_text() == ""
    assert not (run / "run.owner").exists()
    assert len(read_json(run / "manifest.json")["invocations"]) >= len(statuses) - 2


def test_half_a_measurement_is_measured_again(uninterrupted: Path, tmp_path: Path) -> None:
    run = shutil.copytree(uninterrupted, tmp_path / "run")
    first, second = read_jsonl(run / "timings.jsonl")
    (run / "timings.jsonl").unlink()
    append_jsonl(run / "timings.jsonl", first)
    with (run / "timings.jsonl").open("a") as stream:
        stream.write(json.dumps(second)[:100])
    samples = sample_lines(run)
    again(run, tmp_path)
    timings = RunFolder.load(run).timings()
    assert timings[first["name"]]["times"] != first["times"]
    assert timings[first["name"]]["times"]["dense"] == timings[second["name"]]["times"]["dense"]
    assert sample_lines(run) == samples


def test_cells_of_two_measurements_are_measured_again(uninterrupted: Path, tmp_path: Path) -> None:
    run = shutil.copytree(uninterrupted, tmp_path / "run")
    first, second = read_jsonl(run / "timings.jsonl")
    second["times"]["dense"]["prefill"][0] *= 2
    append_jsonl(run / "timings.jsonl", second)
    again(run, tmp_path)
    timings = RunFolder.load(run).timings()
    assert timings[first["name"]]["times"]["dense"] == timings[second["name"]]["times"]["dense"]


def again(run: Path, tmp_path: Path) -> None:
    content = read_json(run / "manifest.json")["config"] | {"out": str(run)}
    assert main(["run", str(small_run.write_config(tmp_path / "again.yaml", content)), "--quiet"]) == 0


@pytest.mark.slow
def test_a_disk_that_fills_up(
    uninterrupted: Path, small_model: Path, small_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    path = small_run.write_config(tmp_path / "config.yaml", config(small_model, small_data, run))
    # the manifest, head scores, heads.json, samples, cells
    for number in (1, 3, 4, 6, 9, 14):
        assert crashes.in_fork(["run", str(path), "--quiet"], crashes.full_from(number)) == 2
        message = capfd.readouterr().err.strip()
        assert "the disk is full" in message
        assert len(message.splitlines()) == 1
        for lines in run.glob("*.jsonl"):
            assert lines.read_bytes().endswith(b"\n") or not lines.read_bytes(), f"half a line in {lines.name}"
        assert not list(run.rglob(TEMPORARY))
    assert main(["run", str(path), "--quiet"]) == 0
    assert set(sample_lines(run).values()) == {1}
    assert small_run.rows_without_times(run) == small_run.rows_without_times(uninterrupted)
    # the board of a finished run is written anew: either the old or the new one is there
    for number in range(3, 12, 2):
        assert crashes.in_fork(["run", str(path), "--quiet"], crashes.full_from(number)) == 2
        assert small_run.rows_without_times(run) == small_run.rows_without_times(uninterrupted)


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    append_jsonl(tmp_path / "lines.jsonl", {"a": 1})
    write_json(tmp_path / "file.json", {"a": 1})
    with crashes.at_writes(crashes.full_from(1)):
        with pytest.raises(OSError, match="No space") as caught:
            append_jsonl(tmp_path / "lines.jsonl", {"a": 2}, {"a": 3})
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "lines.jsonl"))
        with pytest.raises(OSError, match="No space"):
            write_json(tmp_path / "file.json", {"a": 2})
    assert list(read_jsonl(tmp_path / "lines.jsonl")) == [read_json(tmp_path / "file.json")] == [{"a": 1}]
    assert len(list(tmp_path.iterdir())) == 2
