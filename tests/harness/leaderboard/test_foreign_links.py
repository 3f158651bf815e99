"""Links in somebody else's run or site, and what is no file at all: not followed, neither in nor out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small_run

from coreheads import limits
from coreheads.cli import main
from coreheads.files import read_bytes, read_json
from coreheads.leaderboard.build import write
from coreheads.leaderboard.publish import publish
from coreheads.opening import inside, open_file
from coreheads.report.example_files import Example, store
from coreheads.store.folder import RunFolder

SECRET = b"\xff\xd8 a private key"
SAMPLES = "samples/made-up__long_task__none.jsonl"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = small_run.fake_run(tmp_path_factory.mktemp("made") / "run").path
    store(run, Example("made-up", "long_task", "r1", "looks"), b"\xff\xd8 a picture")
    return run


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "run")


def link(place: Path, outside: Path) -> None:
    """What lies there now lies outside, and a link in its place."""
    if place.exists():
        place.rename(outside)
    else:
        place.parent.mkdir(exist_ok=True)
        outside.mkdir()
    place.symlink_to(outside)


def to_a_secret(place: Path, outside: Path) -> None:
    place.unlink(missing_ok=True)
    outside.write_bytes(SECRET)
    place.symlink_to(outside)


def in_a_circle(place: Path, outside: Path) -> None:
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    place.symlink_to(place)


def pipe(place: Path, outside: Path) -> None:
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    os.mkfifo(place)


def folder(place: Path, outside: Path) -> None:
    place.unlink()
    place.mkdir()


PICTURE = "figures/examples/made-up__long_task.jpg"
READ = ["manifest.json", "cells.jsonl", "timings.jsonl", SAMPLES, "heads/made-up.json"]
SHOWN = [PICTURE, PICTURE.replace(".jpg", ".json")]
FOLDERS = ["samples", "heads", "figures", "figures/examples"]
CASES = [
    *((name, link) for name in [*READ, *SHOWN, *FOLDERS]),
    *((name, in_a_circle) for name in (*READ, PICTURE, "figures/examples")),
    *((name, pipe) for name in READ),
    *((name, folder) for name in READ),
    (PICTURE, to_a_secret),
    (SAMPLES, to_a_secret),
]


@pytest.mark.parametrize(("name", "damage"), CASES, ids=lambda value: getattr(value, "__name__", value))
def test_runs_with_links(
    run: Path, tmp_path: Path, name: str, damage: Callable[[Path, Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    damage(run / name, tmp_path / "outside")
    commands = [["leaderboard", str(run), "--out", str(tmp_path / "out")], ["publish", str(run), "--to", "site"]]
    if "figures" not in name:
        commands.append(["check", str(run), "--baseline", str(tmp_path / "baseline.json"), "--update"])
    for command in commands:
        assert main([str(tmp_path / part) if part == "site" else part for part in command]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert line.startswith(f"error: {run}/")
    for path in (*(tmp_path / "out").rglob("*"), *(tmp_path / "site").rglob("*")):
        assert path.is_dir() or SECRET not in path.read_bytes()
    assert not (tmp_path / "baseline.json").exists()


@pytest.mark.parametrize("name", ["figures", "figures/examples", "answers", "answers/pictures", "asked"])
def test_a_board_is_not_written_through_a_link(run: Path, tmp_path: Path, name: str) -> None:
    link(run / name, tmp_path / "outside")
    before = sorted((tmp_path / "outside").rglob("*"))
    assert main(["leaderboard", str(run), "--out", str(run)]) == 2
    assert sorted((tmp_path / "outside").rglob("*")) == before


@pytest.fixture(scope="module")
def published(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("published") / "site"
    publish([RunFolder.load(made)], site)
    return site


STAGE = ".coreheads-publish-x"


@pytest.mark.parametrize(
    "name", ["runs", "runs/run", "figures", "answers", "history.json", STAGE, f"{STAGE}/old", "runs/run/samples"]
)
def test_sites_with_links(
    run: Path, published: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site = shutil.copytree(published, tmp_path / "site")
    if name.endswith("old"):
        (site / name).parent.mkdir()
    link(site / name, tmp_path / "outside")
    if name.startswith(STAGE):
        mine = tmp_path / "outside" / ("mine" if name.endswith("old") else "old/mine")
        mine.mkdir(parents=True)
    before = {path: path.is_dir() or path.read_bytes() for path in tmp_path.rglob("*")}
    small_run.change_manifest(RunFolder.load(run), command="a newer one")
    assert main(["publish", str(run), "--to", str(site)]) == 2
    assert "is a link" in capsys.readouterr().err
    after = {path: path.is_dir() or path.read_bytes() for path in tmp_path.rglob("*")}
    assert {path for path in before if path.name != "manifest.json" and after.get(path) != before[path]} == set()


@pytest.mark.parametrize("name", ["run.lock", "run.owner", "run.pid"])
@pytest.mark.parametrize("damage", [os.mkfifo, os.mkdir])
def test_what_is_in_the_place_of_a_lock(run: Path, name: str, damage: Callable[[Path], None]) -> None:
    damage(run / name)
    assert main(["run", "--quiet", "--out", str(run)]) == 2


def test_a_folder_that_is_a_link_is_the_users_own(run: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch").symlink_to(tmp_path)
    (tmp_path / "board").symlink_to(tmp_path / "site", target_is_directory=True)
    (tmp_path / "site").mkdir()
    board = write([RunFolder.load(tmp_path / "scratch" / "run")], tmp_path / "board")
    assert board["rows"]
    shutil.rmtree(tmp_path / "site")
    (tmp_path / "site").mkdir()
    publish([RunFolder.load(tmp_path / "scratch" / "run")], tmp_path / "board")
    assert (tmp_path / "site" / "index.html").exists()


def test_a_file_is_opened_without_a_link_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"[1]")
    (tmp_path / "a" / "link").symlink_to("b")
    (tmp_path / "a" / "b" / "link").symlink_to("file")
    assert read_json(tmp_path / "a" / "b" / "file", within=tmp_path) == [1]
    assert read_json(tmp_path / "a" / "link" / "file", within=tmp_path / "a" / "link") == [1]
    assert read_json(tmp_path / "a" / "b" / "link") == [1]  # the user's own
    for path in ("a/link/file", "a/b/link", "a/b/../b/file", "a/b/file/file"):
        with pytest.raises(Exception, match="is a link or leads out"):
            open_file(tmp_path / path, 100, tmp_path)
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path / "a" / "none" / "file", 100, tmp_path)
    assert inside(tmp_path, "a", "none") == tmp_path / "a" / "none"
    with pytest.raises(Exception, match="3 bytes, expected at most 2"):
        read_bytes(tmp_path / "a" / "b" / "file", 2, tmp_path)


@pytest.mark.parametrize(("name", "bound"), [("manifest.json", "STORED_BYTES"), (SAMPLES, "LINES_BYTES")])
def test_large_files_of_a_run(run: Path, name: str, bound: str, capsys: pytest.CaptureFixture[str]) -> None:
    with (run / name).open("r+b") as stream:
        stream.truncate(getattr(limits, bound) + 1)  # takes no room
    assert main(["check", str(run), "--baseline", str(run.parent / "b.json"), "--update"]) == 2
    assert f"expected at most {getattr(limits, bound):,}" in capsys.readouterr().err


def test_long_lines_of_a_run(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(limits, "LINE_BYTES", 200)
    with (run / SAMPLES).open("ab") as stream:
        stream.write(b" " * 300 + b"\n")
    assert main(["check", str(run), "--baseline", str(run.parent / "b.json"), "--update"]) == 2
    assert "has more than 200 bytes" in capsys.readouterr().err


@pytest.mark.parametrize(
    "cells",
    [
        {"selections": ["random"], "fractions": [0.1], "draws": 10**9},
        {"selections": ["top"], "fractions": [n / 10**6 for n in range(1, 10**6)]},
    ],
    ids=["draws", "fractions"],
)
def test_a_manifest_that_asks_for_cells_without_end(
    run: Path, tmp_path: Path, cells: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"profile": {"tasks": ["a"]}, "evaluate": {"tasks": ["b"]}, "cells": [{"patch": "ablate", **cells}]}
    small_run.change_manifest(RunFolder.load(run), config=config)
    assert main(["leaderboard", str(run), "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"{run}/manifest.json: config.cells: 1,0" in line
    assert "expected at most 50,000" in line
