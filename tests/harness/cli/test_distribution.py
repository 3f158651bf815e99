"""A package that is installed beside ours: its patch, score and task are names like our own, in every command."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import small_run

from coreheads.adapters.families import registry as families
from coreheads.adapters.patches.registry import make_patch, patch_kinds
from coreheads.cli import main
from coreheads.errors import UserError
from coreheads.files import read_json, write_json
from coreheads.retrieval.head_scores import head_score, score_names
from coreheads.run.code import model_code
from coreheads.tasks import registry
from coreheads.tasks.code import task_code

POINTS = """
[coreheads.patches]
thrown_patch = throw_away.thrown_patch:ThrownPatch
[coreheads.scores]
thrown_score = throw_away.thrown_score:SCORE
[coreheads.tasks]
thrown_task = throw_away.thrown_task:TASK
broken_task = throw_away.no_such_module:TASK
renamed_task = throw_away.thrown_task:TASK
[coreheads.families]
thrown_vl = throw_away.thrown_family:ThrownVL
broken_vl = throw_away.thrown_family:NOTHING
qwen3_vl = throw_away.thrown_family:ThrownVL
"""
SCORE = """
from coreheads.retrieval.head_scores import Score

SCORE = Score("thrown_score", "throw_away.thrown_score:thrown_score", frozenset({"regions", "query"}))
"""
FAMILY = """
from coreheads.adapters.families.qwen3_vl import Qwen3VL


class ThrownVL(Qwen3VL):
    settings = (*Qwen3VL.settings, "thrown_setting")


NOTHING = 3
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that it is installed in; the task's data lie in ``data`` below the package."""
    site, package = tmp_path / "site", tmp_path / "site" / "throw_away"
    monkeypatch.chdir(tmp_path)
    for kind in ("patch", "score", "task"):
        assert main(["new", kind, f"thrown_{kind}", "--out", str(package)]) == 0
    for path in (package / "thrown_task_task").iterdir():
        path.rename(package / path.name)
    (package / "__init__.py").write_text("")
    with (package / "thrown_score.py").open("a") as stream:
        stream.write(SCORE)
    (package / "thrown_family.py").write_text(FAMILY)
    task = package / "thrown_task.py"
    task.write_text(task.read_text().replace('module="thrown_task"', 'module="throw_away.thrown_task"'))
    about = site / "throw_away-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: throw-away\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(POINTS)
    monkeypatch.setattr(sys, "path", [*sys.path, str(site)])
    monkeypatch.setattr(registry, "_INCLUDED", {})
    importlib.invalidate_caches()
    yield site
    for name in [name for name in sys.modules if name.partition(".")[0] == "throw_away"]:
        del sys.modules[name]


def test_its_names_are_names(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "thrown_patch" in patch_kinds()
    assert make_patch("thrown_patch", {(0, 0)}, share=0.25).describe()["share"] == 0.25
    assert "thrown_score" in score_names()
    assert head_score("thrown_score").load().__name__ == "thrown_score"
    assert "thrown_task" in registry.names()
    task = registry.get("thrown_task")
    assert task.folder == installed / "throw_away"
    before = task_code(task)
    module = installed / "throw_away" / "thrown_task.py"
    module.write_text(module.read_text() + "# other\n")
    assert task_code(task) != before
    data = str(installed / "throw_away" / "data")
    assert main(["tasks", "thrown_task", "--data-root", data]) == 0
    assert main(["tasks", "validate", "thrown_task", "--data-root", data]) == 0
    assert main(["tasks", "thrown_task", "--path"]) == 0
    assert str(installed / "throw_away") in capsys.readouterr().out
    assert main(["profile", "--help"]) == 0
    assert "thrown_score" in capsys.readouterr().out


def test_its_model_family_is_one_of_ours(
    installed: Path, small_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert families.family("thrown_vl", "x").__name__ == "ThrownVL"
    assert families.family("qwen3_vl", "x").__name__ == "Qwen3VL"
    assert "thrown_setting" in families.setting_names()
    with pytest.raises(UserError, match=r"model family 'broken_vl' of entry point .* is no family, expected a class"):
        families.family("broken_vl", "x")
    assert main(["models"]) == 0
    assert "throw_away.thrown_family:ThrownVL" in capsys.readouterr().out
    config = read_json(small_model / "config.json") | {"model_type": "thrown_vl"}
    write_json(tmp_path / "theirs" / "config.json", config)
    before = model_code(str(tmp_path / "theirs"))
    assert before not in (None, model_code(str(small_model)))
    (installed / "throw_away" / "thrown_family.py").write_text(FAMILY + "# other")
    assert model_code(str(tmp_path / "theirs")) not in (None, before)


def test_what_cannot_be_used_is_told_and_keeps_no_other_from_being_seen(
    installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, message in {
        "broken_task": "entry point throw_away.no_such_module:TASK: cannot be loaded",
        "renamed_task": "is no task, expected a Task whose name is 'renamed_task'",
        "thrown_tusk": "expected one of .*did you mean 'thrown_task'",
    }.items():
        with pytest.raises(UserError, match=message) as caught:
            registry.get(name)
        assert "\n" not in str(caught.value)
    (installed / "throw_away" / "thrown_task.yaml").rename(installed / "throw_away" / "elsewhere.txt")
    with pytest.raises(UserError, match=r"thrown_task.yaml is not there, expected the task's YAML beside its module"):
        registry.get("thrown_task")
    assert main(["tasks"]) == 0
    said = capsys.readouterr()
    assert "coreheads_refcocog" in said.out
    assert "Left out: task 'broken_task' of entry point" in said.err


@pytest.mark.slow  # a whole run
def test_every_command_takes_them(
    installed: Path, small_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, heads, record = str(installed / "throw_away" / "data"), str(tmp_path / "heads.json"), "thrown_task:test-1"
    asked = ["--tasks", "thrown_task", "--score", "thrown_score", "--data-root", data, "--out", heads]
    assert main(["profile", str(small_model), *asked, "--samples", "2", "--quiet"]) == 0
    shown = ["heads", "show", heads, "--sample", record, "--data-root", data, "--out", str(tmp_path / "a.png")]
    assert main(shown) == 0, capsys.readouterr().err
    content = small_run.config(small_model, Path(data), tmp_path / "run") | {
        "profile": {"tasks": ["thrown_task"], "samples": 2, "score": "thrown_score"},
        "evaluate": {"tasks": ["thrown_task"], "limit": 2},
        "cells": [{"patch": "thrown_patch", "selections": ["top"], "fractions": [0.25]}],
        "timing": {"tasks": []},
    }
    assert main(["run", str(small_run.write_config(tmp_path / "config.yaml", content)), "--quiet"]) == 0
    rows = read_json(tmp_path / "run" / "leaderboard.json")["rows"]
    assert [(row["task"], row["patch"]) for row in rows] == [("thrown_task", "none"), ("thrown_task", "thrown_patch")]
    plugins = read_json(tmp_path / "run" / "manifest.json")["made_from"]["plugins"]
    assert set(plugins) == {"patch thrown_patch", "score thrown_score"}


@pytest.mark.slow  # loads a model
def test_a_folder_of_tasks_in_every_command(
    installed: Path,
    small_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where the configuration lies beside the tasks, too: other YAML files are none of theirs."""
    own = tmp_path / "own"
    assert main(["new", "task", "kept_task", "--out", str(own)]) == 0
    folder = own / "kept_task_task"
    data, heads = str(folder / "data"), str(tmp_path / "heads.json")
    asked = ["--tasks", "kept_task", "--include", str(folder), "--data-root", data, "--out", heads, "--quiet"]
    assert main(["profile", str(small_model), *asked, "--samples", "2"]) == 0
    monkeypatch.setattr(registry, "_INCLUDED", {})
    shown = ["heads", "show", heads, "--sample", "kept_task", "--data-root", data, "--out", str(tmp_path / "a.png")]
    assert main(shown) == 2
    assert "kept_task" in capsys.readouterr().err
    assert main([*shown, "--include", str(folder)]) == 0
    content = small_run.config(small_model, Path(data), tmp_path / "run") | {
        "include": [str(folder)],
        "profile": {"tasks": ["kept_task"], "samples": 2},
        "evaluate": {"tasks": ["kept_task"], "limit": 2},
        "cells": [],
        "timing": {"tasks": []},
    }
    assert main(["run", str(small_run.write_config(folder / "config.yaml", content)), "--quiet"]) == 0
    monkeypatch.setattr(registry, "_INCLUDED", {})
    assert main(["leaderboard", str(tmp_path / "run"), "--out", str(tmp_path / "board")]) == 0
    sys.modules.pop("kept_task", None)
