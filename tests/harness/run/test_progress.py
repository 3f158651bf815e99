"""What a run says while it works: on a terminal, in a file, and with --quiet."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import small_run

from coreheads.cli import main
from coreheads.run.costs import Work
from coreheads.run.progress import RunProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still unless it is moved."""
    now = [100.0]
    monkeypatch.setattr("coreheads.run.progress.time.monotonic", lambda: now[0])
    return now


ONE, TWO, TIMING = (
    Work("answer", "m", "t", "none", "one"),
    Work("answer", "m", "t", "none", "two"),
    Work("time", "m", "t"),
)
LEFT = {ONE: 40.0, TWO: 20.0, TIMING: 1.0}


def test_lines_come_at_most_every_so_often(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    progress = RunProgress(every=30)
    progress.expect(LEFT)
    with progress.step("evaluating", "m t", 40), progress.work(ONE, 40, "cell one"):
        for _ in range(10):
            clock[0] += 8
            progress.advance(2, 100)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["0:00", "0:32", "1:04", "1:20"]
    assert "evaluating m t (40 samples)" in lines[0]
    assert "cell one, 8/40 samples, 8/60 of the run, 0.25 samples/s, 12 tokens/s" in lines[1]
    assert "about 3 min left, timing not counted" in lines[1]
    assert lines[3].endswith("evaluating m t: done in 80 s, 0.25 samples/s, 12 tokens/s")
    assert progress.costs.spent == {ONE[:4]: (80.0, 20)}
    assert progress.left == {ONE: 0, TWO: 20, TIMING: 1}


def test_what_is_not_known_is_not_guessed(clock: list[float]) -> None:
    progress = RunProgress(shown=False)
    progress.expect(LEFT)
    assert progress.time_left() == "time left not known yet"
    progress.costs.add(TIMING, 50.0, 1)
    assert progress.time_left() == "about 50 s left, some answers not counted"
    progress.costs.add(ONE, 1.0, 1)
    assert progress.time_left() == "about 2 min left"
    with progress.step("evaluating", "m t", 40), progress.work(ONE, 40):
        progress.advance(40, computed=False)  # they were there
        assert progress.speed() == ""
        assert progress.time_left() == "about 70 s left"
    assert progress.costs.spent[ONE[:4]] == (1.0, 1), "what was only read has cost nothing"


def test_what_fails_is_over_and_says_nothing_of_costs(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    progress = RunProgress()
    progress.expect(LEFT)

    def work() -> None:
        with progress.step("evaluating", "m t", 40), progress.work(ONE, 30):
            progress.advance(10)
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert progress.left == {ONE: 0, TWO: 20, TIMING: 1}
    assert progress.costs.spent == {}
    assert "done in" not in capsys.readouterr().err
    progress.forget("m")
    assert progress.left == {}


def test_a_terminal_shows_phase_cell_and_speed(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    progress = RunProgress()
    progress.expect(LEFT)
    with progress.step("evaluating", "m t", 40), progress.work(ONE, 40, "cell one"):
        for _ in range(4):
            clock[0] += 5
            progress.advance(5, 100)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    for text in ("evaluating m t", "20/40", "cell one", "20/60 of the run", "1 samples/s", "20 tokens/s", " left"):
        assert text in shown


@pytest.mark.slow
def test_a_whole_run_in_a_file_and_quiet(
    small_model: Path, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content: dict[str, Any] = small_run.config(small_model, small_data, tmp_path / "run")
    content["cells"] = content["cells"][2:]
    content["evaluate"] |= {"tasks": [small_run.REC], "limit": 2}
    content["profile"]["samples"] = 2
    path = small_run.write_config(tmp_path / "config.yaml", content)
    assert main(["run", str(path)]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert all(re.match(r"\d+:\d\d  ", line) for line in lines)
    done = [line.split("  ", 1)[1] for line in lines if ": done in " in line]
    assert [line.split()[0] for line in done] == ["loading", "profiling", "evaluating", "timing", "writing", "writing"]
    assert re.search(r"done in .*, [\d.]+ samples/s, [\d,]+ tokens/s", done[2])
    assert main(["run", str(path), "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.err == captured.out == ""
