"""Runs that others give for a board: a sound one passes, and whatever is wrong with one is told in a line."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coreheads import limits
from coreheads.check.submission import check_submission
from coreheads.cli import main
from coreheads.files import read_json, read_jsonl
from coreheads.leaderboard.publish import submit
from coreheads.store.folder import RunFolder
from coreheads.store.submission import contents

REC = "coreheads_mini_refcocog"
PICTURE = {"file": f"{'0' * 24}.jpg", "label": "", "width": 1, "height": 1, "boxes": []}
Damage = Callable[[Path], object]


@pytest.fixture(scope="module")
def sound(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("submissions") / "mine"
    submit(RunFolder.load(finished_run), folder, {"who": "Ada L.", "contact": "https://example.org/ada"})
    return folder


@pytest.fixture
def mine(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound, tmp_path / "submissions" / "mine")
    return tmp_path / "submissions" / "mine"


def edit(name: str, change: Callable[[Any], object]) -> Damage:
    """Change the content of a JSON file."""

    def damage(folder: Path) -> None:
        content = read_json(folder / name)
        change(content)
        (folder / name).write_text(json.dumps(content))

    return damage


def lines(name: str, change: Callable[[list[Any]], object]) -> Damage:
    """Change the lines of a file; name: a pattern, of which the first file is meant."""

    def damage(folder: Path) -> None:
        path = sorted(folder.glob(name))[0]
        content = list(read_jsonl(path))
        change(content)
        path.write_text("".join(json.dumps(line) + "\n" for line in content))

    return damage


def write(name: str, data: bytes) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)

    return damage


def link(name: str, target: str) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / name
        if path.is_dir():
            path.rename(folder.parent / "elsewhere")
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    return damage


def huge(folder: Path) -> None:
    with (folder / "cells.jsonl").open("r+b") as stream:
        stream.truncate(limits.STORED_BYTES + 1)


def other_samples(folder: Path) -> None:
    """Two cells have changed places."""
    one, two = sorted(path for path in folder.glob(f"samples/*{REC}*") if "draw" not in path.name)[:2]
    spare = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(spare)


def better(folder: Path) -> None:
    """Every answer of the dense model on one task is right, and everything that is stored of it says so."""
    name = f"small__{REC}__none"
    path = folder / "samples" / f"{name}.jsonl"
    samples = [line | {"score": 1.0, "scores": line["scores"] | {"acc_0.5": 1.0}} for line in read_jsonl(path)]
    path.write_text("".join(json.dumps(line) + "\n" for line in samples))
    lines("cells.jsonl", lambda cells: [cell.update(score=1.0) for cell in cells if cell["name"] == name])(folder)
    renew(folder)


def renew(folder: Path) -> None:
    """Fingerprints of what the files say now, as somebody writes them who knows how."""
    parts = contents(RunFolder.load(folder))
    edit("submission.json", lambda record: record.update(contents=parts))(folder)


def another_process(manifest: dict[str, Any]) -> None:
    again = json.loads(json.dumps(manifest["invocations"][0]))
    again["versions"]["torch"] = "1.0"
    manifest["invocations"].append(again)


def first(**changes: Any) -> Callable[[list[Any]], object]:
    return lambda content: content[0].update(changes)


def at(*keys: Any, value: Any) -> Callable[[Any], object]:
    """Set a value deep in a JSON file; ``...`` takes it out."""

    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        if value is ...:
            del content[keys[-1]]
        else:
            content[keys[-1]] = value

    return change


HOSTILE: list[tuple[str, Damage, str]] = [
    ("a traversal name", lines("cells.jsonl", first(name="../../x")), r"cells.jsonl: line 1: name is '../../x'"),
    ("an absolute name", lines("timings.jsonl", first(name="/etc/x")), r"timings.jsonl: line 1: name is '/etc/x'"),
    ("a link", link("timings.jsonl", "/etc/passwd"), r"timings.jsonl: is a link, expected a file"),
    ("a link to a folder", link("samples", "../elsewhere"), r"samples: is a link"),
    ("a pipe", lambda folder: os.mkfifo(folder / "samples" / "x.jsonl"), r"x.jsonl: is a pipe, expected a file"),
    ("a huge file", huge, r"cells.jsonl: has 67,108,865 bytes, expected at most 67,108,864"),
    ("wrong UTF-8", write("cells.jsonl", b'{"name": "\xff"}\n'), r"cells.jsonl: line 1 is not JSON"),
    ("wrong UTF-8 in the manifest", write("manifest.json", b"\xff\xfe{}"), r"manifest.json: is not JSON"),
    ("lists without end", write("submission.json", b"[" * 100_000), r"submission.json: is not JSON"),
    ("a page of its own", write("index.html", b"<script>"), r"index.html: is no file of this run"),
    ("a hidden file", write(".env", b"x"), r"\.env: is no file of this run"),
    ("samples of no cell", write("samples/x.jsonl", b""), r"x.jsonl: is no file of this run"),
    ("another name", lambda f: (f / "heads" / "small.json").rename(f / "heads" / "x.json"), r"x.json: is no file of"),
    ("altered scores", lines(f"samples/*{REC}__none.jsonl", first(score=0.5)), r"1 of 4 samples have another score"),
    ("better scores everywhere", better, r"record .*: score.* is 1, its answer .* makes 0"),
    ("altered answers", lines("samples/*none.jsonl", first(response="anything")), r"contents.samples|makes"),
    ("altered heads", lines("cells.jsonl", lambda cells: cells[1].update(heads=[[0, 0]] * 4)), r"heads are"),
    ("an altered profile", edit("heads/small.json", at("mean", 0, 0, value=0.99)), r"small.json: mean is not the mean"),
    ("heads of another model", edit("heads/small.json", at("model", "fingerprint", "weights", value="0" * 64)),
     r"small.json: model.fingerprint.weights is not that of the answers"),
    ("mixed versions", edit("manifest.json", another_process), r"invocations have torch .* and 1.0, expected one"),
    ("mixed cells", other_samples, r"expected|contents"),
    ("a cell fewer", lines("cells.jsonl", lambda cells: cells.pop(2)), r"is missing, expected every cell that config"),
    ("a sample fewer", lines("samples/*none.jsonl", lambda c: c.pop()), r"has 3 samples, cells.jsonl says"),
    ("counts that are none", lines("cells.jsonl", first(empty=7)), r"empty is 7, its samples make 0"),
    ("a setting fewer", edit("manifest.json", at("config", "timing", value=...)), r"config.timing is missing"),
    ("no tasks", edit("manifest.json", at("config", "evaluate", value=...)), r"config: evaluate is missing"),
    ("a shorter limit", edit("manifest.json", at("config", "evaluate", "limit", value=3)), r"another cell than config"),
    ("no fingerprint", edit("manifest.json", at("made_from", "models", "small", "code", value=...)),
     r"made_from.models.small.code is None, expected a SHA-256"),
    ("another code", edit("manifest.json", at("made_from", "models", "small", "code", value="0" * 64)),
     r"submission.json: contents.code is"),
    ("other records", edit("manifest.json", lambda m: m["made_from"]["tasks"][REC]["records"]["test"].update(
        dict.fromkeys(m["made_from"]["tasks"][REC]["records"]["test"], "0" * 32))), r"record .* is another one here"),
    ("no fingerprints", edit("manifest.json", at("made_from", value=...)), r"made_from is missing"),
    ("a run as it was made", edit("manifest.json", at("published", value=...)), r"mine: is a run as it was made"),
    ("an altered question", lines("asked/*.jsonl", first(question="another")), r"submission.json: contents.asked is"),
    ("pictures", lines("asked/*.jsonl", first(pictures=[PICTURE])), r"jsonl: names pictures, expected none"),
    ("a picture", write("asked/x.jpg", b"\xff\xd8\xff"), r"x.jpg: is no file of this run"),
    ("a path", edit("manifest.json", at("config", "data_root", value="/home/ada/data")), r"'/home/ada/data', a path"),
    ("a token", edit("manifest.json", at("invocations", 0, "command", value="x --token hf_abcdefghij12")),
     r"invocations.0.command holds .*, a path or a secret"),
    ("an unknown task", edit("manifest.json", lambda m: m["config"]["evaluate"]["tasks"].append("none")),
     r"config.evaluate.tasks has 'none', which is not known here"),
    ("times of elsewhere", lines("timings.jsonl", first(device="H100")), r"device is 'H100', expected a machine of"),
    ("nobody", lambda folder: (folder / "submission.json").unlink(), r"submission.json: no such file, expected what"),
    ("a name of two lines", edit("submission.json", at("who", value="Ada\n# Eve")), r"submission.json: who is"),
    ("a name that turns", edit("submission.json", at("who", value="Ada \u202e")), r"submission.json: who is"),
    ("a script", edit("submission.json", at("contact", value="javascript:alert(1)")), r"contact is 'javascript:alert"),
    ("more than is known", edit("submission.json", at("rank", value=1)), r"submission.json: rank is not a known field"),
    ("another's run", lambda folder: shutil.copytree(folder, folder.parent / "theirs"), r"is the run that theirs is"),
]  # fmt: skip


def test_a_sound_one_passes(mine: Path, small_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--submission", str(mine), "--data-root", str(small_data)]) == 0
    out = capsys.readouterr().out
    assert re.fullmatch(rf"ok: {mine}: 8 rows on 2 tasks by Ada L\., 32 answers scored again\n", out)


@pytest.mark.parametrize(("damage", "message"), [entry[1:] for entry in HOSTILE], ids=[entry[0] for entry in HOSTILE])
def test_what_is_wrong_is_told_in_lines(
    mine: Path, small_data: Path, damage: Damage, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(mine)
    assert main(["check", "--submission", str(mine), "--data-root", str(small_data), "--github"]) == 1
    said = capsys.readouterr()
    told = [line for line in said.out.splitlines() if not line.startswith("::")]
    assert all(line.startswith(str(mine)) for line in told), told
    assert any(re.search(message, line) for line in told), told
    assert f"{len(told)} finding" in said.err
    assert said.out.count("::error title=coreheads check::") == min(len(told), 10)


def test_too_many_files(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SUBMISSION_FILES", 5)
    assert "has more than 5 files" in check_submission(mine).findings[0]


def test_too_many_bytes(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SUBMISSION_BYTES", 1000)
    assert "bytes in all, expected at most 1,000" in check_submission(mine).findings[0]


def test_nothing_of_it_is_run(mine: Path, small_data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It may name a module that lies where the check is made."""
    (tmp_path / "evil_module.py").write_text("open('was-run', 'w').close()")
    monkeypatch.chdir(tmp_path)
    evil = {"patch": "evil_module:Evil", "params": {}, "selections": ["top"], "fractions": [0.25]}
    edit("manifest.json", lambda m: m["config"]["cells"].append(m["config"]["cells"][0] | evil))(mine)
    edit("manifest.json", at("config", "include", value=["."]))(mine)
    edit("manifest.json", at("config", "profile", "score", value=["ram", "evil_module:evil"]))(mine)
    findings = check_submission(mine, small_data).findings
    assert any("plugins.patch evil_module:Evil is None" in line for line in findings)
    assert any("plugins.score evil_module:evil is None" in line for line in findings)
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--submission", "nowhere"], "nowhere: no such folder, expected a submission"),
        (["--submission", "nowhere", "--baseline", "x.json"], "--baseline: cannot be given with --submission"),
        (["a"], "check: 1 runs and --baseline None, expected one run and a baseline file"),
        (["a", "b", "--baseline", "x.json"], "check: 2 runs"),
        (["a", "--baseline", "x.json", "--data-root", "x"], "are for --submission, which is not given"),
    ],
)
def test_what_cannot_be_asked(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *words]) == 2
    assert message in capsys.readouterr().err
