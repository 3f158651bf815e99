"""What the terminal says: whole names, the download command, every change's scores, progress, no noise."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import page_boards
import pytest
import small_run
from rich.console import Console
from rich.table import Table

from coreheads.cli import main
from coreheads.report.terminal import print_table, show
from coreheads.store.board import Overall
from coreheads.tasks import registry


def printed(width: int) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, width=width, emoji=False), stream


@pytest.mark.parametrize("width", [20, 40, 60, 100, 160])
def test_names_are_whole_however_narrow_the_terminal(width: int) -> None:
    console, stream = printed(width)
    table = Table("task", "score", "change of the score", box=None)
    names = ["coreheads_mini_mmlongbench_doc", "coreheads_refcocog"]
    for name in names:
        table.add_row(name, "0.912345", "+0.01 [-0.02, +0.03]")
    print_table(console, table)
    assert all(name in stream.getvalue() for name in names)
    assert ("more column" in stream.getvalue()) == (width < 60)
    assert all(len(line) <= max(width, 40) for line in stream.getvalue().splitlines())


@pytest.mark.parametrize("width", [40, 55, 70, 85])
def test_no_word_is_cut_however_narrow_the_terminal(width: int) -> None:
    console, stream = printed(width)
    table = Table("condition", "rank", "prefill speedup", "score", "question", box=None)
    table.add_row("hybrid: top 5 % full", "1", "3.23 [2.67, 3.68]x (busy machine)", "1.00 [1.00, 1.00]", "unseen")
    shown = [[str(cell) for cell in column.cells] + [str(column.header)] for column in table.columns]
    print_table(console, table)
    lines = stream.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    said = " ".join(lines).split()
    kept = len(shown) - int(next((line.strip(" (")[0] for line in lines if "more column" in line), "0"))
    assert kept >= 2
    assert all(word in said for cells in shown[:kept] for cell in cells for word in cell.split())


def test_every_task_is_listed_by_its_whole_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("coreheads.report.terminal.wide_console", lambda: Console(width=60, emoji=False))
    assert main(["tasks"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in registry.names())


@pytest.mark.parametrize("width", [50, 80, 120])
def test_no_figure_of_a_model_is_cut(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("coreheads.report.terminal.wide_console", lambda: Console(width=width, emoji=False))
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert "…" not in out
    assert all(len(line) <= width for line in out.splitlines())
    assert out.count("36 x 32 x 8") == (4 if width > 60 else 0)
    assert "adapters.families.llava_onevision" in out.replace("\n", "").replace(" ", "")


def test_a_task_says_the_download_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "coreheads_refcocog", "--data-root", str(tmp_path)]) == 0
    command = f"hf download --repo-type dataset lmms-lab-encoder/RefCOCOg --local-dir {tmp_path / 'refcocog'}"
    assert command in capsys.readouterr().out
    assert main(["tasks", "coreheads_mlvu_test"]) == 0
    out = capsys.readouterr().out
    assert "--include 'MLVU_Test/test_video*' --local-dir DATA/mlvu_test" in out
    assert "unpack every archive" in out
    assert main(["tasks", "coreheads_vidstg"]) == 0
    assert "by hand" in capsys.readouterr().out
    assert main(["tasks", small_run.REC]) == 0
    assert "hf download" not in capsys.readouterr().out
    for wrong in (["--split", "none"], ["--option", "none=1"]):
        assert main(["tasks", "coreheads_refcocog", *wrong]) == 2
        assert not capsys.readouterr().out, "half an answer, and then an error"


def test_loading_and_profiling_are_told_as_in_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    model, data = small_run.save_model(tmp_path / "model"), small_run.make_data(tmp_path / "data")
    capsys.readouterr()
    asked = ["profile", str(model), "--tasks", small_run.REC, "--samples", "3", "--data-root", str(data)]
    with caplog.at_level(logging.WARNING):
        assert main([*asked, "--out", str(tmp_path / "a.json")]) == 0
    err = capsys.readouterr().err
    assert f"profiling {small_run.REC} (3 samples)" in err
    assert "samples/s" in err
    assert "Loading weights" not in err
    assert main([*asked, "--seed", "1", "--out", str(tmp_path / "b.json"), "--quiet"]) == 0
    assert not capsys.readouterr().err
    out = tmp_path / "compared.txt"
    compare = ["heads", "compare", str(tmp_path / "a.json"), str(tmp_path / "b.json"), "--out", str(out)]
    for _ in range(2):  # its own file is replaced
        assert main(compare) == 0
    said = capsys.readouterr().out
    assert out.read_text() in said
    assert "Rank correlation" in out.read_text()
    assert main([*compare[:-1], str(tmp_path / "a.json")]) == 2


def test_the_terminal_shows_every_change_and_the_ranking() -> None:
    rivals = [
        page_boards.row(**page_boards.speed(1.0)),
        page_boards.row(patch="dart", params={"keep": 0.25}, score=0.71, delta=-0.19, **page_boards.speed(2.0)),
        page_boards.row(patch="their_own", score=0.88, delta=-0.02),
    ]
    console, stream = printed(160)
    board: Any = page_boards.board(rivals)
    line = dict.fromkeys(Overall.__annotations__) | {
        "run": "run",
        "model": "a model",
        "score": 0.9,
        "tasks": ["a task"],
    }
    ranked = [line | {"rank": 1, "patch": "none", "condition": "dense"}]
    ranked += [line | {"rank": 2 + place, "patch": "x", "condition": f"their_own {place}"} for place in range(20)]
    show({**board, "overall": ranked}, Path("run"), console)
    out = stream.getvalue()
    changes = out[out.index("Other changes") : out.index("The ranking")]
    assert "dart (keep 0.25)" in changes
    assert "0.71" in changes
    assert "their_own" in changes
    ranking = out[out.index("The ranking") :]
    assert "their_own 10" in ranking
    assert "their_own 11" not in ranking
    assert "9 more on the page" in ranking


def test_few_repeats_are_allowed_and_marked(tmp_path: Path) -> None:
    from coreheads.config.schema import TimingConfig
    from coreheads.leaderboard.rows import _few

    assert TimingConfig(repeats=2).repeats == 2
    with pytest.raises(ValueError, match="repeats"):
        TimingConfig(repeats=1)
    few: Any = {"repeats": 3}
    assert _few(few) == "speed of 3 repeats only, intervals are rough"
    enough: Any = {"repeats": 10}
    assert _few(enough) is None


def test_doctor_names_no_exceptions(monkeypatch: pytest.MonkeyPatch) -> None:
    from coreheads.doctor import environment

    def fails() -> str:
        raise OSError("libav is not there\nmore")

    assert environment._try("video", fails).text == "libav is not there"
    assert "Error" not in environment._try("GPU", environment._gpu, needed=False).text
