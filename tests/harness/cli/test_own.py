"""Patches, scores and tasks of one's own: named where they are, without an entry in the package."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coreheads.adapters.patches.registry import make_patch, patch_class
from coreheads.cli import main
from coreheads.config.schema import load_config
from coreheads.errors import UserError
from coreheads.retrieval.head_scores import head_score
from coreheads.tasks import registry
from coreheads.tasks.code import task_code

PATCH = """
from dataclasses import dataclass
from typing import ClassVar

from coreheads.adapters.patches.base import HeadPatch


@dataclass(frozen=True)
class Quiet(HeadPatch):
    name: ClassVar[str] = "quiet"
    strength: float = 0.5


NOTHING = 3
"""
SCORE = """
import torch


def flat(adapter, prompt, regions, *, answer=None):
    return torch.ones(adapter.layers, adapter.heads)


def from_answers(adapter, prompt, regions, *, answer=None):
    return torch.ones(adapter.layers, adapter.heads)


from_answers.needs = {"answer"}


def wrong(adapter, prompt, regions, *, answer=None):
    return None


wrong.needs = {"luck"}
"""
TASK = """
from coreheads.tasks.splits import Split
from coreheads.tasks.task import Task

TASK = Task(
    name="own_task", kind="rec", benchmark="own", module="own_task_module", metrics=("accuracy", "unparsed"),
    summary="a task of one's own", splits={"test": Split("all", "rest"), "profile": Split("all", "profile")},
)


def expected(split, options):
    return [("records.jsonl", "a record a line")]


def records(source, split, options):
    place = source.place
    return [{"record_id": str(n), "root": place, "group": str(n)} for n in range(20)]
"""
CONFIG = """
models: [{id: tiny}]
profile: {tasks: [own_task], score: ["own_score_module:flat"], samples: 4}
evaluate: {tasks: [own_task], limit: 2}
cells:
  - {patch: "own_patch_module:Quiet", selections: [top], fractions: [0.1]}
timing: {tasks: []}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "own_patch_module.py").write_text(PATCH)
    (tmp_path / "own_score_module.py").write_text(SCORE)
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "own_task_module.py").write_text(TASK)
    (tmp_path / "tasks" / "own_task.yaml").write_text("task: own_task\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(registry, "_INCLUDED", {})
    yield tmp_path
    for name in ("own_patch_module", "own_score_module", "own_task_module"):
        sys.modules.pop(name, None)


def test_a_patch_by_its_place(folder: Path) -> None:
    made = make_patch("own_patch_module:Quiet", {(0, 1)}, strength=0.25)
    assert made == patch_class("own_patch_module:Quiet")({(0, 1)}, strength=0.25)  # type: ignore[call-arg]
    with pytest.raises(UserError, match="parameter 'strenth' is not known"):
        make_patch("own_patch_module:Quiet", {(0, 1)}, strenth=0.25)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_patch_module:Quite", "own_patch_module has no Quite.*Quiet"),
        ("own_patch_module:NOTHING", "expected a dataclass derived from Patch"),
        ("not_there:Quiet", "cannot be loaded"),
        (":Quiet", "expected module:name"),
        ("own_patch_module:", "expected module:name"),
    ],
)
def test_a_place_without_a_patch_is_told_in_one_line(folder: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        patch_class(name)
    assert "\n" not in str(raised.value)


def test_a_score_by_its_place(folder: Path) -> None:
    score = head_score("own_score_module:flat")
    assert (score.name, score.needs) == ("own_score_module:flat", {"regions", "query"})
    assert score.load()(type("Adapter", (), {"layers": 2, "heads": 3}), None, []).shape == (2, 3)
    assert head_score("own_score_module:from_answers").needs == {"answer"}
    assert score.code()
    with pytest.raises(UserError, match="needs 'luck', expected of regions"):
        head_score("own_score_module:wrong")


def test_a_folder_of_tasks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="own_task"):
        registry.get("own_task")
    assert registry.include(folder / "tasks") == ["own_task"]
    assert registry.include(folder / "tasks") == ["own_task"]  # twice is once
    task = registry.get("own_task")
    assert task.folder == (folder / "tasks").resolve()
    assert not task.is_made
    before = task_code(task)
    module = folder / "tasks" / "own_task_module.py"
    module.write_text(module.read_text() + "# other\n")
    assert task_code(task) != before
    assert main(["tasks", "own_task", "--include", str(folder / "tasks"), "--data-root", str(folder)]) == 0
    assert "a task of one's own" in capsys.readouterr().out
    assert main(["tasks", "--include", str(folder)]) == 2
    assert "no module there has a TASK" in capsys.readouterr().err
    assert main(["tasks", "--include", str(folder / "none")]) == 2


def test_a_configuration_names_them(folder: Path) -> None:
    path = folder / "run.yaml"
    path.write_text(CONFIG)
    config = load_config(path, include=["tasks"])
    assert config.include == ("tasks",)
    assert config.cells[0].patch == "own_patch_module:Quiet"
    assert registry.get(config.evaluate.tasks[0]).summary == "a task of one's own"
    assert os.getcwd() in sys.path
