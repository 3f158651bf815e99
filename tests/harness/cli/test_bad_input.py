"""Hundreds of broken files through the command line: one clear line each, exit status 2, nothing overwritten."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hostile
import mutations
import pytest
import small_run
from hypothesis import given, settings
from hypothesis import strategies as st

from coreheads.cli import main
from coreheads.config.schema import default_path
from coreheads.files import read_json, read_jsonl

pytestmark = pytest.mark.slow  # whole runs, boards and pages

many = mutations.many
Command = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command: its exit status, and the lines on stderr. It says what is wrong, never where in the code."""

    def run(*arguments: str) -> tuple[int, list[str]]:
        status = main(list(arguments))
        captured = capsys.readouterr()
        lines = captured.err.strip().splitlines()
        assert "Traceback" not in captured.err + captured.out
        assert not hostile.steering(captured.err) + hostile.steering(captured.out)
        assert status in (0, 1, 2)
        if status == 2:
            assert lines, "nothing is said"
            assert all(line.startswith("error: ") for line in lines), lines
            assert all(len(line) < 2000 for line in lines)
            assert len(lines) < 60
        return status, lines

    return run


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return small_run.fake_run(tmp_path / "run").path


TREE = small_run.config(Path("nowhere/model"), Path("nowhere/data"), Path("nowhere/run"))
SHIPPED = default_path().read_bytes()


@many
@given(data=mutations.mutated_bytes(SHIPPED))
def test_configurations_of_broken_bytes(command: Command, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(data)
    status, _ = command("run", str(path), "--dry-run", "--out", str(tmp_path / "out"))
    assert status in (0, 2)
    assert list(tmp_path.iterdir()) == [path]


@many
@given(tree=mutations.mutated_tree(TREE))
def test_configurations_of_wrong_values(command: Command, tmp_path: Path, tree: Any) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(mutations.json_bytes(tree))  # JSON is YAML
    status, _ = command("run", str(path), "--dry-run")
    assert status in (0, 2)
    assert list(tmp_path.iterdir()) == [path]


@settings(many, max_examples=mutations.EXAMPLES // 6)
@given(text=st.one_of(st.text(max_size=20), st.sampled_from(["[" * 5000, "&a [*a]", "!!python/object:os.system x"])))
def test_changes_on_the_command_line(command: Command, text: str) -> None:
    for change in (text, f"evaluate.limit={text}", f"{text}=1", f"cells.0.params={text}", f"models.{text}=1"):
        command("run", "--dry-run", "--set", change)


BOMBS = {
    "aliases": "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)),
    "merged": "a0: &a0 {x: 1}\n"
    + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12)),
    "itself": "models: &m [*m]",
    "deep": "[" * 100_000,
    "deep mapping": "".join(f"{' ' * n}a:\n" for n in range(2000)),
    "code": "models: !!python/object/apply:os.system ['touch hacked']",
    "number": f"seed: {'9' * 10_000}",
    "hexadecimal number": f"seed: 0x{'f' * 9000}",
    "date": "seed: 2001-99-99",
    "binary": "out: !!binary /////w==",
    "set": "models: !!set {a, b}",
    "twice": "seed: 1\nseed: 2",
    "infinite": "seed: .inf",
    "keys": "1: 2",
    "two documents": "a: 1\n---\nb: 2",
    "merge": "<<: [1, 2]",
    "surrogate": 'out: "\\ud800"',
    "null byte": 'out: "a\\0b"',
    "null byte in a path": 'data_root: "a\\0b"\nmodels: [{id: "a\\0"}]\nevaluate: {tasks: [coreheads_refcocog]}',
    "long": f"out: {'x' * 5000}\nmodels: [{{id: tiny}}]\nevaluate: {{tasks: [coreheads_mini_refcocog]}}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_configurations_made_to_hurt(command: Command, tmp_path: Path, name: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(BOMBS[name])
    for more in ((), ("--dry-run",)):
        assert command("run", str(path), *more)[0] == 2
    assert list(tmp_path.iterdir()) == [path]


HEADS = small_run.profile().to_dict()
HEADS["split_half_shared"] = [0.5] * 8
HEADS["model"]["fingerprint"] = {"weights": "ab", "settings": "cd", "processor": "ef"}


@many
@given(
    data=st.one_of(
        mutations.mutated_tree(HEADS).map(mutations.json_bytes), mutations.mutated_bytes(json.dumps(HEADS).encode())
    )
)
def test_heads_files(command: Command, tmp_path: Path, data: bytes) -> None:
    path, good = tmp_path / "heads.json", tmp_path / "good.json"
    small_run.profile().save(good)
    path.write_bytes(data)
    assert command("heads", "show", str(path))[0] in (0, 2)
    assert command("heads", "compare", str(path), str(good))[0] in (0, 2)
    config = small_run.write_config(tmp_path / "c.yaml", TREE | {"models": [{"id": "tiny", "heads": str(path)}]})
    assert command("run", str(config), "--dry-run")[0] in (0, 2)
    assert path.read_bytes() == data


def test_a_heads_file_of_another_shape(command: Command, tmp_path: Path) -> None:
    small_run.profile().save(tmp_path / "a.json")
    small_run.profile([[0.1] * 4] * 3).save(tmp_path / "b.json")
    status, (line,) = command("heads", "compare", str(tmp_path / "a.json"), str(tmp_path / "b.json"))
    assert status == 2
    for fraction in ("0", "-0.1", "1.5", "nan", "inf"):
        status, (line,) = command("heads", "show", str(tmp_path / "a.json"), "--fraction", fraction)
        assert status == 2
        assert "above 0 and at most 1" in line


@many
@given(data=st.data())
def test_run_folders(command: Command, run: Path, tmp_path: Path, data: st.DataObject) -> None:
    """One file of a run folder is broken, and what reads run folders is called."""
    folder = tmp_path / "broken"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run, folder)
    sample = sorted(path.name for path in (run / "samples").iterdir())[0]
    name = data.draw(
        st.sampled_from(["manifest.json", "cells.jsonl", "timings.jsonl", f"samples/{sample}", "heads/made-up.json"])
    )
    path = folder / name
    if data.draw(st.booleans()):
        path.write_bytes(data.draw(mutations.mutated_bytes(path.read_bytes())))
    elif name.endswith(".jsonl"):
        lines = list(read_jsonl(path))
        place = data.draw(st.integers(0, len(lines) - 1))
        lines[place] = data.draw(mutations.mutated_tree(lines[place], values=mutations.STORED))
        path.write_bytes(b"\n".join(map(mutations.json_bytes, lines)) + b"\n")
    else:
        tree = data.draw(mutations.mutated_tree(read_json(path), values=mutations.STORED))
        path.write_bytes(mutations.json_bytes(tree))
    before = content(folder)
    status, _ = command("check", str(folder), "--baseline", str(tmp_path / "baseline.json"), "--update")
    assert status in (0, 2)
    assert content(folder) == before


@many
@given(data=st.data())
def test_what_is_well_formed_and_not_whole(command: Command, run: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Lines that are gone and keys that are there twice leave every line readable: each must be refused."""
    folder = tmp_path / "broken"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run, folder)
    sample = f"samples/{data.draw(st.sampled_from(sorted(path.name for path in (run / 'samples').iterdir())))}"
    files = ["manifest.json", "cells.jsonl", "timings.jsonl", sample, "heads/made-up.json"]
    path = folder / data.draw(st.sampled_from([sample, *files]))
    kinds = [mutations.repeated_key, *([mutations.lost_lines] if path.parent.name == "samples" else [])]
    path.write_bytes(data.draw(data.draw(st.sampled_from(kinds))(path.read_bytes())))
    status, lines = command("check", str(folder), "--baseline", str(tmp_path / "baseline.json"), "--update")
    assert status == 2
    assert str(path) in lines[0]


@pytest.fixture
def baseline(run: Path, tmp_path: Path) -> Path:
    assert main(["check", str(run), "--baseline", str(tmp_path / "whole.json"), "--update"]) == 0
    return tmp_path / "whole.json"


@settings(many, max_examples=mutations.EXAMPLES // 2)
@given(data=st.data())
def test_baselines(command: Command, run: Path, baseline: Path, tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "baseline.json"
    if data.draw(st.booleans()):
        content = read_json(baseline)
        for cell in content["cells"].values():  # else most changes would fall on samples
            cell["samples"] = {"r0": cell["samples"]["r0"]}
        path.write_bytes(mutations.json_bytes(data.draw(mutations.mutated_tree(content))))
        assert command("check", str(run), "--baseline", str(path))[0] in (0, 1, 2)
    else:
        path.write_bytes(data.draw(mutations.repeated_key(baseline.read_bytes())))
        assert command("check", str(run), "--baseline", str(path))[0] == 2


@settings(many, max_examples=mutations.EXAMPLES // 3)
@given(data=st.data())
def test_boards_of_broken_run_folders(command: Command, run: Path, tmp_path: Path, data: st.DataObject) -> None:
    folder = tmp_path / "broken"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run, folder)
    path = folder / data.draw(st.sampled_from(["manifest.json", "cells.jsonl", "timings.jsonl"]))
    lines = list(read_jsonl(path)) if path.suffix == ".jsonl" else [read_json(path)]
    place = data.draw(st.integers(0, len(lines) - 1))
    lines[place] = data.draw(mutations.mutated_tree(lines[place], most=1, values=mutations.STORED))
    path.write_bytes(b"\n".join(map(mutations.json_bytes, lines)) + b"\n")
    for line in (("leaderboard", str(folder), "--out", "board"), ("publish", str(folder), "--to", "site")):
        status, _ = command(*(str(tmp_path / part) if part in ("board", "site") else part for part in line))
        assert status in (0, 2)


def every(tree: Any, value: Any) -> Iterator[Any]:
    """The tree with one value replaced, in turn each but the later ones of a list."""
    for node, key in list(mutations.all_places(tree)):
        if not (isinstance(node, list) and key > 0):
            old, node[key] = node[key], value
            yield tree
            node[key] = old


@pytest.mark.parametrize("value", [[1], {"a": 1}, "\ud800", 10**400, 1.7e308, float("inf"), True], ids=ascii)
def test_each_value_of_a_run_folder(command: Command, run: Path, tmp_path: Path, value: Any) -> None:
    """The first cell with a fraction, the first timing, the manifest and the heads; what would have been found: lists
    for ``published`` and ``config.evaluate``, an infinity anywhere, half characters in names, a model that the manifest
    lacks, heads whose sum no float holds."""
    baseline = str(tmp_path / "baseline.json")
    for name in ("manifest.json", "cells.jsonl", "timings.jsonl", "heads/made-up.json"):
        path = run / name
        whole = path.read_bytes()
        lines = list(read_jsonl(path)) if path.suffix == ".jsonl" else [read_json(path)]
        for tree in every(lines[len(lines) > 1], value):
            lines[len(lines) > 1] = tree
            path.write_bytes(b"\n".join(map(mutations.json_bytes, lines)) + b"\n")
            assert command("check", str(run), "--baseline", baseline, "--update")[0] in (0, 2)
        path.write_bytes(whole)


@pytest.fixture
def odd_places(tmp_path: Path) -> Iterator[list[Path]]:
    """An empty file, a folder, a file that may not be read, a link to nowhere, one in a circle, a long name, a pipe."""
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    (tmp_path / "closed").write_bytes(b"{}")
    (tmp_path / "closed").chmod(0)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    os.mkfifo(tmp_path / "pipe")
    names = ("empty", "folder", "closed", "dangling", "circle", "pipe", "not-there", "x" * 300)
    yield [tmp_path / name for name in names]
    (tmp_path / "closed").chmod(0o600)


def test_something_else_in_a_files_place(command: Command, run: Path, odd_places: list[Path], tmp_path: Path) -> None:
    good = small_run.profile().save(tmp_path / "good.json")
    for path in odd_places:
        place = str(path)
        if path.name != "pipe":  # a configuration may come through a pipe
            assert command("run", place + ".yaml" if path.name == "not-there" else place, "--dry-run")[0] == 2
        assert command("heads", "show", place)[0] == 2
        assert command("heads", "compare", str(good), place)[0] == 2
        assert command("check", str(run), "--baseline", place)[0] == 2
        assert command("check", place, "--baseline", str(good))[0] == 2
        assert command("leaderboard", place, "--out", str(tmp_path / "board"))[0] == 2
        if path.name not in ("not-there", "folder"):
            assert command("run", "--quiet", "--out", place)[0] == 2, path.name
