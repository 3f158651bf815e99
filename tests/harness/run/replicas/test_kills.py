"""A run on Ray whose workers and whose driver are killed at random points: no line is lost, none is doubled.

``COREHEADS_KILLS=10 pytest tests/harness/run/replicas/test_kills.py`` kills ten of each.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest
import small_run

from coreheads.cli import main
from coreheads.files import read_json, read_jsonl

pytestmark = pytest.mark.slow  # whole runs, on Ray
pytest.importorskip("ray")

KILLS = int(os.environ.get("COREHEADS_KILLS", "1"))
"""Of each kind."""
SEED = int(os.environ.get("COREHEADS_KILL_SEED", "0"))
LIMIT_S = 3600


def config(out: Path) -> dict[str, Any]:
    """The embedded model: 6 cells on each of two tasks, 20 samples each."""
    return {
        "models": [{"id": "tiny"}],
        "profile": {"tasks": [small_run.REC], "samples": 4},
        "evaluate": {"tasks": [small_run.REC, small_run.PAGE], "limit": 20, "draws": 3, "batch_size": 2},
        "cells": [
            {"patch": "ablate", "selections": ["top", "random"], "fractions": [0.1]},
            {"patch": "hybrid", "params": {"sink": 4, "window": 64}, "selections": ["top"], "fractions": [0.1]},
        ],
        "timing": {"tasks": []},
        "out": str(out),
    }


def lines(run: Path) -> Counter[str]:
    """How often each whole line of a sample is there, by cell and record."""
    paths = (run / "samples").glob("*.jsonl") if (run / "samples").is_dir() else ()
    return Counter(f"{path.stem} {line['record_id']}" for path in paths for line in read_jsonl(path))


def count(run: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in (run / "samples").glob("*.jsonl"))


def workers(driver: int) -> list[psutil.Process]:
    """The processes of a driver's workers that have a model, or load it."""
    found = []
    for process in psutil.Process(driver).children(recursive=True):
        try:
            if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::Worker"):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two workers take two cores")
def test_killed_at_random_points(tmp_path: Path) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    path = small_run.write_config(tmp_path / "whole.yaml", config(whole))
    assert main(["run", str(path), "--quiet"]) == 0
    total = count(whole)
    draws = random.Random(SEED)
    points = sorted(draws.sample(range(total), 2 * KILLS))
    kinds = ["worker", "driver"] * KILLS
    draws.shuffle(kinds)
    path = small_run.write_config(tmp_path / "run.yaml", config(run))
    code = "import sys; from coreheads.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "run", str(path), "--ray", "--replicas", "2", "--quiet"]
    driver, kept, began = subprocess.Popen(command), Counter[str](), time.monotonic()
    try:
        for point, kind in zip(points, kinds, strict=True):
            while count(run) < point or not (alive := workers(driver.pid)):
                assert driver.poll() is None, f"the driver ended with {driver.returncode} at {count(run)} lines"
                assert time.monotonic() - began < LIMIT_S
                time.sleep(0.02)
            if kind == "driver":
                driver.send_signal(signal.SIGKILL)
                driver.wait()
                # Ray's own agents, which hold nothing, take a minute longer
                assert not psutil.wait_procs(alive, timeout=60)[1], "workers outlive the driver"
            else:
                draws.choice(alive).kill()
            print(f"{time.monotonic() - began:.0f} s: killed a {kind} at line {count(run)} of {total}", flush=True)
            now = lines(run)
            assert kept <= now, "a line was lost"
            assert not now or max(now.values()) == 1, "a line was doubled"
            kept = now
            if kind == "driver":
                driver = subprocess.Popen(command)
        assert driver.wait(timeout=LIMIT_S) == 0
    finally:
        driver.kill()
    assert set(lines(run).values()) == {1}
    assert small_run.answers(run) == small_run.answers(whole)
    rows = [small_run.rows_without_times(folder) for folder in (run, whole)]
    assert [{**row, "device": None} for row in rows[0]] == [{**row, "device": None} for row in rows[1]]
    assert len(read_json(run / "manifest.json")["invocations"]) <= 1 + KILLS
