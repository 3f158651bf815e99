"""The page without a browser: self-contained, escaped, small, and right for boards of every shape."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import page_boards
import pytest
from PIL import Image
from profile_samples import make_profile, random_profile

from coreheads.report import example_files, figures
from coreheads.report.columns import condition_label, whole
from coreheads.report.example_files import Example
from coreheads.report.html import links
from coreheads.report.html import page as html
from coreheads.report.intervals import interval
from coreheads.report.markdown import to_markdown
from coreheads.report.pareto import pareto


class Reader(HTMLParser):
    """Tags, what would reach for the network, the rows of the table, and the inert scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.cells: list[list[str]] = []
        self.specs: list[Any] = page_boards.packed(text, "specs")
        self.downloads: dict[str, Any] = page_boards.packed(text, "downloads")
        self.words = ""
        self._kind: str | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "srcset", "action")]
        self.links += [value or "" for name, value in attrs if name == "href"]
        about = dict(attrs)
        self._kind = (about.get("id") or about.get("type")) if tag == "script" else tag
        if tag == "tr":
            self.cells.append([])
        elif tag in ("td", "th"):
            self.cells[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._kind = None if tag in ("script", "style") else self._kind

    def handle_data(self, data: str) -> None:
        if self._kind not in ("specs", "downloads", "charts-library", "tables-library", "module", "style"):
            self.words += data
            if self.cells and self.cells[-1]:
                self.cells[-1][-1] += data


def read(path: Path) -> Reader:
    return Reader(path.read_text(encoding="utf-8"))


def test_all_rows_can_be_read_without_a_script(tmp_path: Path) -> None:
    rows = page_boards.rows()
    page = read(page_boards.write(tmp_path, page_boards.board(rows)))
    assert len(page.cells) == 1 + len(rows)
    heading = page.cells[0]
    for row, cells in zip(rows, page.cells[1:], strict=True):
        texts = {name: text.replace("\xa0", " ") for name, text in zip(heading, cells, strict=True)}
        assert texts["condition"].removesuffix(" front") == condition_label(row)
        assert texts["score"] == interval(row["score"], row["score_ci"])
        assert texts["model"] == "a model"
        if row["prefill_speedup"]:
            assert texts["timed tokens"] == "4,096"
            assert texts["device"] == "a GPU"


def test_nothing_is_fetched(tmp_path: Path) -> None:
    path = page_boards.hostile(tmp_path)
    page = read(path)
    assert page.fetched == []
    assert {link for link in page.links if not link.startswith("#")} == {links.PAPER}
    text = path.read_text()
    assert "default-src 'none'" in text
    # one address is the name of the charts' language, which nothing asks for, the other what is cited
    known = {"https://vega.github.io/schema/vega-lite/v6.json", links.PAPER}
    assert {address.strip("}") for address in re.findall(r"https?://[^\"'\s<]+", text)} == known
    assert not re.search(r"@import|url\(", text)


def test_markup_stays_text(tmp_path: Path) -> None:
    page = read(page_boards.hostile(tmp_path))
    assert page.tags.count("img") == 0
    assert page.tags.count("script") == 5
    assert page.words.count(page_boards.EVIL) > 10
    assert page_boards.EVIL in json.dumps(page.specs, ensure_ascii=False).replace('\\"', '"')


def pictures(folder: Path, count: int, side: int) -> list[tuple[Example, Path]]:
    """JPEG files of noise, which does not compress."""
    made = []
    for number in range(count):
        path = folder / f"{number}.jpg"
        noise = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path, quality=80)
        made.append((Example(f"model {number // 3}", "a task", str(number), f"caption {number} <b>"), path))
    return made


def test_pictures_are_embedded_two_a_model_and_not_the_large_ones(tmp_path: Path) -> None:
    found = [*pictures(tmp_path, 6, 100), (Example("other", "t", "9", "large"), tmp_path / "large.jpg")]
    Image.fromarray(np.random.default_rng(9).integers(0, 256, (900, 900, 3), dtype=np.uint8)).save(found[-1][1])
    assert found[-1][1].stat().st_size > example_files.BYTES
    page = Reader(html.page(page_boards.board(page_boards.rows()), {}, found))
    assert page.tags.count("img") == 4
    assert page.tags.count("b") == 4 + page.words.count("Accuracy against speedup") + 1
    assert "caption 1 <b>" in page.words
    assert "caption 2 <b>" not in page.words


@pytest.mark.slow
def test_a_large_board_with_pictures_stays_below_3_mb(tmp_path: Path) -> None:
    models = [f"organisation/a-model-with-a-long-name-{number}B" for number in range(5)]
    profiles = {model: random_profile(64, 64, seed) for seed, model in enumerate(models)}
    rows = [
        row
        for model in models
        for task in range(8)
        for row in page_boards.rows(model=model, task=f"coreheads_benchmark_{task}")
    ]
    assert len(rows) == 5 * 8 * 20
    board = page_boards.board(rows, profiles)
    shown = pictures(tmp_path, 15, 420)
    assert 100_000 < shown[0][1].stat().st_size < example_files.BYTES
    text = html.page(board, {("run", model): profile for model, profile in profiles.items()}, shown)
    assert Reader(text).tags.count("img") > 0
    assert len(text.encode()) < 3_000_000


def test_models_that_share_a_task_are_compared_in_one_chart(tmp_path: Path) -> None:
    lines = [line for model in ("one", "two") for line in page_boards.rows(model=model)]
    lines += page_boards.rows(model="three", device="another GPU") + page_boards.rows(model="one", task="alone")
    page = read(page_boards.write(tmp_path, page_boards.board(lines)))
    assert "All models" in page.words
    # 1 comparison, 4 trade-offs, 4 ablations
    assert len(page.specs) == 1 + 4 + 4
    (shared,) = [spec for spec in page.specs if spec["description"].startswith("one, two on a task")]
    (layer,) = [layer for layer in shared["layer"] if "tooltip" in layer["encoding"]]
    points = shared["datasets"][layer["data"]["name"]]
    assert len(points) == 2 * 8
    assert {point["model"] for point in points} == {"one", "two"}
    assert "All models" not in read(page_boards.write(tmp_path, page_boards.board(lines[:20]))).words


@pytest.mark.parametrize("name", page_boards.ODD)
def test_odd_boards_have_a_page(name: str, tmp_path: Path) -> None:
    rows = page_boards.ODD[name]
    page = read(page_boards.write(tmp_path, page_boards.board(rows)))
    assert len(page.cells) == 1 + len(rows)
    assert all(row["model"] in page.words for row in rows)
    if name == "many models":
        assert "and 54 more. Every method" in page.words
    assert ("Accuracy against speedup" in page.words) == any(row["prefill_speedup"] for row in rows)


@pytest.mark.parametrize("name", [name for name in page_boards.ODD if name != "many models"])
def test_odd_boards_have_figures_and_markdown(name: str, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    board = page_boards.board(page_boards.ODD[name])
    drawn = figures.draw(board, {}, tmp_path)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)
    assert not [str(warning.message) for warning in recwarn if "Glyph" in str(warning.message)]
    text = to_markdown(board)
    for row in board["rows"]:
        assert row["model"] in text
        if row["prefill_speedup"]:
            line = next(line for line in text.splitlines() if interval(row["prefill_speedup"], None) in line)
            assert str(row["device"]) in line
            assert whole(row["timed_tokens"]) in line


@pytest.mark.parametrize("mean", [[[0.0]], [[0.5, 0.5]], [[-1.0, 2.0], [3.0, 0.0]]])
def test_odd_profiles_have_a_map(mean: Any, tmp_path: Path) -> None:
    for ends in ({}, {"ci_low": None, "ci_high": None}):
        profiles = {"a model": make_profile(mean, **ends)}
        page = read(page_boards.write(tmp_path, page_boards.board([page_boards.row()], profiles), profiles))
        assert len(page.specs) == 1
        assert ("'none'" in str(page.specs)) == bool(ends)


def test_the_front_holds_what_nothing_beats() -> None:
    points = {"dense": (1.0, 0.9), "fast": (2.0, 0.9), "faster": (3.0, 0.5), "worse": (1.5, 0.4), "twin": (3.0, 0.5)}
    rows = [{"name": name, "prefill_speedup": x, "score": y} for name, (x, y) in points.items()]
    assert [row["name"] for row in pareto(rows)] == ["fast", "faster", "twin"]
    assert pareto([]) == []
