"""Publishing: a site that holds what its board is made of, keeps its history, and nothing of the machine."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small_run
import yaml
from small_run import change_manifest, on

from coreheads.cli import main
from coreheads.config.cells import Cell
from coreheads.errors import UserError
from coreheads.files import read_json, read_jsonl
from coreheads.leaderboard import publish as publishing
from coreheads.leaderboard.build import build
from coreheads.leaderboard.publish import publish
from coreheads.leaderboard.redact import Shortener
from coreheads.report.example_files import Example, store
from coreheads.store.folder import RunFolder
from coreheads.store.lock import locked

pytestmark = pytest.mark.slow  # whole runs, boards and pages


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def again(path: Path, speedup: float) -> RunFolder:
    """The same run, gone further."""
    shutil.rmtree(path)
    return small_run.fake_run(path, speedup)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones and locks aside."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def test_a_site_is_complete_and_can_be_built_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = small_run.fake_run(tmp_path / "run")
    store(run.path, Example("made-up", "coreheads_mini_refcocog", "r1", "a caption"), b"jpeg")
    assert main(["publish", str(run.path), "--to", str(tmp_path / "site"), "--title", 'It\'s: "a" #board']) == 0
    site = tmp_path / "site"
    assert "10 rows of 1 run:" in capsys.readouterr().out
    assert {path.name for path in site.iterdir() if path.suffix != ".lock"} == {
        "index.html", "README.md", "history.json", "runs", "figures", "answers",
        "leaderboard.json", "leaderboard.csv", "leaderboard.md",
    }  # fmt: skip
    front = yaml.safe_load((site / "README.md").read_text().split("---\n")[1])
    assert front["title"] == 'It\'s: "a" #board'
    assert (front["sdk"], front["app_file"], front["license"]) == ("static", "index.html", "apache-2.0")
    assert read_json(site / "leaderboard.json")["rows"] == plain(build([run])["rows"])
    assert "data:image/jpeg" in (site / "index.html").read_text()
    published = RunFolder.load(site / "runs" / "run")
    assert plain(build([published])["rows"]) == plain(build([run])["rows"])
    assert main(["leaderboard", str(published.path), "--out", str(tmp_path / "board")]) == 0


def test_publications_add_up_and_replace(tmp_path: Path) -> None:
    site = tmp_path / "site"
    first = small_run.fake_run(tmp_path / "a" / "run")
    second = on(change_manifest(small_run.fake_run(tmp_path / "b" / "run", 3)), "another CPU")
    publish([first], site)
    (site / "README.md").write_text("mine")
    (site / "notes.txt").write_text("mine, too")
    board = publish([second], site)
    # both were called run
    assert [run["name"] for run in board["runs"]] == ["run", "run-2"]
    assert len(board["rows"]) == 20
    board = publish([again(first.path, 5)], site)
    assert len(board["rows"]) == 20
    speeds = {row["run"]: row["prefill_speedup"] for row in board["rows"] if (row["prefill_speedup"] or 1) > 1}
    assert speeds == {"run": pytest.approx(5), "run-2": pytest.approx(3)}
    entries = read_json(site / "history.json")["publications"]
    assert [(entry["run"], entry["replaced"], entry["rows"]) for entry in entries] == [
        ("run", False, 10), ("run-2", False, 10), ("run", True, 10),
    ]  # fmt: skip
    assert (site / "README.md").read_text() == "mine"
    assert (site / "notes.txt").read_text() == "mine, too"
    assert [path.name for path in site.glob(".*")] == [".coreheads-publish.lock"]


def test_a_newer_run_of_the_machine_counts_and_the_older_is_kept(tmp_path: Path) -> None:
    site = tmp_path / "site"
    publish([small_run.fake_run(tmp_path / "one")], site)
    newer = change_manifest(small_run.fake_run(tmp_path / "two", 3), started="2026-03-03T00:00:00+00:00")
    board = publish([newer], site)
    assert {row["run"] for row in board["rows"]} == {"two"}
    assert len(board["left_out"]) == 10
    assert (site / "runs" / "one" / "cells.jsonl").exists()
    assert "run two is newer and has it" in (site / "index.html").read_text()


SLOW = [pytest.param(broken, marks=pytest.mark.slow) for broken in ("board", "copy", "page")]


@pytest.mark.parametrize("broken", ["move", *SLOW])
def test_what_fails_leaves_the_old_site_as_it_was(tmp_path: Path, broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    publish([small_run.fake_run(tmp_path / "run")], site)
    before = tree(site)
    other = again(tmp_path / "run", 4)

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    place = {
        "board": (publishing.leaderboard, "write"),
        "copy": (publishing.published_run, "copy"),
        "move": (publishing, "_move"),
    }
    real = os.replace

    def fail_for_the_run(source: Any, target: Any) -> None:
        if Path(target) == site / "runs" / "run" and Path(source).parent.name == "runs":
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patch:
        if broken == "page":
            patch.setattr(os, "replace", fail_for_the_run)
        else:
            patch.setattr(*place[broken], fail)
        with pytest.raises(KeyboardInterrupt):
            publish([other], site)
    assert tree(site) == before
    assert [path.name for path in site.glob(".*")] == [".coreheads-publish.lock"]
    board = publish([other], site)
    assert max(row["prefill_speedup"] or 0 for row in board["rows"]) == pytest.approx(4)


def test_a_killed_publication_is_mended_by_the_next(tmp_path: Path) -> None:
    site = tmp_path / "site"
    run = small_run.fake_run(tmp_path / "run")
    publish([run], site)
    stage = site / ".coreheads-publish-dead"
    (stage / "old").mkdir(parents=True)
    os.replace(site / "runs" / "run", stage / "old" / "run")
    other = on(change_manifest(small_run.fake_run(tmp_path / "other")), "another CPU")
    assert len(publish([other], site)["rows"]) == 20
    assert [path.name for path in site.glob(".*")] == [".coreheads-publish.lock"]


def test_two_publications_do_not_meet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, site = small_run.fake_run(tmp_path / "run"), tmp_path / "site"
    publish([run], site)
    before = tree(site)
    with locked(site, publishing.LOCK):
        assert main(["publish", str(run.path), "--to", str(site)]) == 2
    assert f"process {os.getpid()} on" in capsys.readouterr().err
    assert tree(site) == before
    publish([run], site)


def test_foreign_folders_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = small_run.fake_run(tmp_path / "run")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    (tmp_path / "file").write_text("")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "history.json").write_text('{"schema_version": 7}')
    unfinished = small_run.fake_run(tmp_path / "unfinished")
    (unfinished.path / "cells.jsonl").unlink()
    cases = [(run.path, "full", "thesis.tex"), (run.path, "file", "is a file"), (run.path, "odd", "history.json")]
    cases += [(tmp_path / "nowhere", "site", "nowhere"), (unfinished.path, "site", "no finished cell")]
    for path, to, expected in cases:
        before = tree(tmp_path)
        assert main(["publish", str(path), "--to", str(tmp_path / to)]) == 2
        message = capsys.readouterr().err.strip()
        assert len(message.splitlines()) == 1
        assert expected in message
        assert tree(tmp_path) == before
    assert not (tmp_path / "site").exists()
    (tmp_path / "clone" / ".git").mkdir(parents=True)
    publish([run], tmp_path / "clone")
    with pytest.raises(UserError, match="expected a run to publish there"):
        publish([RunFolder.load(tmp_path / "clone" / "runs" / "run")], tmp_path / "clone")
    shutil.copytree(run.path, tmp_path / "copy")
    with pytest.raises(UserError, match="is given twice"):
        publish([run, RunFolder.load(tmp_path / "copy")], tmp_path / "clone")


def test_nothing_of_the_machine_is_published(finished_run: Path, tmp_path: Path) -> None:
    shutil.copytree(finished_run, tmp_path / "run")
    run = RunFolder.load(tmp_path / "run")
    record = next(iter(run.cells().values()))
    failed = replace(Cell.from_json(record["cell"]), task="other")
    run.fail_cells([failed], "FileNotFoundError: '/home/ann/my data/x.jpg' and C:\\Users\\ann\\y.jpg and ~/z.jpg")
    command = f"coreheads run '/home/ann/my data/c.yaml' --out={tmp_path}/run --set a=b/c"
    run = change_manifest(run, command=command, config={"data_root": "/home/ann/my data"})
    board = publish([run], tmp_path / "site")
    for name, data in tree(tmp_path / "site").items():
        text = data.decode("utf-8", "replace")
        for private in ("/home/ann", "Users\\", "Users\\\\", "~/z", str(tmp_path), str(tmp_path.parent), "/tmp/"):
            assert private not in text, name
    published = read_json(tmp_path / "site" / "runs" / "run" / "manifest.json")
    assert published["invocations"][-1]["command"] == "coreheads run c.yaml --out=run --set a=b/c"
    assert published["config"]["data_root"] == "my data"
    assert read_json(tmp_path / "site" / "history.json")["publications"][0]["texts_shortened"] >= 4
    # two folders of one name stay two checkpoints, in the manifest and in the heads alike
    (model,) = published["config"]["models"]
    heads = read_json(tmp_path / "site" / "runs" / "run" / "heads" / "small.json")
    assert model["id"] == heads["model"]["id"] == board["heads"][0]["id"]
    folder = Path(run.config["models"][0]["id"]).name
    assert model["id"].startswith(f"{folder}-")
    assert plain(board["rows"]) == plain(build([run])["rows"])


def test_answers_and_pictures_can_be_left_out(tmp_path: Path) -> None:
    run = small_run.fake_run(tmp_path / "run")
    for task in ("coreheads_mini_refcocog", "coreheads_refcocog"):
        store(run.path, Example("made-up", task, "r1", "a caption"), b"jpeg")
    for name, options in (("all", []), ("few", ["--no-responses", "--no-pictures"])):
        assert main(["publish", str(run.path), "--to", str(tmp_path / name), *options]) == 0
        folder = tmp_path / name / "runs" / "run"
        answers = {line["response"] for path in (folder / "samples").iterdir() for line in read_jsonl(path)}
        assert answers == ({"</script><script>", "no | idea <b>"} if name == "all" else {""})
        # its own licence allows it for one of the two tasks
        found = [path.name for path in (folder / "figures").rglob("*.jpg")]
        assert found == (["made-up__coreheads_mini_refcocog.jpg"] if name == "all" else [])
        told = read_json(folder / "manifest.json")["published"]
        assert told["responses"] == told["pictures"] == (name == "all")
        rows = plain(build([run])["rows"])
        # without answers nobody can tell whether they are dense's
        expected = rows if name == "all" else [row | {"loyalty": None} for row in rows]
        assert read_json(tmp_path / name / "leaderboard.json")["rows"] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see /home/ann/a/b.jpg, then", "see b.jpg, then"),
        ("'/mnt/x'", "'x'"),
        ("and/or 1/2 a / b test/0/1", "and/or 1/2 a / b test/0/1"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("</b> <i/>", "</b> <i/>"),
        ("~ann/x.y", "x.y"),
        ("~/x.y", "x.y"),
        ("about ~5 % ~ so", "about ~5 % ~ so"),
        ("C:\\a\\b c:\\d", "b d"),
        ("/opt/models/one /opt/models/two", "one two"),
    ],
)
def test_only_paths_are_shortened(text: str, expected: str) -> None:
    assert Shortener().text(text) == expected
