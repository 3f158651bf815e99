"""The real lmms-eval command on the embedded model: its table is that of coreheads run, in one process or two."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trees
import yaml
from small_data import SMALL

from coreheads.cli import main
from coreheads.files import read_jsonl
from coreheads.tasks import registry
from coreheads.tasks.mini import data

pytestmark = pytest.mark.slow  # whole runs, boards and pages

TASKS = ("coreheads_mini_refcocog", "coreheads_mini_mlvu", "coreheads_mlvu_dev")
LIMIT = 5
_LINE = re.compile(r"^\|(\w+) *\|none *\| *\d+\|([\w.]+) *\|[^|]*\| *([\d.]+)\|")

Table = dict[tuple[str, str], str]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with a little mini data, and a real layout in which one record cannot be scored."""
    folder = data.ensure(["refcocog", "mlvu"], sizes=SMALL, cache=tmp_path_factory.mktemp("data"))
    trees.mlvu_dev(folder)
    return folder


@pytest.fixture(scope="module")
def yamls(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's own folder of tasks: ours, with a data root of his."""
    folder = tmp_path_factory.mktemp("yamls")
    for name in TASKS:
        content = {
            "include": str(registry.get(name).yaml),
            "task": name,
            "dataset_kwargs": {"split": "test", "data_root": str(root)},
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return folder


def table_of(program: list[str], yamls: Path) -> tuple[Table, str]:
    """(the printed table, everything that was printed)."""
    arguments = ["--model", "coreheads", "--model_args", "pretrained=tiny", "--tasks", ",".join(TASKS)]
    done = subprocess.run(
        [*program, *arguments, "--include_path", str(yamls), "--limit", str(LIMIT), "--batch_size", "1"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed[-3000:]
    found = [_LINE.match(line) for line in done.stdout.splitlines()]
    return {(line[1], line[2]): line[3] for line in found if line}, printed


@pytest.fixture(scope="module")
def one_process(yamls: Path) -> Table:
    return table_of([str(Path(sys.executable).with_name("lmms-eval"))], yamls)[0]


def test_the_printed_table_is_what_coreheads_run_gives(one_process: Table, root: Path, tmp_path: Path) -> None:
    config = {
        "models": [{"id": "tiny"}],
        "data_root": str(root),
        "evaluate": {"tasks": list(TASKS), "limit": LIMIT, "batch_size": 1},
        "timing": {"tasks": []},
        "out": str(tmp_path / "run"),
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["run", str(tmp_path / "config.yaml"), "--quiet"]) == 0
    ours = {
        (cell["cell"]["task"], metric): f"{value:.4f}"
        for cell in read_jsonl(tmp_path / "run" / "cells.jsonl")
        for metric, value in cell["metrics"].items()
    }
    assert one_process == ours
    assert {task for task, _ in ours} == set(TASKS)
    # the embedded model knows its mini tasks, so that equal tables are not two tables of zeros
    assert float(ours["coreheads_mini_refcocog", "acc_0.5"]) > 0.5
    assert ours["coreheads_mlvu_dev", "unscored"] == "1.0000"
    assert ours["coreheads_mini_mlvu", "unscored"] == "0.0000"


@pytest.mark.slow
def test_two_processes_print_the_same_table(one_process: Table, yamls: Path) -> None:
    # without --multi_gpu accelerate starts one process where there is no GPU, whatever number is asked for
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    with socket.create_server(("localhost", 0)) as free:
        port = ["--main_process_port", str(free.getsockname()[1])]
    two, printed = table_of([*launch, *port, "-m", "lmms_eval"], yamls)
    assert "Running on rank 1" in printed
    assert two == one_process


def test_each_process_takes_its_own_gpu() -> None:
    from coreheads.adapters.lmms_eval.arguments import own_device

    assert own_device("cuda", "1") == "cuda:1"
    assert own_device("cuda", None) == "cuda"
    assert own_device("cpu", "1") == "cpu"
    assert own_device("cuda:3", "1") == "cuda:3"
