"""A run on a real Ray cluster of this machine, with two replicas on the CPU."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import small_run

from coreheads.cli import main
from coreheads.files import read_json

pytest.importorskip("ray")
pytestmark = [
    pytest.mark.slow,  # whole runs, on Ray
    pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two replicas take two cores"),
]

CODE = "import sys; from coreheads.cli import main; from coreheads.run.replicas import cluster; {}; sys.exit(main())"


def start(config: Path, log: Path, first: str = "pass") -> subprocess.Popen[bytes]:
    """The command in a process of its own, its output in a file. first: what it does before."""
    with log.open("wb") as stream:
        command = [sys.executable, "-c", CODE.format(first), "run", str(config), "--ray", "--replicas", "2"]
        return subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)


def until(said: str, log: Path, process: subprocess.Popen[bytes], seconds: float = 600) -> None:
    began = time.monotonic()
    while said not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() - began < seconds, log.read_text()
        time.sleep(0.1)


def test_the_board_of_two_replicas_is_that_of_one_process(
    finished_run: Path, small_model: Path, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    path = small_run.write_config(tmp_path / "config.yaml", small_run.config(small_model, small_data, run))
    process = start(path, tmp_path / "log")
    until("loading small by 2 replicas", tmp_path / "log", process)
    # a second driver is refused as any second process is, before it starts a cluster
    assert main(["run", str(path), "--ray", "--quiet"]) == 2
    assert f"process {process.pid} on" in (message := capsys.readouterr().err)
    assert "works in this folder now" in message
    assert process.wait(timeout=1800) == 0
    log = (tmp_path / "log").read_text()
    assert "evaluating small by 2 replicas (32 samples)" in log
    assert log.index("evaluating small by 2 replicas: done") < log.index("timing small coreheads_mini_refcocog")
    assert small_run.answers(run) == small_run.answers(finished_run)
    boards = [small_run.rows_without_times(folder) for folder in (run, finished_run)]
    assert [{**row, "device": None} for row in boards[0]] == [{**row, "device": None} for row in boards[1]]
    session = read_json(run / "manifest.json")["invocations"][-1]
    assert session["replicas"] == 2
    assert session["machine"]["name"].endswith("1 threads")
    # more replicas than this machine has cores
    assert main(["run", str(path), "--ray", "--replicas", "999", "--out", str(tmp_path / "other"), "--quiet"]) == 2
    message = capsys.readouterr().err.strip()
    assert message.startswith("error: --replicas: 999, but the cluster has devices for ")
    assert len(message.splitlines()) == 1


def test_a_cluster_that_dies_ends_the_run_in_a_line(small_model: Path, small_data: Path, tmp_path: Path) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    path = small_run.write_config(tmp_path / "config.yaml", small_run.config(small_model, small_data, run))
    process = start(path, log, "cluster.GONE_S = 4")
    until("is process", log, process)
    servers = [child for child in psutil.Process(process.pid).children() if "gcs_server" in child.name()]
    servers[0].kill()
    assert process.wait(timeout=300) == 2
    (line,) = [line for line in log.read_text().splitlines() if line.startswith("error: ")]
    assert line.startswith("error: --ray: the cluster (local) is gone: ")
    assert line.endswith("; what was finished is stored, the same command goes on")
