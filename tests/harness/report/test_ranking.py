"""The ranking, the front in words, and the charts over all tasks, of a board with a dozen methods."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import page_boards
import pytest
from PIL import Image

from coreheads.report import figures, palette, panels, ranking
from coreheads.report.columns import BUSY, duration, speed
from coreheads.report.markdown import to_markdown


@pytest.fixture(scope="module")
def board() -> Any:
    return page_boards.rivals()


def test_columns_that_are_empty_everywhere_are_not_shown(board: Any) -> None:
    headings, lines = ranking.table(board["overall"])
    assert {"work", "KV kept", "question", "loyalty", "choosing time"} <= set(headings)
    assert len(headings) == len(lines[0])
    bare = [line | dict.fromkeys(("kv", "work", "loyalty", "select_ms", "question")) for line in board["overall"]]
    assert not {"work", "KV kept", "question", "loyalty", "choosing time"} & set(ranking.table(bare)[0])


def test_the_front_names_its_methods(board: Any) -> None:
    (sentence,) = ranking.fronts(board["overall"])
    assert sentence.startswith("a model: front: dense 1.00x 0.900; cdpruner, 75 % of the work 1.21x")
    assert "stride" not in sentence
    assert sentence in to_markdown(board).replace("\\", "")
    assert ranking.fronts(board["overall"][:1]) == []


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(None, ""), (0.25, "0.25 ms"), (31.42, "31.4 ms"), (1200, "1.20 s"), (2e6, "2,000.00 s")]
)
def test_times_have_units(milliseconds: float | None, text: str) -> None:
    assert duration(milliseconds) == text


@pytest.mark.parametrize(("bounds", "busy"), [((1.9, 2.1), False), ((1.7, 2.3), True), (None, False)])
def test_wide_intervals_of_speeds_are_marked(bounds: Any, busy: bool) -> None:
    assert (BUSY in speed(2.0, bounds)) == busy


def test_questions_seen_and_unseen_are_told_apart(board: Any) -> None:
    colours = palette.by_method(line["method"] for line in board["overall"])
    assert {"snapkv, question seen", "snapkv, question unseen"} <= set(colours)
    assert len(set(colours.values())) == len(colours) > 14
    (panel,) = panels.costs(board["overall"], "kv", colours)
    assert '"unseen"' in str(panel.chart.to_json())
    assert panels.costs([line for line in board["overall"] if not line["question"]], "kv", colours) == []


def test_the_picture_over_all_tasks(board: Any, tmp_path: Path) -> None:
    names = {path.name: path for path in figures.draw(board, {}, tmp_path)}
    width, height = Image.open(io.BytesIO(names["overall-0.png"].read_bytes())).size
    assert 1000 < width <= 1400
    assert height > 500
