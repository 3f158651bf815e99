"""Run folders that somebody else has made: nothing they name leads out of them, and nothing is taken on trust."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small_run

from coreheads.cli import main
from coreheads.config.cells import Cell
from coreheads.errors import UserError
from coreheads.files import append_jsonl, read_json, read_jsonl
from coreheads.store.folder import RunFolder

CELL = Cell("m", "t").to_json()
TIMES = small_run.timing(Cell("m", "t"), 2.0)["times"]
FEWER = {name: values[:5] for name, values in TIMES["patched"].items()}
MANY = {name: values * 10_000 for name, values in TIMES["dense"].items()}
DEEP: Any = 1
for _ in range(300):
    DEEP = [DEEP]
OUTSIDE = ["../../secret", "/etc/passwd", "..", ".", "", "a/b", "a\\b", "a\0b", "x" * 300, "ä", "-", ".hidden", 7, None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_run.fake_run(tmp_path / "run").path


def commands(folder: Path) -> list[list[str]]:
    out = folder.parent
    return [
        ["leaderboard", str(folder), "--out", str(out / "board")],
        ["check", str(folder), "--baseline", str(out / "baseline.json"), "--update"],
    ]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("file", ["cells.jsonl", "timings.jsonl"])
def test_names_that_are_no_file_names(folder: Path, file: str, name: Any, capsys: pytest.CaptureFixture[str]) -> None:
    lines = list(read_jsonl(folder / file))
    append_jsonl(folder / file, lines[0] | {"name": name})
    for command in commands(folder):
        assert main(command) == 2
        message = capsys.readouterr().err.strip()
        assert message.startswith(f"error: {folder / file}: line {len(lines) + 1}: name is ")
        assert len(message.splitlines()) == 1
    assert {path.name for path in folder.parent.iterdir()} == {"run"}


def test_names_are_checked_wherever_paths_are_made(folder: Path) -> None:
    run = RunFolder.load(folder)
    for name in OUTSIDE:
        with pytest.raises(UserError, match="expected a name"):
            run.samples(name)  # type: ignore[arg-type]
        if isinstance(name, str):
            assert run.heads_path(name).parent == folder / "heads"
    with pytest.raises(UserError, match="leads out"):
        run.path_of("..", "elsewhere")


@pytest.mark.parametrize("inside", ["samples", "heads", "figures", "errors", "cells.jsonl", "manifest.json"])
def test_links_that_lead_out_are_not_followed(folder: Path, inside: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    place = folder / inside
    if place.exists():
        place.rename(outside)
    else:
        outside.mkdir()
    place.symlink_to(outside)
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    config = {"models": [{"id": "made-up", "name": "made-up"}], "device": "cpu"}
    with pytest.raises(UserError, match="leads out of the run folder"), RunFolder.open(folder, config):
        pytest.fail("was opened")
    assert {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()} == before


def test_one_sample_file_that_is_a_link(folder: Path, tmp_path: Path) -> None:
    path = sorted((folder / "samples").iterdir())[0]
    path.rename(tmp_path / "elsewhere.jsonl")
    path.symlink_to(tmp_path / "elsewhere.jsonl")
    with pytest.raises(UserError, match="leads out"):
        RunFolder.load(folder).samples(path.stem)


def change(path: Path, number: int, edit: Callable[[dict[str, Any]], object]) -> None:
    lines = list(read_jsonl(path))
    edit(lines[number])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize(
    ("file", "field", "value", "expected"),
    [
        ("cells.jsonl", "n", -1, "n is -1"),
        ("cells.jsonl", "n", "20", "n is '20'"),
        ("cells.jsonl", "heads", [[1]], "heads.0"),
        ("cells.jsonl", "metric", None, "metric is None"),
        ("cells.jsonl", "score", float("nan"), "score is nan"),
        ("cells.jsonl", "cell", {}, "cell.model is missing, expected a cell written by coreheads run"),
        ("cells.jsonl", "cell", CELL | {"model": 1}, "cell.model"),
        ("cells.jsonl", "cell", CELL | {"params": {"a": [1]}}, "cell.params"),
        ("cells.jsonl", "cell", CELL | {"selection": "topp"}, "cell.selection is 'topp'"),
        ("cells.jsonl", "cell", CELL | {"heads": [[1]]}, "cell.heads"),
        ("cells.jsonl", "cell", CELL | {"more": 1}, "cell.more is not a known field (did you mean 'model'?)"),
        ("cells.jsonl", "cell", CELL | {"model": "m"}, "cell.model is 'm', expected a model of manifest.json"),
        ("cells.jsonl", "cell", CELL | {"selection": "top"}, "expected a cell with a fraction, which selection top"),
        ("cells.jsonl", "cell", CELL | {"selection": "top", "fraction": 1.7e308}, "cell.fraction is 1.7e+308"),
        ("cells.jsonl", "extra", {"a": [float("inf")]}, "extra.a[0] is inf, expected a finite number"),
        ("cells.jsonl", "extra", DEEP, "101 lists and objects within each other, expected at most 100"),
        ("cells.jsonl", "schema_version", True, "schema_version is True"),
        ("cells.jsonl", "schema_version", 2, "schema_version is 2"),
        ("timings.jsonl", "times", {"dense": {}}, "times.dense"),
        ("timings.jsonl", "times", {**TIMES, "patched": FEWER}, "expected dense, patched and ceiling repeated equally"),
        ("timings.jsonl", "times", {**TIMES, "ceiling": FEWER}, "expected dense, patched and ceiling repeated equally"),
        ("timings.jsonl", "times", {**TIMES, "dense": MANY}, "expected at most 10000 items"),
        ("timings.jsonl", "repeats", 1.5, "repeats is 1.5"),
        ("timings.jsonl", "device", None, "device is None"),
    ],
)
def test_fields_that_are_not_as_written(
    folder: Path, file: str, field: str, value: Any, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(folder / file, 0, lambda line: line.update({field: value}))
    for command in commands(folder):
        assert main(command) == 2
        message = capsys.readouterr().err.strip()
        assert f"{file}: line 1" in message
        assert expected in message
        assert len(message.splitlines()) == 1


def test_a_manifest_that_is_not_as_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = read_json(folder / "manifest.json")
    config, (start,) = whole["config"], whole["invocations"]
    cores = start | {"machine": start["machine"] | {"cores": float("inf")}}
    for broken in (
        *([], {}, whole | {"invocations": [{}]}, whole | {"config": {"models": "x"}}, whole | {"config": 3}),
        *(whole | {"published": value} for value in ([1], "x", 1, {})),
        *(whole | {"config": config | {"evaluate": value}} for value in ([1], "x", 1)),
        *(whole | {"config": config | {"options": value}} for value in ([1], "x", 1)),
        *(whole | {"config": config | {"more": value}} for value in (DEEP, float("inf"))),
        whole | {"invocations": [cores]},
        whole | {"config": config | {"models": config["models"] * 1001}},
    ):
        (folder / "manifest.json").write_text(json.dumps(broken))
        for command in commands(folder):
            assert main(command) == 2
            assert "manifest.json" in capsys.readouterr().err


@pytest.mark.slow
def test_reading_a_run_changes_nothing(folder: Path, tmp_path: Path) -> None:
    for path in (folder / "cells.jsonl", sorted((folder / "samples").iterdir())[0]):
        small_run.append_half_line(path)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for command in commands(folder):
        assert main(command) == 0
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_finished_cell_without_its_samples(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sorted((folder / "samples").iterdir())[0]
    path.unlink()
    for command in commands(folder):
        assert main(command) == 2
        assert f"{path}: has no sample, cells.jsonl says that there are 20" in capsys.readouterr().err


@pytest.mark.parametrize("place", [0, 7, -1])
def test_a_sample_file_cut_at_a_lines_end(folder: Path, place: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Whichever line is gone: the cell says how many there were."""
    path = sorted((folder / "samples").iterdir())[0]
    lines = path.read_text().splitlines(keepends=True)
    del lines[place]
    path.write_text("".join(lines))
    commanded = [*commands(folder), ["publish", str(folder), "--to", str(folder.parent / "site")]]
    for command in commanded:
        assert main(command) == 2
        assert f"{path}: has 19 samples, cells.jsonl says that there are 20; put" in capsys.readouterr().err
    assert {path.name for path in folder.parent.iterdir()} == {"run"}


def test_a_sample_file_without_its_unscored_ones(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A cell that is asked again for what could not be scored is whole in between, and is not where a line is gone."""
    change(folder / "cells.jsonl", 0, lambda line: line.update(n=18, unscored=2, score=16 / 18))
    path = folder / "samples" / f"{next(read_jsonl(folder / 'cells.jsonl'))['name']}.jsonl"
    lines = list(read_jsonl(path))
    reasons = [{"schema_version": 1, "record_id": f"u{number}", "unscored": "a broken picture"} for number in range(2)]
    for kept, status in ((18, 0), (19, 0), (20, 0), (17, 2)):
        path.write_text("".join(json.dumps(line) + "\n" for line in [*lines[:kept], *reasons[: max(0, 20 - kept)]]))
        assert main(commands(folder)[1]) == status
    assert "has 17 samples and 2 unscored, cells.jsonl says that there are 18 and 2 unscored" in capsys.readouterr().err
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines[:18], reasons[0]]))
    assert main(commands(folder)[1]) == 2


@pytest.mark.parametrize("file", ["cells.jsonl", "timings.jsonl", "samples", "manifest.json", "heads/made-up.json"])
@pytest.mark.parametrize("inner", [False, True])
def test_a_key_that_is_there_twice(folder: Path, file: str, inner: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Also in the last line of a file that ends without a line break, and within an object of a line."""
    path = sorted((folder / "samples").iterdir())[0] if file == "samples" else folder / file
    text = path.read_text().rstrip("\n")
    start = text.rindex('{"schema_version"') if path.suffix == ".jsonl" else 0
    within = {"samples": '"scores": {', "cells.jsonl": '"cell": {', "timings.jsonl": '"times": {'}.get(file, '"model')
    at = text.index("{", text.index(within, start) if inner else start) + 1
    path.write_text(f'{text[:at]}"a": 1, "a": 2, {text[at:]}')
    for command in commands(folder):
        assert main(command) == 2
        message = capsys.readouterr().err.strip()
        assert str(path) in message
        assert "'a' is there twice in one object" in message
        assert len(message.splitlines()) == 1
