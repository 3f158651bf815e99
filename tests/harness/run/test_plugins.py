"""A run of a patch or head score that is not ours does not go on after the file that it is in has changed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import small_run

from coreheads.adapters.patches import registry
from coreheads.cli import main
from coreheads.files import read_json, write_json
from coreheads.retrieval import head_scores

pytestmark = pytest.mark.slow  # whole runs

BASE = """
from coreheads.adapters.patches.base import HeadPatch


class Base(HeadPatch):
    def edit_output(self, layer, output, rows):
        return output * 0.5
"""
PATCH = """
from dataclasses import dataclass
from typing import ClassVar

from plugin_base import Base


@dataclass(frozen=True)
class Quiet(Base):
    name: ClassVar[str] = "quiet"
"""
SCORE = """
import torch

from coreheads.retrieval.head_scores import Score


def flat(adapter, prompt, regions, *, answer=None):
    return torch.ones(adapter.layers, adapter.heads)


SCORE = Score("flat", "plugin_score:flat")
"""
FILES = {"plugin_base": BASE, "plugin_patch": PATCH, "plugin_score": SCORE}
BY_PLACE = {"patch": "plugin_patch:Quiet", "score": "plugin_score:flat"}
BY_ENTRY_POINT = {"patch": "quiet", "score": "flat"}


@pytest.fixture(params=[BY_PLACE, BY_ENTRY_POINT], ids=["module:name", "entry point"])
def run(
    request: pytest.FixtureRequest, small_model: Path, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., int]]:
    """Starts the run, with its modules as they are on disk then."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    for name, text in FILES.items():
        (tmp_path / f"{name}.py").write_text(text)
    points = {
        registry.GROUP: EntryPoint("quiet", "plugin_patch:Quiet", registry.GROUP),
        head_scores.GROUP: EntryPoint("flat", "plugin_score:SCORE", head_scores.GROUP),
    }
    for module in (registry, head_scores):
        monkeypatch.setattr(module, "entry_points", lambda group: [points[group]])
    named = request.param
    content = small_run.config(small_model, small_data, tmp_path / "run")
    content["profile"] |= {"samples": 2, "score": named["score"]}
    content["evaluate"] = {"tasks": [small_run.REC], "limit": 1}
    content["cells"], content["timing"] = [{"patch": named["patch"], "selections": ["all"]}], {"tasks": []}
    small_run.write_config(tmp_path / "config.yaml", content)

    def start(*more: str) -> int:
        for name in FILES:
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return main(["run", "config.yaml", "--quiet", *more])

    yield start
    for name in FILES:
        sys.modules.pop(name, None)


def test_a_changed_file_is_named(run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert run() == 0
    capsys.readouterr()
    for name, kind in (("plugin_base", "patch"), ("plugin_patch", "patch"), ("plugin_score", "score")):
        path = tmp_path / f"{name}.py"
        path.write_text(FILES[name] + "# another rule\n")
        for more in ([], ["--dry-run"]):
            assert run(*more) == 2
            (line,) = capsys.readouterr().err.strip().splitlines()
            assert f"what this run was made from has changed: the file of {kind} " in line
            assert "--fresh" in line
        path.write_text(FILES[name])
    assert run() == 0
    manifest = read_json(tmp_path / "run" / "manifest.json")
    assert manifest["made_from"].pop("plugins")
    write_json(tmp_path / "run" / "manifest.json", manifest)
    assert run() == 0, "of an older version"
