"""A run goes on only where what it was made from is what is there now: contents, not names, sizes or times."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import small_run
from PIL import Image

from coreheads.cli import main
from coreheads.files import read_json, read_jsonl, write_json
from coreheads.hashing import source_code
from coreheads.store.aside import kept_as
from coreheads.store.folder import RunFolder

pytestmark = pytest.mark.slow  # whole runs, boards and pages


@pytest.fixture(scope="module")
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


def again(home: Path, *more: str) -> int:
    return main(["run", str(home / "config.yaml"), "--quiet", *more])


def contents(folder: Path) -> dict[str, bytes]:
    names = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("run."))
    return {str(path.relative_to(folder)): path.read_bytes() for path in names}


def cut(home: Path) -> None:
    """As a kill leaves it: some answers, no finished cell."""
    (home / "run/cells.jsonl").unlink()
    for path in (home / "run").glob("leaderboard.*"):
        path.unlink()
    for path in (home / "run/samples").iterdir():
        path.write_text(path.read_text().splitlines(keepends=True)[0])


def keeping_times(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Another content of the same size with the same time of change."""
    about, data = path.stat(), path.read_bytes()
    path.write_bytes(changed := change(data))
    assert len(changed) == len(data)
    assert changed != data
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def other_weights(home: Path) -> None:
    keeping_times(home / "model/model.safetensors", lambda data: data[:-1] + bytes([data[-1] ^ 1]))


def other_settings(home: Path) -> None:
    path = home / "model/config.json"
    path.write_text(path.read_text().replace('"rope_theta"', '"rope_theto"', 1))


def other_template(home: Path) -> None:
    (path,) = home.glob("model/chat_template*")
    keeping_times(path, lambda data: data.replace(b"user", b"User", 1) if b"user" in data else data[::-1])


def other_tokens(home: Path) -> None:
    path = home / "model/tokenizer.json"
    path.write_text(path.read_text().replace("red-", "rad-", 1) + " ")


def other_heads(home: Path) -> None:
    about = read_json(home / "heads.json")
    about |= {name: [row[::-1] for row in about[name]] for name in ("mean", "ci_low", "ci_high")}
    write_json(home / "heads.json", about)


def rewritten(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    table = pq.read_table(path)
    rows = table.to_pylist()
    for row in rows:
        change(row)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def other_questions(home: Path, split: str = "test") -> None:
    def swap(row: dict[str, Any]) -> None:
        row["bbox"] = [side + 1 for side in row["bbox"]]

    rewritten(next(home.glob(f"data/refcocog/data/{split}-*.parquet")), swap)


def other_profile(home: Path) -> None:
    other_questions(home, "val")


def other_picture(home: Path) -> None:
    def repaint(row: dict[str, Any]) -> None:
        picture, data = Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB"), io.BytesIO()
        picture.putpixel((0, 0), (1, 2, 3))
        picture.save(data, "PNG")
        row["image"]["bytes"] = data.getvalue()

    rewritten(next(home.glob("data/refcocog/data/test-*.parquet")), repaint)


def other_pages(home: Path) -> None:
    def repaint(row: dict[str, Any]) -> None:
        data = io.BytesIO()
        Image.open(io.BytesIO(row["image_binary"])).convert("RGB").rotate(180).save(data, "PNG")
        row["image_binary"] = data.getvalue()

    rewritten(home / "data/mmdocir/test/MMDocIR_pages.parquet", repaint)


CHANGES = {
    "weights": (other_weights, "weights of model small ("),
    "configuration": (other_settings, "configuration of model small ("),
    "chat template": (other_template, "processor, tokenizer or chat template of model small ("),
    "tokenizer": (other_tokens, "processor, tokenizer or chat template of model given ("),
    "heads": (other_heads, "heads.json of model given ("),
    "questions": (other_questions, f"2 of 2 records of task {small_run.REC}, split test"),
    "questions of the profile": (other_profile, f"2 of 2 records of task {small_run.REC}, split profile"),
    "picture": (other_picture, f"2 of 2 records of task {small_run.REC}, split test"),
    "pages": (other_pages, f"2 of 2 records of task {small_run.PAGE}, split test"),
}


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
