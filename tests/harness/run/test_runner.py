"""The runner: a run folder as designed, killed and started again, two at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import small_run

from coreheads.cli import main
from coreheads.files import read_json, read_jsonl
from coreheads.store.folder import RunFolder

pytestmark = pytest.mark.slow  # whole runs, boards and pages

DIES = """
import os, signal, sys, torch
from coreheads.cli import main
from coreheads.store.samples import SampleFile

torch.set_num_threads(1)
add, left = SampleFile.add, iter(range(6, -1, -1))

def dying(*given, **named):
    add(*given, **named)
    next(left) or os.kill(os.getpid(), signal.SIGKILL)

SampleFile.add = dying
sys.exit(main(sys.argv[1:]))
"""
"""A run that kills itself when it has seven samples."""


def test_run_folder_is_as_designed(finished_run: Path) -> None:
    names = {path.name for path in finished_run.iterdir()}
    assert {"manifest.json", "heads", "samples", "cells.jsonl", "figures"} <= names
    assert {f"leaderboard.{kind}" for kind in ("json", "csv", "md", "html")} <= names
    manifest = read_json(finished_run / "manifest.json")
    assert manifest["schema_version"] == 1
    assert manifest["config"]["cells"][2]["params"] == {"sink": 4, "window": 32}
    session = manifest["invocations"][0]
    assert session["versions"]["torch"]
    assert session["machine"]["device"] == "cpu"
    assert (finished_run / "heads" / "small.json").is_file()
    assert not (finished_run / "heads" / "partial").exists()


def test_every_cell_has_its_samples_once(finished_run: Path) -> None:
    run = RunFolder.load(finished_run)
    cells = run.cells()
    # dense, ablate top, 2 random draws, hybrid top, on 2 tasks
    assert len(cells) == 10
    for name, record in cells.items():
        lines = list(read_jsonl(finished_run / "samples" / f"{name}.jsonl"))
        assert len(lines) == record["n"] == (2 if record["cell"]["draw"] is not None else 4)
        assert max(Counter(line["record_id"] for line in lines).values()) == 1
        assert all(line["prompt_tokens"] > 100 for line in lines)
    assert len({path.name for path in (finished_run / "samples").iterdir()}) == 10


def test_lmms_evals_aggregate_is_the_mean_of_the_stored_scores(finished_run: Path) -> None:
    for record in RunFolder.load(finished_run).cells().values():
        assert record["metrics"][record["metric"]] == pytest.approx(record["score"])


def test_timed_cells_have_all_phases(finished_run: Path) -> None:
    run = RunFolder.load(finished_run)
    (timing,) = run.timings().values()
    assert timing["cell"]["task"] == small_run.REC
    assert set(timing["times"]) == {"dense", "patched", "ceiling"}
    for phases in timing["times"].values():
        assert {name: len(seconds) for name, seconds in phases.items()} == dict.fromkeys(
            ("preprocess", "vision", "prefill", "decode"), 10
        )
        assert all(second > 0 for seconds in phases.values() for second in seconds)
    assert 0 < timing["kv_bytes_ratio"] < 1
    assert timing["peak_memory_ratio"] is None
    assert timing["dense_kernel"] in ("sdpa", "eager", "packed")


def test_starting_a_finished_run_again_changes_nothing(finished_run: Path) -> None:
    cells = (finished_run / "cells.jsonl").read_bytes()
    board = read_json(finished_run / "leaderboard.json")["rows"]
    assert main(["run", str(finished_run.parent / "config.yaml"), "--quiet"]) == 0
    assert (finished_run / "cells.jsonl").read_bytes() == cells
    assert read_json(finished_run / "leaderboard.json")["rows"] == board
    assert not list((finished_run / "samples").glob(".*"))


def test_killed_and_started_again_gives_the_same_board(
    finished_run: Path, small_model: Path, small_data: Path, tmp_path: Path
) -> None:
    content = small_run.config(small_model, small_data, tmp_path / "run")
    config = small_run.write_config(tmp_path / "config.yaml", content)
    command = [sys.executable, "-c", DIES, "run", str(config), "--quiet"]
    killed = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    done = list(_samples(tmp_path / "run"))
    assert len(done) == 7
    assert not (tmp_path / "run" / "leaderboard.json").exists()
    # the worst case: the process died in the middle of a line
    last = max((tmp_path / "run" / "samples").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    small_run.append_half_line(last)
    assert main(["run", str(config), "--quiet"]) == 0
    after = list(_samples(tmp_path / "run"))
    assert max(Counter((cell, line["record_id"]) for cell, line in after).values()) == 1
    assert all(line in after for line in done)
    assert small_run.rows_without_times(tmp_path / "run") == small_run.rows_without_times(finished_run)
    assert len(read_json(tmp_path / "run" / "manifest.json")["invocations"]) == 2


def _samples(run: Path) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for path in sorted((run / "samples").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            try:
                found.append((path.name, json.loads(line)))
            except json.JSONDecodeError:
                continue
    return found


def test_a_second_run_in_the_folder_is_refused_and_a_dead_one_is_not(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = RunFolder.load(finished_run).config
    with RunFolder.open(finished_run, config):
        assert main(["run", str(finished_run.parent / "config.yaml"), "--quiet"]) == 2
    message = capsys.readouterr().err
    assert f"process {os.getpid()}" in message
    assert len(message.strip().splitlines()) == 1
    (finished_run / "run.owner").write_text('{"pid": 1, "host": "elsewhere"}')
    with RunFolder.open(finished_run, config) as run:
        assert str(run.died) == "process 1 on elsewhere"


def test_samples_of_other_records_are_refused(
    finished_run: Path, small_model: Path, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = small_run.config(small_model, small_data, tmp_path / "run") | {"cells": []}
    content["evaluate"] = {"tasks": [small_run.REC], "limit": 2}
    config = small_run.write_config(tmp_path / "config.yaml", content)
    foreign = tmp_path / "run" / "samples" / f"small__{small_run.REC}__none.jsonl"
    with RunFolder.open(tmp_path / "run", _resolved(config)):
        pass
    foreign.parent.mkdir()
    foreign.write_text(
        '{"schema_version": 1, "record_id": "elsewhere", "response": "", "score": 0.0, "prompt_tokens": 1}\n'
    )
    assert main(["run", str(config), "--quiet"]) == 2
    assert "elsewhere" in capsys.readouterr().err


def _resolved(config: Path) -> dict[str, Any]:
    from coreheads.config.schema import load_config

    return load_config(config).model_dump(mode="json")


def test_full_disks_and_closed_folders_are_one_line(tmp_path: Path) -> None:
    import errno

    from coreheads.errors import UserError
    from coreheads.files import write_errors

    for code, text in (
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "cannot be written"),
    ):
        with pytest.raises(UserError, match=text) as caught, write_errors(tmp_path):
            raise OSError(code, os.strerror(code), str(tmp_path / "cells.jsonl"))
        assert "cells.jsonl" in str(caught.value)
    with pytest.raises(OSError, match="Input/output"), write_errors(tmp_path):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_heads_of_the_run_are_those_of_its_cells(
    small_model: Path, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = small_run.config(small_model, small_data, tmp_path / "run")
    content["cells"], content["timing"], content["profile"]["samples"] = content["cells"][:1], {"tasks": []}, 2
    content["evaluate"]["limit"] = 2
    config = str(small_run.write_config(tmp_path / "config.yaml", content))
    assert main(["run", config, "--quiet"]) == 0
    cells, found = tmp_path / "run/cells.jsonl", tmp_path / "run/heads/small.json"
    lines = cells.read_text().splitlines(keepends=True)
    cells.write_text("".join(lines[:-1]))
    about = read_json(found)
    other = {name: [row[::-1] for row in about[name]] for name in ("mean", "ci_low", "ci_high")}
    found.write_text(json.dumps(about | other))
    capsys.readouterr()
    assert main(["run", config, "--quiet"]) == 2
    assert f"{found}: picks other heads than 1 finished cells were answered with" in capsys.readouterr().err
    found.write_text(json.dumps(about))
    assert main(["run", config, "--quiet"]) == 0
