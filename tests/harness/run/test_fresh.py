"""``--fresh`` begins a run anew: what was there is kept beside it, and nothing that is needed moves."""

from __future__ import annotations

from pathlib import Path

import pytest
from changed_sources import again, contents, other_weights

from coreheads.files import read_json
from coreheads.store.aside import kept_as
from coreheads.store.folder import RunFolder

pytestmark = pytest.mark.slow  # whole runs, boards and pages


def test_fresh_begins_anew_and_keeps_what_was_there(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other_weights(home)
    stored, unlocked = contents(home / "run"), {"run.owner", "run.pid"}
    assert again(home, "--fresh", "--dry-run") == 0
    assert f"would be kept in {home / 'run.before-1'}" in capsys.readouterr().out.replace("\n", "")
    assert contents(home / "run") == stored
    assert again(home, "--fresh") == 0
    assert str(home / "run.before-1") in capsys.readouterr().err
    assert contents(home / "run.before-1") == stored
    assert unlocked.isdisjoint(path.name for path in (home / "run.before-1").iterdir())
    assert len(read_json(home / "run/manifest.json")["invocations"]) == 1
    assert again(home, "--dry-run") == 0
    capsys.readouterr()
    assert kept_as(home / "run") == home / "run.before-2"
    RunFolder.load(home / "run.before-1")
    assert again(home, "--dry-run", "--out", str(home / "other")) == 0


def test_fresh_stays_on_the_disk_that_a_link_leads_to(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "disk").mkdir()
    (home / "run").rename(home / "disk/run")
    (home / "run").symlink_to(home / "disk/run")
    stored = contents(home / "disk/run")
    assert again(home, "--fresh") == 0
    assert str(home / "disk/run.before-1") in capsys.readouterr().err
    assert (home / "run").is_symlink()
    assert contents(home / "disk/run.before-1") == stored
    assert len(read_json(home / "disk/run/manifest.json")["invocations"]) == 1
    assert not list(home.glob("run.before-*"))


def test_fresh_moves_nothing_that_is_needed(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    heads = home / "run/heads/given.json"
    assert again(home, "--fresh", "--set", f"models.1.heads={heads}") == 2
    assert f"--fresh would move {heads} away" in capsys.readouterr().err
    monkeypatch.chdir(home / "run")
    assert again(home, "--fresh") == 2
    assert "this process's own folder" in capsys.readouterr().err
    assert not list(home.glob("run.before-*"))


def test_fresh_takes_a_folder_without_a_run_as_it_is(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "mine").mkdir()
    (home / "mine/thesis.tex").write_text("")
    assert again(home, "--fresh", "--out", str(home / "mine")) == 2
    assert "holds no run" in capsys.readouterr().err
    assert [path.name for path in home.glob("mine*")] == ["mine"]
