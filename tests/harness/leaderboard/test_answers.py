"""Every answer with what was asked: as stored in the run, beside a board, and published."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import small_run
from PIL import Image

from coreheads.cli import main
from coreheads.errors import UserError
from coreheads.files import read_json, read_jsonl
from coreheads.leaderboard import answers, merge
from coreheads.leaderboard.publish import publish
from coreheads.leaderboard.rows import build_rows
from coreheads.store import asked
from coreheads.store.folder import RunFolder
from coreheads.tasks import registry
from coreheads.tasks.catalogue import TASKS


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> RunFolder:
    shutil.copytree(finished_run, tmp_path / "run")
    return RunFolder.load(tmp_path / "run")


def files(folder: Path) -> dict[str, Any]:
    return {found["task"]: found for found in map(read_json, sorted((folder / "answers").glob("*.json")))}


def shown(run: RunFolder, folder: Path) -> dict[str, Any]:
    """The files beside a board, without the board."""
    sources, _ = merge.read([run])
    answers.write(answers.of_sources(sources, sources[0].rows), folder)
    return files(folder)


def without_asked(run: RunFolder) -> RunFolder:
    """As an older version left it."""
    for name in ("asked", "answers"):
        shutil.rmtree(run.path / name)
    return RunFolder.load(run.path)


def test_a_run_keeps_what_it_asked(run: RunFolder, small_data: Path) -> None:
    for name in (small_run.REC, small_run.PAGE):
        task = registry.get(name)
        docs = {task.record_id(doc): doc for doc in task.records("test", 4, small_data)}
        records = asked.read(run.path, name)
        assert records.keys() == docs.keys()
        for key, record in records.items():
            assert record["question"] == task.query(docs[key])
            assert record["target"] == task.target(docs[key])
            assert record["prompt"].endswith(docs[key]["prompt"])
            (region,) = task.regions(docs[key])
            assert region.box is not None
            assert record["regions"] == [{"media": region.media, "box": list(region.box), "start": None, "end": None}]
            images = [part["url"] for part in task.messages(docs[key])[0]["content"] if part["type"] == "image"]
            assert record["of"] == len(images)
            assert 1 <= len(record["pictures"]) <= 3
            for entry in record["pictures"]:
                place = int(entry["label"].split()[1]) - 1 if len(images) > 1 else 0
                assert entry["boxes"] == ([list(region.box)] if place == region.media else [])
                with Image.open(asked.picture_path(run.path, entry["file"])) as picture:
                    assert picture.size == (entry["width"], entry["height"])
                    assert abs(picture.width / picture.height - images[place].width / images[place].height) < 0.02
            assert any(entry["boxes"] for entry in record["pictures"])


def test_every_answer_of_every_row_is_there(run: RunFolder, tmp_path: Path) -> None:
    rows, found = build_rows(run), shown(run, tmp_path / "board")
    assert list(found) == sorted({row["task"] for row in rows})
    stored = {name: run.samples(name).samples for name in run.cells()}
    for task, group in found.items():
        cells = [cell for row in rows if row["task"] == task for cell in row["cells"]]
        assert len(cells) == len(group["conditions"])
        dense = stored[cells[0]]
        assert group["total"] == len(group["samples"]) == len(dense)
        for place, cell in enumerate(cells):
            given = {}
            for sample in group["samples"]:
                answer = sample["answers"][place]
                if answer is not None:
                    line = stored[cell][sample["id"]]
                    assert answer[2] == (line["response"].split() != dense[sample["id"]]["response"].split())
                    given[sample["id"]] = (sample["texts"][answer[0]], answer[1])
            assert given == {key: (line["response"], line["score"]) for key, line in stored[cell].items()}
        for sample in group["samples"]:
            for picture in sample["pictures"]:
                assert (tmp_path / "board" / picture["src"]).read_bytes().startswith(b"\xff\xd8")
    assert {by["draw"] for by in found[small_run.REC]["conditions"]} == {None, 1, 2}
    # the same board in the run's own folder needs no second copy of the pictures
    own = shown(run, run.path)[small_run.REC]["samples"][0]["pictures"][0]["src"]
    assert own.startswith("asked/pictures/")
    assert not (run.path / "answers" / "pictures").exists() or not list((run.path / "answers" / "pictures").iterdir())


def test_a_run_of_an_older_version_has_a_board_that_says_what_is_missing(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = without_asked(run)
    for group in shown(old, tmp_path / "board").values():
        assert group["notes"] == [answers.OLD]
        assert {sample["question"] for sample in group["samples"]} == {None}
        assert any(answer for sample in group["samples"] for answer in sample["answers"])
    assert main(["leaderboard", str(old.path), "--out", str(tmp_path / "again"), "--asked"]) == 0
    assert "what was asked is not kept" not in capsys.readouterr().out
    assert all(not group["notes"] for group in files(tmp_path / "again").values())
    assert asked.read(old.path, small_run.REC)


def test_other_data_than_was_asked_is_not_shown(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without_asked(run)
    manifest = read_json(run.path / "manifest.json")
    for task in manifest["made_from"]["tasks"].values():
        task["records"]["test"] = dict.fromkeys(task["records"]["test"], "0" * 32)
    (run.path / "manifest.json").write_text(json.dumps(manifest))
    assert main(["leaderboard", str(run.path), "--out", str(tmp_path / "board"), "--asked"]) == 0
    assert "is another one here than the run was asked" in capsys.readouterr().out
    assert not (run.path / "asked").exists() or not asked.read(run.path, small_run.REC)


@pytest.mark.slow  # two boards
def test_pictures_are_published_where_the_licence_allows_it(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = asked.read(run.path, small_run.PAGE)
    first = next(iter(records.values()))
    first["pictures"], first["missing"] = [], "/home/ann/x/y.jpg: no such picture"
    asked.write(run.path, small_run.PAGE, records.values())
    publish([run], tmp_path / "ours")
    pages = {sample["id"]: sample for sample in files(tmp_path / "ours")[small_run.PAGE]["samples"]}
    assert pages[first["record_id"]]["missing"] == "y.jpg: no such picture"
    source = files(tmp_path / "ours")[small_run.REC]["samples"][0]["pictures"][0]["src"]
    assert source.startswith("runs/run/asked/pictures/")
    assert (tmp_path / "ours" / source).is_file()
    monkeypatch.setattr(registry, "get", lambda name: __import__("dataclasses").replace(TASKS[name], media_licence=""))
    publish([run], tmp_path / "theirs")
    for group in files(tmp_path / "theirs").values():
        for sample in group["samples"]:
            assert sample["question"]
            assert not sample["pictures"]
            assert "licence" in sample["missing"] or sample["missing"] == "y.jpg: no such picture"
    assert not list((tmp_path / "theirs").rglob("asked/pictures/*"))
    assert {name for name, task in TASKS.items() if task.media_licence} == {
        name for name, task in TASKS.items() if task.is_made
    }


@pytest.mark.slow  # two boards
def test_what_was_left_out_is_in_no_file(run: RunFolder, tmp_path: Path) -> None:
    said = {line["response"] for path in (run.path / "samples").iterdir() for line in read_jsonl(path)}
    publish([run], tmp_path / "site", responses=False, pictures=False)
    for group in files(tmp_path / "site").values():
        assert group["notes"] == [answers.WITHOUT]
        for sample in group["samples"]:
            assert not sample["pictures"]
            assert sample["missing"] == "the run was published without pictures"
            assert said.isdisjoint(sample["texts"])
            assert {answer[0] for answer in sample["answers"] if answer} == {None}
    # with another run beside it, which has its pictures
    shutil.copytree(run.path, tmp_path / "other")
    small_run.change_manifest(RunFolder.load(tmp_path / "other"), machine={"device": "cpu", "name": "x", "system": "y"})
    publish([RunFolder.load(tmp_path / "other")], tmp_path / "site")
    both = [read_json(path) for path in (tmp_path / "site" / "answers").glob("*.json")]
    assert {group["run"] for group in both} == {"run", "other"}
    for group in both:
        for sample in group["samples"]:
            assert bool(sample["pictures"]) == (group["run"] == "other")
            assert all((tmp_path / "site" / picture["src"]).is_file() for picture in sample["pictures"])


@pytest.mark.parametrize("damage", ["other picture", "no picture", "line"])
def test_damaged_folders(run: RunFolder, tmp_path: Path, damage: str) -> None:
    first = asked.read(run.path, small_run.REC)
    name = next(iter(first.values()))["pictures"][0]["file"]
    if damage == "other picture":
        asked.picture_path(run.path, name).write_bytes(b"\xff\xd8\xff something else")
    elif damage == "no picture":
        asked.picture_path(run.path, name).unlink()
    else:
        with asked.path_of(run.path, small_run.REC).open("a") as stream:
            stream.write('{"schema_version": 1, "record_id": "x", "pictures": [{"file": "../../x.jpg"}]}\n')
    if damage == "no picture":
        lost = [one for one in shown(run, tmp_path / "board")[small_run.REC]["samples"] if not one["pictures"]]
        assert {one["missing"] for one in lost} == {"the run's folder lacks them"}
    else:
        with pytest.raises(UserError, match="expected"):
            shown(run, tmp_path / "board")
