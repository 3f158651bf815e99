"""Whatever a name, an answer, a file or a foreign folder says, no command's output steers a terminal or a CI system."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile
import pytest
import small_run
import trees
from profile_samples import random_profile

from coreheads.adapters.checkpoints import hub
from coreheads.bench.rows import rows_of
from coreheads.bench.text import draw, report
from coreheads.cli import main
from coreheads.cli.output import say
from coreheads.config.cells import Cell
from coreheads.files import read_json, write_json
from coreheads.store.folder import RunFolder
from coreheads.store.lock import locked
from coreheads.text import markdown

EVIL = "".join(hostile.TEXTS)
WHOLE = EVIL.replace("\ud83d", "")
"""Without half characters, which no run folder may hold in a name."""
NAME = "\n::error::x \x1b[31m[red]\u202e\b\r=1"
"""For a file or a folder."""

Command = Callable[..., str]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command: all that it says, in which nothing steers."""

    def run(*arguments: object, status: int | None = 0) -> str:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert not hostile.steering(captured.out)
        assert not hostile.steering(captured.err)
        assert status is None or code == status, captured
        return captured.out + captured.err

    return run


@pytest.mark.parametrize("text", hostile.TEXTS)
def test_a_line_stays_a_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(text, err=True)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert not hostile.steering(said)


@pytest.mark.parametrize("text", hostile.TEXTS)
def test_what_is_wrong(text: str, command: Command, tmp_path: Path) -> None:
    name = text.replace("\0", "").replace("/", "-")
    for wrong in (["tasks", name], ["run", f"{name}.yaml"], ["run", "--set", name], [name], ["run", f"--{name}"]):
        command(*wrong, status=None)
    command("leaderboard", tmp_path / name.encode("utf-8", "replace").decode(), "--out", tmp_path / "out", status=2)


def test_profiles(command: Command, tmp_path: Path) -> None:
    model = {"id": EVIL, "revision": EVIL, "model_type": EVIL, "layers": 6, "heads": 16, "kv_heads": 8}
    task = {"split": EVIL, "n": 10, "records_hash": "ab12", "skipped": {EVIL: 1}}
    paths = []
    for seed, name in enumerate((NAME, "other")):
        profile = random_profile(seed=seed)
        tasks = {f"{EVIL}{index}": task | {"mean": profile.mean.tolist()} for index in range(2)}
        more = {"model": model | {"id": f"{EVIL}{seed}"}, "tasks": tasks, "score": EVIL}
        paths.append(tmp_path / f"{name}.json")
        random_profile(seed=seed, **more, provenance=dict.fromkeys(("date", "dtype", "device"), EVIL)).save(paths[-1])
    shown = command("heads", "show", paths[0])
    assert "\\x1b[31mred" in shown
    assert command("heads", "show", paths[1]).count("\n") == shown.count("\n") > 20
    assert "Note: A and B differ in model.id" in command("heads", "compare", *paths)


def test_who_works_in_a_folder(command: Command, tmp_path: Path) -> None:
    run = small_run.fake_run(tmp_path / "run")
    content = {"models": [{"id": "tiny"}], "evaluate": {"tasks": [small_run.REC]}, "out": str(run.path)}
    path = small_run.write_config(tmp_path / "c.yaml", content)
    (run.path / "cells.jsonl").unlink()
    with locked(run.path):
        write_json(run.path / "run.owner", {"pid": 1, "host": WHOLE, "since": WHOLE})
        said = command("run", path, status=2)
    assert "process 1 on =HYPERLINK" in said
    assert len(said.splitlines()) == 1
    assert len(said) < 1000


def test_plans(command: Command, tmp_path: Path) -> None:
    random_profile().save(tmp_path / f"{NAME}.json")
    name = WHOLE.replace("\0", "")
    models = [
        {"id": "someone/something", "name": name, "heads": str(tmp_path / f"{NAME}.json")},
        {"id": "someone/other", "name": f"n{name}"},
    ]
    content = {"models": models, "profile": {"tasks": [small_run.REC]}, "evaluate": {"tasks": [small_run.REC]}}
    more = {"out": str(tmp_path / NAME), "device": "cpu\x1b[31m"}
    path = small_run.write_config(tmp_path / "c.yaml", content | more)
    assert "No estimate of time" in command("run", path, "--dry-run")


def test_data(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / NAME
    trees.mlvu_dev(folder)
    records = [
        trees.question("plotQA", f"{index}{text}".replace("\0", ""), [text]) for index, text in enumerate(hostile.TEXTS)
    ]
    write_json(folder / "mlvu_dev/MLVU/json/1_plotQA.json", records)
    command("tasks", "validate", "coreheads_mlvu_dev", "--data-root", folder, status=None)
    command("tasks", "coreheads_mlvu_dev", "--data-root", folder)


def test_models(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / NAME
    write_json(folder / "config.json", {"model_type": "qwen3_vl"})
    (folder / "a.safetensors").touch()
    monkeypatch.setattr(hub, "cached_models", lambda: [(EVIL, folder)])
    command("models")
    command("doctor", folder, status=None)


def test_benchmarks(tmp_path: Path) -> None:
    times = {"prefill": [3.0, 3.0], "decode": [0.1, 0.1], "vision": [], "preprocess": [], "end_to_end": [4.0, 4.0]}
    numbers: dict[str, Any] = {"context": 1024, "batch": 1, "fraction": 0.05, "sink": 4, "window": 64, "repeats": 2}
    names = dict.fromkeys(("model", "device", "weights", "dtype"), EVIL)
    condition: Any = numbers | names | {"selection": "top", "kv_bytes_ratio": 0.25, "peak_memory_ratio": None}
    rows = rows_of(condition, times, times, times, {})
    details: Any = {"kv_heads_full": {}, "heads": {}, "decode_tokens": 4, "contexts": []}
    assert not hostile.steering(report(rows, details))
    assert draw(rows, tmp_path / "bench.png") is not None


def test_warnings(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from coreheads.cli import tasks

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # as Python's own does, for which pytest's stands in
        monkeypatch.setattr(warnings, "showwarning", lambda *about: print(warnings.formatwarning(*about[:4]), end=""))
        monkeypatch.setattr(tasks, "_list", lambda *_: warnings.warn(EVIL, stacklevel=1))
        assert "warning: " in command("tasks")


@pytest.mark.slow  # boards with pages
def test_run_folders(command: Command, tmp_path: Path) -> None:
    run = small_run.fake_run(tmp_path / "run")
    common = {"model": WHOLE, "task": WHOLE}
    run.fail_cells([Cell(**common), Cell(**common, patch="ablate", selection="top", fraction=0.25)], f"Error: {WHOLE}")
    manifest = read_json(run.path / "manifest.json")
    manifest["config"]["models"].append({"id": WHOLE, "name": WHOLE})
    manifest["invocations"][0] |= {"command": WHOLE, "revision": WHOLE, "versions": {WHOLE: WHOLE}}
    manifest["invocations"][0]["machine"] |= {"name": WHOLE, "system": WHOLE}
    write_json(run.path / "manifest.json", manifest)
    random_profile(2, 4, model=small_run.profile().model | {"id": WHOLE}).save(run.heads_path("made-up"))
    command("leaderboard", run.path, "--out", tmp_path / NAME)
    command("publish", run.path, "--to", tmp_path / f"site{NAME}", "--title", WHOLE.replace("\0", ""))
    command("check", run.path, "--baseline", tmp_path / "baseline.json", "--update")
    for path in (run.path / "samples").iterdir():
        lines = [json.loads(line) | {"response": WHOLE, "score": 0.0} for line in path.open(encoding="utf-8")]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    command("check", run.path, "--baseline", tmp_path / "baseline.json", status=1)
    title = markdown(WHOLE.replace("\0", ""))
    assert f"\n# {title}\n" in (tmp_path / f"site{NAME}" / "README.md").read_text(encoding="utf-8")
    assert RunFolder.load(tmp_path / f"site{NAME}" / "runs" / "run").cells()
    for path in tmp_path.rglob("leaderboard.*"):
        found = hostile.steering(path.read_text(encoding="utf-8"))
        assert path.suffix == ".html" or not [what for what in found if "##" not in what]


def test_the_text_of_an_error_is_kept_line_by_line(tmp_path: Path) -> None:
    run = small_run.fake_run(tmp_path / "run")
    run.note_error("a cell", f"Traceback:\n  {EVIL}")
    (path,) = (run.path / "errors").iterdir()
    assert not hostile.steering(path.read_text(encoding="utf-8"))
