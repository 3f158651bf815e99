"""A small model, a little data and one finished run, made once for the tests that only read them."""

from __future__ import annotations

from pathlib import Path

import pytest
import small_run


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    torch.set_num_threads(1)
    return small_run.save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run.make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def finished_run(small_model: Path, small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run; copy it before changing anything. Its configuration lies beside it."""
    from coreheads.cli import main

    folder = tmp_path_factory.mktemp("runs")
    content = small_run.config(small_model, small_data, folder / "run")
    path = small_run.write_config(folder / "config.yaml", content)
    assert main(["run", str(path), "--quiet"]) == 0
    return folder / "run"
