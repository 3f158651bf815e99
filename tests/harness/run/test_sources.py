"""A run goes on only where what it was made from is what is there now: contents, not names, sizes or times."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import small_run
from changed_sources import CHANGES, again, contents, rewritten

from coreheads.files import read_json, read_jsonl, write_json
from coreheads.hashing import source_code

pytestmark = pytest.mark.slow  # whole runs, boards and pages


def cut(home: Path) -> None:
    """As a kill leaves it: some answers, no finished cell."""
    (home / "run/cells.jsonl").unlink()
    for path in (home / "run").glob("leaderboard.*"):
        path.unlink()
    for path in (home / "run/samples").iterdir():
        path.write_text(path.read_text().splitlines(keepends=True)[0])


@pytest.mark.parametrize("killed", [False, True], ids=["finished", "killed"])
@pytest.mark.parametrize("kind", CHANGES)
def test_what_has_changed_is_named(kind: str, killed: bool, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, named = CHANGES[kind]
    if killed:
        cut(home)
    change(home)
    stored = contents(home / "run")
    for arguments in ([], ["--dry-run"]):
        assert again(home, *arguments) == 2
        message = capsys.readouterr().err.strip()
        assert len(message.splitlines()) == 1, message
        assert f"{home / 'run'}: what this run was made from has changed: " in message
        assert named in message
        assert "--fresh" in message
    assert contents(home / "run") == stored
    assert not list(home.glob("run.*"))


def edited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: str) -> None:
    """Have the package's module say something else."""
    find = source_code._file
    (tmp_path / "edited.py").write_bytes(find(module).read_bytes() + b"\n# another rule\n")  # type: ignore[union-attr]
    monkeypatch.setattr(source_code, "_file", lambda name: tmp_path / "edited.py" if name == module else find(name))


@pytest.mark.parametrize(
    ("module", "named"),
    [
        ("coreheads.tasks.scoring.boxes", f"the code here of prompts and scores of task {small_run.REC};"),
        ("coreheads.tasks.mini.mmdocir", f"the code here of prompts and scores of task {small_run.PAGE};"),
        ("coreheads.tasks.lmms", "the code here of prompts and scores of task"),
        ("coreheads.adapters.prompt.rendering", "the code here that prompts, patches and asks of model small ("),
        ("coreheads.adapters.patches.ablate", "the code here that prompts, patches and asks of model small ("),
        ("coreheads.adapters.families.qwen3_vl", "the code here that prompts, patches and asks of model small ("),
    ],
)
def test_answers_of_other_code_are_not_mixed_with_todays(
    module: str,
    named: str,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    edited(monkeypatch, tmp_path, module)
    assert again(home) == 2
    message = capsys.readouterr().err.strip()
    assert named in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("module", ["coreheads.tasks.mlvu.scoring", "coreheads.adapters.families.internvl"])
def test_code_of_other_tasks_and_models_does_not_count(
    module: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited(monkeypatch, tmp_path, module)
    assert again(home, "--dry-run") == 0


def test_a_file_that_is_not_whole_is_said_before_anything_is_done(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next((home / "run/samples").glob("small__*"))
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    (home / "run/leaderboard.json").unlink()
    stored = contents(home / "run")
    for arguments in ([], ["--dry-run"]):
        assert again(home, *arguments) == 2
        assert "has 1 sample, cells.jsonl says that there are 2" in capsys.readouterr().err
    assert contents(home / "run") == stored


def test_what_only_looks_changed_goes_on(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in [*(home / "model").iterdir(), *(home / "data").rglob("*"), home / "heads.json"]:
        os.utime(path)
    (home / "model/README.md").write_text("another card")
    (home / "data/refcocog/.DS_Store").write_text("")
    assert again(home) == 0
    assert capsys.readouterr().err == ""


def test_a_run_of_an_older_version_goes_on_with_a_word(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = read_json(home / "run/manifest.json")
    made_from = manifest.pop("made_from")
    write_json(home / "run/manifest.json", manifest)
    assert again(home) == 0
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "was begun by an older version" in line
    assert read_json(home / "run/manifest.json")["made_from"] == made_from
    assert again(home, "--dry-run") == 0
    assert "older version" not in capsys.readouterr().out


def test_other_versions_of_packages_are_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = read_json(home / "run/manifest.json")
    manifest["invocations"][0]["versions"]["torch"] = "1.0"
    write_json(home / "run/manifest.json", manifest)
    assert again(home, "--dry-run") == 0
    assert "torch 1.0 then" in capsys.readouterr().out


def test_a_finished_run_without_its_checkpoint_and_data_says_so(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = read_json(home / "run/manifest.json")["made_from"]
    shutil.rmtree(home / "model")
    assert again(home) == 0
    assert "the checkpoint of small is not here" in capsys.readouterr().err
    assert read_json(home / "run/manifest.json")["made_from"] == before


def test_a_record_that_had_no_answer_may_be_mended(home: Path) -> None:
    def broken(row: dict[str, Any]) -> None:
        row["image"]["bytes"] = row["image"]["bytes"][: len(row["image"]["bytes"]) // 2]

    (path,) = home.glob("data/refcocog/data/test-*.parquet")
    whole, made = path.read_bytes(), 0

    def first(row: dict[str, Any]) -> None:
        nonlocal made
        if made == 0:
            broken(row)
        made += 1

    rewritten(path, first)
    assert again(home, "--fresh", "--set", "evaluate.limit=8") == 0
    names = list((home / "run/samples").glob(f"*{small_run.REC}__none.jsonl"))
    assert all(any("unscored" in line for line in read_jsonl(name)) for name in names)
    path.write_bytes(whole)
    assert again(home, "--set", "evaluate.limit=8") == 0
    assert all("unscored" in json.dumps(list(read_jsonl(name))) for name in names)
    assert all(not record.get("unscored") for record in last_cells(home))


def last_cells(home: Path) -> list[Any]:
    return list({record["name"]: record for record in read_jsonl(home / "run/cells.jsonl")}.values())
