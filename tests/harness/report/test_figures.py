"""PNG files of charts: what a board's pictures say, and what the map of the heads shows, pixel by pixel."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import page_boards
import pytest
import small_run
from PIL import Image
from profile_samples import make_profile, random_profile

from coreheads.report import figures, palette
from coreheads.report.figures import head_map_png


def test_pictures_carry_what_must_be_read_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    # a caption's lines are joined
    monkeypatch.setattr(figures, "png", lambda spec, **_: drawn.append(json.dumps(spec).replace('", "', " ")) or b"")
    profile = random_profile(4, 8)
    board = page_boards.board(page_boards.rows(), {"a model": profile})
    names = [path.name for path in figures.draw(board, {("run", "a model"): profile}, tmp_path)]
    assert names == ["heads-0.png", "ablation-0.png", "speed-0.png"]
    heads, ablation, speed = drawn
    share = 100 * profile.share(profile.top(0.05))
    for part in (f"top 5 % (2 heads, {share:.0f} % of the sum)", "question word's attention", "layer, % of sum"):
        assert part in heads
    for part in (
        "a task",
        "500 tokens",
        "random, same layers",
        "95 % intervals",
        "dashed: none off",
        "score (accuracy)",
    ):
        assert part in ablation
    for part in ("4,096 tokens on a GPU", "dense (the model as it is)", "hybrid: top 2.5 % full", "95 % intervals"):
        assert part in speed
    assert "over the fastest dense kernel" in speed
    assert "Short prompts leave nothing to save" in speed


@pytest.mark.parametrize("page", ["#ffffff", "#0d1117"])
def test_a_picture_can_be_read_on_light_and_dark_pages(page: str) -> None:
    drawn = Image.open(io.BytesIO(head_map_png(random_profile(4, 8), 0.05, "a model"))).convert("RGBA")
    below = Image.new("RGBA", drawn.size, page)
    below.alpha_composite(drawn)
    seen = np.asarray(below.convert("L")).astype(int)
    corner = seen[0, 0]
    assert corner == np.asarray(Image.new("RGB", (1, 1), page).convert("L"))[0, 0], "the page shows through"
    title = seen[: seen.shape[0] // 6]
    assert np.abs(title - corner).max() > 80
    bar = {"mark": {"type": "bar", "color": "#d9480f", "opacity": 0.25}, "data": {"values": [{"a": 1}]}}
    bar["encoding"] = {"y": {"field": "a", "type": "quantitative", "axis": None}}
    half = Image.open(io.BytesIO(figures.png(bar))).convert("RGBA")
    counted = {colour: count for count, colour in half.getcolors(1 << 20) or []}
    (red, green, blue, alpha), _ = max(counted.items(), key=lambda pair: pair[1] * (pair[0][3] > 0))
    assert abs(alpha - 64) <= 1
    assert max(abs(red - 0xD9), abs(green - 0x48), abs(blue - 0x0F)) <= 3, "what is half transparent keeps its colour"


def pixels(picture: bytes) -> np.ndarray:
    """A PNG file's pixels [H, W, 3]."""
    assert picture.startswith(b"\x89PNG")
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def like(picture: np.ndarray, colour: str) -> np.ndarray:
    """Bool [H, W]: which pixels have the colour."""
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return np.asarray(np.abs(picture - wanted).max(axis=2) <= 8)


@pytest.mark.parametrize("shape", [(1, 2), (6, 16), pytest.param((64, 64), marks=pytest.mark.slow)])
def test_the_figure_outlines_the_selected_heads(shape: tuple[int, int]) -> None:
    profile = random_profile(*shape)
    few, many = (pixels(head_map_png(profile, fraction)) for fraction in (0.05, 0.5))
    assert min(few.shape[:2]) > 100
    mark = palette.KINDS["top"]
    assert like(few, mark).sum() > 0
    assert like(few, mark).sum() < like(many, mark).sum() or shape == (1, 2)
    assert (few == pixels(head_map_png(profile, 0.05))).all()


def test_the_figure_shows_which_heads_and_layers_hold_the_mass() -> None:
    mean = np.zeros((4, 8))
    mean[1, 6] = 1.0
    picture = pixels(head_map_png(make_profile(mean, kv_heads=4), 0.03))
    rows, columns = np.nonzero(like(picture, palette.KINDS["top"]))
    # the one outlined head is the dark one
    inside = picture[rows.min() + 6 : rows.max() - 5, columns.min() + 6 : columns.max() - 5]
    assert like(inside, palette.HEADS).all()
    # beside it, one layer has a bar, as high as the head stands
    bar_rows, bar_columns = np.nonzero(like(picture, palette.KINDS["random"]))
    assert bar_columns.min() > columns.max()
    assert rows.min() - 3 <= bar_rows.min() < bar_rows.max() <= rows.max() + 3


@pytest.mark.parametrize("normalization", [None, "vision", "lift"])
def test_the_figure_of_nothing(normalization: str | None) -> None:
    profile = make_profile(np.zeros((2, 4)), normalization=normalization)
    assert pixels(head_map_png(profile, 0.05)).shape[1] > 300


@pytest.mark.parametrize("least", [5e-324, 1e-310, -5e-324, -1e-310])
def test_numbers_that_are_hardly_any(least: float, capfd: pytest.CaptureFixture[str]) -> None:
    """Vega divides by the width of a scale, and says on stderr what it makes of that."""
    for mean in ([[least, 0.0], [0.0, 0.0]], [[least, least], [least, 2 * least]]):
        head_map_png(small_run.profile(mean), 0.25)
    assert capfd.readouterr().err == ""
