"""The real lmms-eval command on the embedded models: its table is that of coreheads run, in one process or two."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trees
import yaml
from lmms_command import Table, table
from small_data import SMALL
from smol_case import needs_smol

from coreheads.cli import main
from coreheads.files import read_jsonl
from coreheads.tasks import registry
from coreheads.tasks.mini import data

pytestmark = pytest.mark.slow  # whole runs, boards and pages

TASKS = ("coreheads_mini_refcocog", "coreheads_mini_mlvu", "coreheads_mlvu_dev")
LIMIT = 5
COMMAND = [str(Path(sys.executable).with_name("lmms-eval"))]


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


def table_of(
    program: list[str], *more: str, model: str = "tiny", tasks: Sequence[str] = TASKS, limit: int = LIMIT
) -> tuple[Table, str]:
    """(the printed table, everything that was printed)."""
    arguments = ["--model", "coreheads", "--model_args", f"pretrained={model}", "--tasks", ",".join(tasks)]
    done = subprocess.run(
        [*program, *arguments, *more, "--limit", str(limit), "--batch_size", "1"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed[-3000:]
    return table(done.stdout), printed


@pytest.fixture(scope="module")
def one_process(yamls: Path) -> Table:
    return table_of(COMMAND, "--include_path", str(yamls))[0]


def our_table(folder: Path, model: str, tasks: Sequence[str], limit: int = LIMIT, **more: Any) -> Table:
    """What ``coreheads run`` gives for the same samples."""
    config = {
        "models": [{"id": model}],
        "evaluate": {"tasks": list(tasks), "limit": limit, "batch_size": 1},
        "timing": {"tasks": []},
        "out": str(folder / "run"),
        **more,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["run", str(folder / "config.yaml"), "--quiet"]) == 0
    return {
        (cell["cell"]["task"], metric): f"{value:.4f}"
        for cell in read_jsonl(folder / "run" / "cells.jsonl")
        for metric, value in cell["metrics"].items()
    }


def test_the_printed_table_is_what_coreheads_run_gives(one_process: Table, root: Path, tmp_path: Path) -> None:
    ours = our_table(tmp_path, "tiny", TASKS, data_root=str(root))
    assert one_process == ours
    assert {task for task, _ in ours} == set(TASKS)
    # the embedded model knows its mini tasks, so that equal tables are not two tables of zeros
    assert float(ours["coreheads_mini_refcocog", "acc_0.5"]) > 0.5
    assert ours["coreheads_mlvu_dev", "unscored"] == "1.0000"
    assert ours["coreheads_mini_mlvu", "unscored"] == "0.0000"


@needs_smol
def test_the_printed_table_of_the_second_model_is_what_coreheads_run_gives(tmp_path: Path) -> None:
    tasks = ["coreheads_smol_doc_450"]
    folder = registry.get(tasks[0]).yaml.parents[1]
    printed, _ = table_of(COMMAND, "--include_path", str(folder), model="smol", tasks=tasks, limit=10)
    assert printed == our_table(tmp_path, "smol", tasks, limit=10)
    assert 0.5 < float(printed[tasks[0], "accuracy"]) < 1  # the tenth is the first that it gets wrong


@pytest.mark.slow
def test_two_processes_print_the_same_table(one_process: Table, yamls: Path) -> None:
    # without --multi_gpu accelerate starts one process where there is no GPU, whatever number is asked for
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    with socket.create_server(("localhost", 0)) as free:
        port = ["--main_process_port", str(free.getsockname()[1])]
    two, printed = table_of([*launch, *port, "-m", "lmms_eval"], "--include_path", str(yamls))
    assert "Running on rank 1" in printed
    assert two == one_process
