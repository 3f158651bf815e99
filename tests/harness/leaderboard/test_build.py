"""The board: numbers that can be worked out by hand, text that stays text, all four forms."""

from __future__ import annotations

import csv
import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
import small_run

from coreheads.cli import main
from coreheads.config.cells import Cell
from coreheads.files import read_json, write_json
from coreheads.leaderboard.rows import build_rows
from coreheads.stats import pooling
from coreheads.store.board import Row
from coreheads.store.folder import RunFolder

DESIGN = [
    "model",
    "task",
    "patch",
    "selection",
    "fraction",
    "n",
    "score",
    "score_ci",
    "delta",
    "delta_ci",
    "p_value",
    "tokens_median",
    "prefill_ms",
    "prefill_speedup",
    "prefill_speedup_ci",
    "decode_ms_per_token",
    "decode_speedup",
    "end_to_end_speedup",
    "ceiling",
    "ceiling_share",
    "kv_bytes_ratio",
    "peak_memory_ratio",
    "device",
]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All forms of the board of a hand-written run, made by the command line."""
    folder = tmp_path_factory.mktemp("board")
    small_run.fake_run(folder / "run")
    assert main(["leaderboard", str(folder / "run"), "--out", str(folder / "board")]) == 0
    return folder / "board"


def find(rows: list[dict[str, object]], patch: str, selection: str | None) -> dict[str, object]:
    return next(row for row in rows if (row["patch"], row["selection"], row["task"]) == (patch, selection, "long_task"))


def test_rows_have_every_field_of_the_contract(tmp_path: Path) -> None:
    rows = build_rows(small_run.fake_run(tmp_path / "run"))
    assert set(DESIGN) <= set(Row.__annotations__)
    assert all(tuple(row) == tuple(Row.__annotations__) for row in rows)
    assert len(rows) == 2 * 5


def test_scores_deltas_and_speed(tmp_path: Path) -> None:
    rows = build_rows(small_run.fake_run(tmp_path / "run", speedup=2.0))
    dense, top = find(rows, "none", None), find(rows, "ablate", "top")
    assert dense["score"] == pytest.approx(0.9)
    assert dense["delta"] is None
    assert dense["p_value"] is None
    assert dense["prefill_speedup"] == 1.0
    assert top["score"] == 0
    assert top["delta"] == pytest.approx(-0.9)
    # 18 of 20 pairs differ, all one way: exact McNemar 2 / 2**18, times the rows it is among
    assert top["p_value"] == pytest.approx(2 / 2**18 * 4)
    assert top["prefill_speedup"] is None
    hybrid = find(rows, "hybrid", "top")
    assert hybrid["delta"] == 0
    assert hybrid["p_value"] == 1
    assert hybrid["prefill_speedup"] == pytest.approx(2)
    assert hybrid["ceiling"] == pytest.approx(4)
    assert hybrid["ceiling_share"] == pytest.approx(0.5)
    assert hybrid["decode_speedup"] == pytest.approx(1)
    # (0.1 + 0.1 + 1.045 + 8 x 0.01) / (0.1 + 0.1 + 0.5225 + 8 x 0.01)
    assert hybrid["end_to_end_speedup"] == pytest.approx(1.325 / 0.8025)
    assert hybrid["peak_memory_ratio"] is None


def test_draws_are_one_row_that_says_so(tmp_path: Path) -> None:
    row = find(build_rows(small_run.fake_run(tmp_path / "run")), "ablate", "random")
    assert row["draws"] == 3
    assert row["n"] == 60
    assert row["heads"] == 2
    assert "3 random draws" in str(row["note"])
    assert len(row["cells"]) == 3  # type: ignore[arg-type]


def test_interval_of_draws_knows_of_draws_and_of_samples() -> None:
    same = [{f"r{i}": float(i % 2) for i in range(20)}] * 5
    apart = [{f"r{i}": float(draw % 2) for i in range(20)} for draw in range(6)]
    mean, (low, high) = pooling.mean_score(same)
    assert mean == 0.5
    assert 0 < high - low < 0.4
    mean, (low, high) = pooling.mean_score(apart)
    assert mean == 0.5
    assert high - low > 0.6
    assert pooling.paired_with(apart, [{"other": 1.0}] * len(apart)) is None
    delta = pooling.paired_with(apart, [{f"r{i}": 1.0 for i in range(20)}] * len(apart))
    assert delta is not None
    assert delta[0] == -0.5
    assert delta[3] == pytest.approx(2 / 2**20)  # all 20 samples lose, on the mean of the draws


def test_json_csv_and_markdown_hold_the_same_rows(board: Path) -> None:
    content = json.loads((board / "leaderboard.json").read_text())
    assert content["schema_version"] == 1
    with (board / "leaderboard.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert len(lines) == len(content["rows"]) == 10
    for line, row in zip(lines, content["rows"], strict=True):
        assert float(line["score"]) == row["score"]
        assert float(line["score_low"]) == row["score_ci"][0]
        assert line["prefill_speedup"] == ("" if row["prefill_speedup"] is None else str(row["prefill_speedup"]))
    text = (board / "leaderboard.md").read_text()
    assert text.count("| dense (the model as it is)") == 3  # two tasks and the ranking
    assert "How to read this" in text
    assert "made-up on short \\| task" in text
    assert "<b>" not in text


class _Page(HTMLParser):
    """Counts tags and collects attributes that would reach for the network."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]


NAMES = [*(f"leaderboard.{kind}" for kind in ("json", "csv", "md", "html")), "figures/speed-0.png"]


@pytest.mark.parametrize("name", NAMES)
def test_a_board_replaces_boards_only(
    board: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = str(board.parent / "run"), shutil.copytree(board, tmp_path / "board")
    assert main(["leaderboard", run, "--out", str(out)]) == 0
    (out / name).write_text("{}\n# somebody's notes\n")
    before = {path: path.read_bytes() for path in out.rglob("*.*")}
    capsys.readouterr()
    assert main(["leaderboard", run, "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"error: --out is {out / name}, which is there and is something else, expected a new file or "
    )
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == before
    (out / name).unlink()
    (out / name).mkdir()
    assert main(["leaderboard", run, "--out", str(out)]) == 2


def test_a_board_without_rows_is_replaced(tmp_path: Path) -> None:
    run = small_run.fake_run(tmp_path / "run")
    (run.path / "cells.jsonl").unlink()
    run.fail_cells([Cell(model="made-up", task="long_task")], "broken")
    for _ in range(2):
        assert main(["leaderboard", str(run.path), "--out", str(tmp_path / "board")]) == 0


def test_page_is_self_contained_and_escaped(board: Path) -> None:
    text = (board / "leaderboard.html").read_text()
    page = _Page()
    page.feed(text)
    assert "b" not in page.tags or "<b>CPU</b>" not in text
    assert page.tags.count("table") == 5  # the ranking, the best at a speed, claims, all rows, the top heads
    assert {link for link in page.links if not link.startswith("#")} == {"https://arxiv.org/abs/2606.05843"}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "prefers-color-scheme: dark" in text
    assert "width=device-width" in text
    assert len(text) < 3_000_000


def test_figures_are_written(board: Path) -> None:
    assert sorted(path.name for path in (board / "figures").iterdir()) == [
        "ablation-0.png",
        "heads-0.png",
        "overall-0.png",
        "speed-0.png",
    ]


def test_the_board_says_which_top_heads_stand_clear(board: Path) -> None:
    (summary,) = json.loads((board / "leaderboard.json").read_text())["heads"]
    assert summary["clear"] == {"count": 1, "low": 0.9, "high": 0.8, "shared": None}
    assert {entry["shared"] for entry in summary["top"]} == {None}
    for name in ("leaderboard.md", "leaderboard.html"):
        text = (board / name).read_text()
        assert "the first head stands clear of the rest: RAM of at least 0.900" in text
        assert "behind it another sample may choose other heads in part: 1 of 2 in the top 25 %" in text


def test_of_heads_without_intervals_no_cut_is_judged(tmp_path: Path) -> None:
    run = small_run.fake_run(tmp_path / "run")
    path = run.heads_path("made-up")
    write_json(path, read_json(path) | {"ci_low": None, "ci_high": None})
    assert main(["leaderboard", str(tmp_path / "run"), "--out", str(tmp_path / "board")]) == 0
    (summary,) = json.loads((tmp_path / "board" / "leaderboard.json").read_text())["heads"]
    assert "clear" not in summary
    assert "clear of the rest" not in (tmp_path / "board" / "leaderboard.md").read_text()


def test_the_board_says_why_short_prompts_are_not_faster(board: Path) -> None:
    for name in ("leaderboard.md", "leaderboard.html"):
        text = (board / name).read_text()
        assert "about 1x" in text
        assert "tokens" in text
        assert "paper claim, setting unknown" in text


def test_unfinished_and_foreign_folders_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = small_run.fake_run(tmp_path / "run")
    (run.path / "cells.jsonl").unlink()
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "manifest.json").write_text("{}")
    for folder in (run.path, tmp_path / "empty", tmp_path / "other", tmp_path / "nowhere"):
        assert main(["leaderboard", str(folder), "--out", str(tmp_path / "board")]) == 2
        message = capsys.readouterr().err.strip()
        assert message.startswith("error: ")
        assert folder.name in message
        assert len(message.splitlines()) == 1
    assert not (tmp_path / "board").exists()


def test_cells_of_a_killed_run_are_shown_as_far_as_they_are_finished(tmp_path: Path) -> None:
    run = small_run.fake_run(tmp_path / "run")
    lines = (run.path / "cells.jsonl").read_text().splitlines(keepends=True)
    (run.path / "cells.jsonl").write_text("".join(lines[:3]) + lines[3][:40])
    rows = build_rows(RunFolder.load(run.path))
    assert [(row["patch"], row["selection"], row["draws"]) for row in rows] == [
        ("none", None, None), ("ablate", "top", None), ("ablate", "random", 1),
    ]  # fmt: skip


def test_groups_weigh_alike_whatever_their_size() -> None:
    groups = {"a0": "a", "a1": "a", "a2": "a", "b0": "b"}
    scores = {"a0": 1.0, "a1": 1.0, "a2": 0.0, "b0": 0.0}
    weights = pooling.weights(groups)
    weighted = {key: weights[key] * score for key, score in scores.items()}
    mean, (low, high) = pooling.mean_score([weighted])
    assert mean == pytest.approx((2 / 3 + 0) / 2)
    assert low <= mean <= high
    dense = {key: weights[key] for key in scores}
    paired = pooling.paired_with([weighted], [dense])
    assert paired is not None
    assert paired[0] == pytest.approx((-1 / 3 - 1) / 2)
    assert pooling.weights(dict.fromkeys(groups)) == dict.fromkeys(groups, 1.0)
