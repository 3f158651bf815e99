"""Runs of other people on a board: who gave them, with what, and on which machine."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import small_run

from coreheads.cli import main
from coreheads.errors import UserError
from coreheads.files import read_json
from coreheads.leaderboard.build import build
from coreheads.leaderboard.publish import publish, submit
from coreheads.report.markdown import to_markdown
from coreheads.store import submission
from coreheads.store.folder import RunFolder
from coreheads.store.provenance import Submitter

ADA: Submitter = {"who": "Ada L. | <b>", "contact": "ada@example.org", "note": "a quiet machine"}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return small_run.fake_run(tmp_path / "run")


def test_rows_say_who_with_what_and_where(run: RunFolder, tmp_path: Path) -> None:
    own = small_run.change_manifest(small_run.fake_run(tmp_path / "own"), config={"models": [{"id": "o", "name": "o"}]})
    submit(run, tmp_path / "theirs", ADA)
    board = build([RunFolder.load(tmp_path / "theirs")])
    assert {(row.get("who"), row.get("version")) for row in board["rows"]} == {("Ada L. | <b>", "0")}
    assert board["runs"][0].get("submitted") == ADA
    assert {row.get("who") for row in build([run])["rows"]} == {None}
    assert submission.read(own) is None
    text = to_markdown(board)
    cells = dict(zip(_cells(text, "| condition"), _cells(text, "| ablate: top"), strict=True))
    assert cells["submitted by"] == r"Ada L. \| &lt;b&gt;"
    assert cells["version"] == "0"
    assert "2 threads" in cells["device"]
    assert "submitted by Ada L. \\| &lt;b&gt;, ada&#64;example.org, a quiet machine" in text


def _cells(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(start))
    return [cell.replace("\0", r"\|").strip() for cell in line.replace(r"\|", "\0").strip("|").split("|")]


@pytest.mark.slow  # pages
def test_a_site_keeps_who_gave_a_run(run: RunFolder, tmp_path: Path) -> None:
    submit(run, tmp_path / "theirs", ADA)
    before = read_json(tmp_path / "theirs" / "submission.json")
    publish([RunFolder.load(tmp_path / "theirs")], tmp_path / "site")
    assert read_json(tmp_path / "site" / "runs" / "theirs" / "submission.json") == before
    with (tmp_path / "site" / "leaderboard.csv").open() as stream:
        assert {line["who"] for line in csv.DictReader(stream)} == {ADA["who"]}
    assert "Ada L. | &lt;b&gt;" in (tmp_path / "site" / "index.html").read_text()
    assert main(["publish", str(run.path), "--to", str(tmp_path / "own"), "--who", "Eve"]) == 0
    assert read_json(tmp_path / "own" / "runs" / "run" / "submission.json")["who"] == "Eve"


def test_a_submission_has_answers_and_no_pictures(run: RunFolder, tmp_path: Path) -> None:
    from coreheads.report.example_files import Example, store

    store(run.path, Example("made-up", "long_task", "r1", "a caption"), b"jpeg")
    submit(run, tmp_path / "theirs", ADA)
    assert not (tmp_path / "theirs" / "figures").exists()
    published = read_json(tmp_path / "theirs" / "manifest.json")["published"]
    assert (published["responses"], published["pictures"]) == (True, False)


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ({"who": ""}, "submission.json: who is '', expected a name: one line of at most 100"),
        ({"who": "a\nb"}, "who is 'a.nb', expected a name"),
        ({"who": "x" * 101}, "expected a name"),
        ({"who": "a", "contact": "javascript:x"}, "contact is 'javascript:x', expected an address: https://"),
        ({"who": "a", "note": "\u202e"}, "note is .* expected a note: one line of at most 500"),
    ],
)
def test_what_cannot_be_shown_is_refused_before_anything_is_written(
    run: RunFolder, tmp_path: Path, by: Submitter, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        submit(run, tmp_path / "theirs", by)
    assert not (tmp_path / "theirs").exists()


def test_a_folder_that_holds_something_is_left_alone(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(UserError, match="is not empty, expected a new folder"):
        submit(run, tmp_path / "mine", ADA)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "publish: needs --to or --submission"),
        (["--submission", "x"], "--submission: needs --who"),
        (["--submission", "x", "--who", "a", "--to", "y"], "--submission: takes no --to"),
        (["--to", "y", "--note", "a"], "say something of --who, which is not given"),
    ],
)
def test_the_command_says_what_is_missing(
    run: RunFolder, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["publish", str(run.path), *words]) == 2
    assert message in capsys.readouterr().err


def test_the_command_writes_one(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "theirs"
    assert main(["publish", str(run.path), "--submission", str(out), "--who", "Ada", "--note", "quiet"]) == 0
    assert f"coreheads check --submission {out}" in capsys.readouterr().out
    record = read_json(out / "submission.json")
    assert (record["who"], record["note"], "contact" in record) == ("Ada", "quiet", False)
    assert set(record["contents"]) == {"settings", "heads", "samples", "asked", "speeds", "code"}
