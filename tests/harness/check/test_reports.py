"""Where reports go, and what is in them: nothing that somebody needs is overwritten, and no text gives commands."""

from __future__ import annotations

import json
import os
from pathlib import Path

import mutations
import pytest
import small_run
from hypothesis import given
from hypothesis import strategies as st

from coreheads.check.findings import Change, Finding, Report
from coreheads.check.output import commands, show
from coreheads.cli import main
from coreheads.files import read_jsonl
from coreheads.store.folder import RunFolder

FORGED = "::error title=a::b"
FILES = ["manifest.json", "cells.jsonl", "timings.jsonl", "heads/made-up.json", "samples"]
NEW = [
    "costs.json",
    "leaderboard.json",
    "leaderboard.html",
    "samples/new.jsonl",
    "errors/a.txt",
    "figures/a.png",
    "run.lock",
]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return small_run.fake_run(tmp_path / "run")


@pytest.fixture
def baseline(run: RunFolder, tmp_path: Path) -> Path:
    assert main(["check", str(run.path), "--baseline", str(tmp_path / "baseline.json"), "--update"]) == 0
    return tmp_path / "baseline.json"


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def is_command(line: str) -> bool:
    """As GitHub's runner tells."""
    return line.lstrip().startswith("::") or "##[" in line


@pytest.mark.parametrize("option", ["--junit", "--json", "summary"])
@pytest.mark.parametrize("update", [False, True])
def test_the_runs_own_files_and_the_baseline_stay(
    run: RunFolder,
    baseline: Path,
    tmp_path: Path,
    option: str,
    update: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "link.xml").symlink_to(run.path / "cells.jsonl")
    (tmp_path / "to baseline.xml").symlink_to(baseline)
    os.link(baseline, tmp_path / "hard.xml")
    places = [run.path / name for name in [*FILES, *NEW]]
    places += [baseline, *(tmp_path / name for name in ("link.xml", "to baseline.xml", "hard.xml"))]
    before = content(tmp_path)
    for place in places:
        if option == "summary":
            monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(place))
        more = ["--github"] if option == "summary" else [option, str(place)]
        assert main(["check", str(run.path), "--baseline", str(baseline), *more, *["--update"] * update]) == 2, place
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert str(place) in line
        assert "expected another file" in line
        assert content(tmp_path) == before


@pytest.mark.parametrize("option", ["--junit", "--json"])
def test_only_a_report_of_its_kind_is_replaced(
    run: RunFolder, baseline: Path, tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, other = tmp_path / "report", "--json" if option == "--junit" else "--junit"
    command = ["check", str(run.path), "--baseline", str(baseline)]
    assert main([*command, option, str(path)]) == main([*command, option, str(path)]) == 0
    assert main([*command, other, str(path)]) == 2
    for text in (
        "mine",
        '{"a": 1}',
        '<?xml version="1.0"?><testsuite name="pytest"/>',
        '{"schema_version": 1, "rows": []}',
    ):
        path.write_text(text)
        assert main([*command, option, str(path)]) == 2
        assert "which is there and is something else" in capsys.readouterr().err
        assert path.read_text() == text
    path.write_text("")  # as mktemp makes it
    assert main([*command, option, str(path)]) == 0
    assert main([*command, "--junit", str(tmp_path / "new"), "--json", str(tmp_path / "new")]) == 2
    assert not (tmp_path / "new").exists()
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path, tmp_path / "pipe", Path("/dev/null")):
        assert main([*command, option, str(place)]) == 2


def test_a_new_baseline_is_no_file_of_the_run(run: RunFolder, tmp_path: Path) -> None:
    before = content(tmp_path)
    for name in [*FILES, *NEW]:
        assert main(["check", str(run.path), "--baseline", str(run.path / name), "--update"]) == 2
    assert content(tmp_path) == before


def test_pictures_do_not_overwrite_what_they_are_drawn_from(tmp_path: Path) -> None:
    path = small_run.profile().save(tmp_path / "heads.png")
    (tmp_path / "mine.png").write_text("mine")
    before = content(tmp_path)
    for out in ("heads.png", "mine.png"):
        assert main(["heads", "show", str(path), "--out", str(tmp_path / out)]) == 2
    config = tmp_path / "config.yaml"
    config.write_text("models: []")
    for out in (config, path):
        assert main(["bench", "tiny", "--heads", str(path), "--out", str(out)]) == 2
    assert main(["profile", "tiny", "--tasks", "coreheads_mini_refcocog", "--out", str(config)]) == 2
    assert content(tmp_path) == before | {config: b"models: []"}


@pytest.mark.parametrize("update", [False, True])
@pytest.mark.parametrize("github", [False, True])
def test_answers_and_names_give_no_commands(
    run: RunFolder,
    baseline: Path,
    tmp_path: Path,
    update: bool,
    github: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Not in the lines of a table either into which a long answer is folded, nor where a path or a reason is named."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    odd = tmp_path / "x\n::error::path"
    small_run.fake_run(odd)
    for path in (odd / "samples").iterdir():
        text = "".join(f'{{"a": "{"x" * 30} ::error::x ##[error]y\\n\\r\\n  {FORGED}"}}' for _ in range(2))
        rows = [line | {"response": f"{FORGED}\n{text}", "score": 0.0} for line in read_jsonl(path)]
        rows = [line | {"scores": {"accuracy": 0.0}} for line in rows]
        small_run_write(path, rows)
    small_run_write(odd / "cells.jsonl", [line | {"score": 0.0} for line in read_jsonl(odd / "cells.jsonl")])
    more = [*["--update"] * update, *["--github"] * github]
    assert main(["check", str(odd), "--baseline", str(baseline), *more]) == (0 if update else 1)
    assert main(["check", str(odd), "--baseline", str(tmp_path / "none\n::error::x"), *more]) in (0, 2)
    captured = capsys.readouterr()
    lines = [*captured.out.splitlines(), *captured.err.splitlines()]
    own = [line for line in lines if is_command(line)]
    titles = ("::error title=accuracy made-up__", "::error title=coreheads check")
    assert all(line.startswith(titles) for line in own), own
    assert bool(own) == github


def small_run_write(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@mutations.many
@given(
    text=st.lists(
        st.sampled_from(["::", ":", "error", "##[", "#", "[", "]", "\n", "\r", " ", "\t", "\u2003", "a"])
    ).map("".join)
)
def test_no_text_gives_a_command(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    finding = Finding("accuracy", text, 1.0, 0.0, False, text)
    change = Change(text, text, 1.0, 0.0, text, text, False)
    show(Report((finding,), (change,)))
    assert not any(is_command(line) for line in capsys.readouterr().out.splitlines())
    for line in commands(Report((finding,), ())):
        assert line.startswith("::error title=")
        assert len(line.splitlines()) == 1


def test_what_cannot_be_told_is_in_every_report(tmp_path: Path) -> None:
    from coreheads.check.output import append_summary, write_junit

    report = Report((Finding("speed", "c", 2.0, 1.0, True, "cannot tell: why\nso", unclear=True),), ())
    write_junit(tmp_path / "junit.xml", report)
    text = (tmp_path / "junit.xml").read_text()
    assert 'skipped="1"' in text
    assert '<skipped message="cannot tell: why' in text
    append_summary(tmp_path / "summary.md", report)
    assert "cannot tell" in (tmp_path / "summary.md").read_text().splitlines()[-2]
    assert commands(report)[-1] == "::warning title=coreheads check cannot tell::speed c: cannot tell: why%0Aso"
    assert "1 cannot be told" in (tmp_path / "summary.md").read_text()
    assert report.to_json()["findings"][0]["unclear"] is True  # type: ignore[index]
