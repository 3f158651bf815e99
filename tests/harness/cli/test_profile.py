"""``coreheads profile``: what it writes, where it goes on, what it says of wrong words."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
import typer
from stand_in_profiles import Adapter, Task, docs, name_score, registry_of
from typer.testing import CliRunner

from coreheads.cli import profile as profile_command
from coreheads.errors import UserError
from coreheads.heads.profile import HeadProfile


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    name_score(monkeypatch)


def cli(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    """Output of ``coreheads profile stand-in ...`` with the stand-ins in the places of adapters and scores."""
    module = types.ModuleType("coreheads.adapters.checkpoints.adapter")
    module.load_adapter = lambda name, **settings: Adapter()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "coreheads.adapters.checkpoints.adapter", module)
    app = typer.Typer()
    app.command()(profile_command.command)
    result = CliRunner().invoke(
        app, ["stand-in", *([] if "--score" in arguments else ["--score", "stand_in"]), *map(str, arguments)]
    )
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_writes_a_profile_and_cleans_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    registry_of(monkeypatch, Task("a", docs(9)), Task("b", docs(9)))
    out = tmp_path / "new" / "heads.json"
    text = cli(monkeypatch, "--tasks", "a, b", "--samples", 5, "--out", out, "--normalization", "lift", "--seed", 3)
    profile = HeadProfile.load(out)
    assert [(name, task["n"]) for name, task in profile.tasks.items()] == [("a", 5), ("b", 5)]
    assert (profile.normalization, profile.provenance["seed"], profile.score) == ("lift", 3, "stand_in")
    assert f"Written: {out}" in text
    assert [path.name for path in out.parent.iterdir()] == ["heads.json"]
    cli(monkeypatch, "--tasks", "a", "--samples", 0, "--out", out)
    assert HeadProfile.load(out).tasks["a"]["n"] == 9


def test_the_command_resumes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    registry_of(monkeypatch, Task("a", docs(4)), Task("bad", docs(1, query="broken")))
    arguments = ("--out", tmp_path / "heads.json", "--tasks")
    with pytest.raises(UserError, match=r"task bad: all 1 records.*record bad-0"):
        cli(monkeypatch, *arguments, "a,bad")
    assert len((tmp_path / "heads.json.partial" / "a.jsonl").read_text().splitlines()) == 4
    monkeypatch.setattr(Adapter, "prepare", None)
    cli(monkeypatch, *arguments, "a")
    assert [path.name for path in tmp_path.iterdir()] == ["heads.json"]


def test_the_command_names_what_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    registry_of(monkeypatch, Task("a", docs(4)), Task("empty", []))
    with pytest.raises(UserError, match="task empty: split profile has no records"):
        cli(monkeypatch, "--tasks", "empty", "--out", tmp_path / "heads.json")
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="--normalization is 'max'"):
        cli(monkeypatch, "--tasks", "a", "--normalization", "max")
    with pytest.raises(UserError, match=r"--out is .*, a folder"):
        cli(monkeypatch, "--tasks", "a", "--out", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        cli(monkeypatch, "--tasks", "a", "--out", tmp_path / "file" / "heads.json")


def test_a_score_of_ones_own_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    registry_of(monkeypatch, Task("a", docs(4)))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "failing_score.py").write_text("def score(*_, **__):\n    return {}['head']\n")
    with pytest.raises(UserError) as caught:
        cli(monkeypatch, "--tasks", "a", "--score", "failing_score:score", "--out", tmp_path / "heads.json")
    said = "score 'failing_score:score' fails (KeyError: 'head'; failing_score.py line 2)"
    assert str(caught.value) == f"task a, record a-0: {said}"
