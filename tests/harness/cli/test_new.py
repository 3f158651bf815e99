"""What ``coreheads new`` writes works at once, and nothing that is there is touched."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coreheads.cli import main
from coreheads.config.schema import load_config
from coreheads.files import read_json
from coreheads.tasks import registry

KINDS = ("patch", "score", "task")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(registry, "_INCLUDED", {})
    yield tmp_path
    for kind in KINDS:
        sys.modules.pop(f"own_{kind}", None)


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written(folder: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", kind, f"own_{kind}", "--out", "mine"]) == 0
    place = "mine/own_task_task" if kind == "task" else "mine"
    assert {f"{place}/own_{kind}.py", f"{place}/test_own_{kind}.py", f"mine/run_own_{kind}.yaml"} <= set(tree(folder))
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert "$" not in text
            assert "NAME" not in path.name
            assert max(map(len, text.splitlines())) <= 120
    module = ast.parse((folder / place / f"own_{kind}.py").read_text())
    made = [node for node in module.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert all(map(ast.get_docstring, made))
    said = capsys.readouterr().out
    test = Path(place, f"test_own_{kind}.py").relative_to("mine")
    assert f"cd mine && python -m pytest {test}\n" in said
    assert f"cd mine && coreheads run run_own_{kind}.yaml" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["patches", "mine"], "kind is 'patches', expected one of patch, score, task (did you mean 'patch'?)"),
        (["patch", "Mine"], "name is 'Mine', expected a Python name in small letters such as my_patch"),
        (["patch", "../mine"], "name is '../mine', expected a Python name"),
        (["score", "class"], "name is 'class', expected a Python name"),
        (["task", "test_mine"], "name is 'test_mine', expected a Python name"),
        (["patch", "hybrid"], "name is 'hybrid', which is there already, expected another one"),
        (["score", "ram"], "name is 'ram', which is there already"),
        (["task", "json"], "name is 'json', which is there already, expected another one such as my_json"),
    ],
)
def test_names_that_cannot_be(folder: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", *words]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
    assert tree(folder) == []


@pytest.mark.parametrize("there", ["own_patch.py", "run_own_patch.yaml", "test_own_patch.py"])
def test_nothing_is_overwritten(folder: Path, there: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / there).write_text("mine")
    assert main(["new", "patch", "own_patch"]) == 2
    assert f"new: {there} is there already, expected another name or --out" in capsys.readouterr().err
    assert tree(folder) == [there]


def test_configurations_are_read(folder: Path) -> None:
    for kind in KINDS:
        assert main(["new", kind, f"own_{kind}"]) == 0
        assert load_config(f"run_own_{kind}.yaml").evaluate.limit == 4
    assert registry.get("own_task").summary == "colour of a square"


@pytest.mark.slow  # whole runs
def test_tests_pass_and_runs_finish(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in KINDS:
        assert main(["new", kind, f"own_{kind}"]) == 0
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    tested = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=600)
    assert tested.returncode == 0, tested.stdout
    assert "13 passed" in tested.stdout
    for kind in KINDS:
        assert main(["run", f"run_own_{kind}.yaml", "--quiet"]) == 0, capsys.readouterr().err
        rows = read_json(folder / "results" / f"own_{kind}" / "leaderboard.json")["rows"]
        assert [row["selection"] for row in rows] == [None, "top", "random"]
    assert (
        main(["tasks", "validate", "own_task", "--include", "own_task_task", "--data-root", "own_task_task/data"]) == 0
    )
