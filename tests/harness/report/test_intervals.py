"""The bound beside an interval of [0, 0]: wherever a change or a score is shown."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import small_run
from rich.console import Console

from coreheads.leaderboard.build import build
from coreheads.report import terminal
from coreheads.report.html.page import page
from coreheads.report.intervals import none_seen
from coreheads.report.markdown import to_markdown
from coreheads.store.board import Board


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    """Two tasks of 20 samples: hybrid's top heads change nothing, and without any it is never right."""
    return build([small_run.fake_run(tmp_path_factory.mktemp("fake") / "run")])


def test_only_where_nothing_was_seen() -> None:
    assert none_seen((0.0, 0.0), 64) == " (0 of 64: below 4.6 %)"
    assert none_seen((-0.0, 0.0), 1000) == " (0 of 1,000: below 0.3 %)"
    assert none_seen((0.0, 0.01), 64) == none_seen((1.0, 1.0), 64) == none_seen(None, 64) == ""
    assert none_seen((0.0, 0.0), None) == none_seen((0.0, 0.0), 0) == ""  # a board of an older version


def test_every_sample_counts_once(board: Board) -> None:
    """Three draws that asked the same 20 are no 60; over tasks each counts."""
    drawn = next(row for row in board["rows"] if row["selection"] == "random")
    assert (drawn["n"], drawn["alike"]) == (60, 20)
    assert {line["alike"] for line in board["overall"]} == {40}


def test_terminal_markdown_and_page_show_it(board: Board, tmp_path: Path) -> None:
    stream = io.StringIO()
    terminal.show(board, tmp_path, Console(file=stream, width=200))
    assert "change +0.00 [+0.00, +0.00] (0 of 40: below 7.2 %)" in " ".join(stream.getvalue().split())
    profile = small_run.profile()
    shown = page(board, {("run", "made-up"): profile}).replace("\u00a0", " ")
    for text in ("+0.00 [+0.00, +0.00] (0 of 20: below 14 %)", "0.00 [0.00, 0.00] (0 of 20: below 14 %)"):
        assert text in to_markdown(board).replace("\\", "")
        assert text.replace(" (", "<br><small>").replace(")", "</small>") in shown
    (kept,) = [entry for entry in board["claims"] if "keeps the score" in entry["claim"]]
    assert "change +0.00 [+0.00, +0.00] (0 of 40: below 7.2 %), mean of 2 tasks" in kept["figures"]
