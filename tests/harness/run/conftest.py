"""A finished run beside all that it was made from."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import small_run

from coreheads.cli import main
from coreheads.files import read_json, write_json


@pytest.fixture(scope="session")
def pristine(small_model: Path, small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with its model, data and heads file beside it."""
    home = tmp_path_factory.mktemp("made") / "home"
    shutil.copytree(small_model, home / "model")
    shutil.copytree(small_data, home / "data")
    small_run.profile(np.random.default_rng(0).random((2, 8)).tolist()).save(home / "heads.json")
    about = read_json(home / "heads.json")
    write_json(home / "heads.json", about | {"model": about["model"] | {"id": str(home / "model"), "kv_heads": 4}})
    content = small_run.config(home / "model", home / "data", home / "run")
    content["models"] += [{"id": str(home / "model"), "name": "given", "heads": str(home / "heads.json")}]
    content["profile"]["samples"] = 2
    content["evaluate"] = {"tasks": [small_run.REC, small_run.PAGE], "limit": 2, "batch_size": 2}
    content["cells"], content["timing"] = [], {"tasks": []}
    small_run.write_config(home / "config.yaml", content)
    assert main(["run", str(home / "config.yaml"), "--quiet"]) == 0
    shutil.copytree(home, home.with_name("kept"))
    return home


@pytest.fixture
def home(pristine: Path) -> Iterator[Path]:
    """The same for a test that changes it: at its own path, which the configuration names."""
    yield pristine
    shutil.rmtree(pristine)
    shutil.copytree(pristine.with_name("kept"), pristine)
