"""Small pictures of a prompt: which, what is gold on them, and how large."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from coreheads.media.video import Video
from coreheads.regions import Region
from coreheads.report import shown
from coreheads.tasks.reading.documents import image, text, user_turn


def grey(value: int, size: tuple[int, int] = (80, 60)) -> Image.Image:
    return Image.new("RGB", size, (value, value, value))


def values(found: list[shown.Shown]) -> list[int]:
    """Each picture's grey."""
    return [round(float(np.asarray(one.image).mean())) for one in found]


def clip(count: int, **part: Any) -> dict[str, Any]:
    """A video of two frames a second, frame i of grey i."""
    frames = np.stack([np.full((32, 48, 3), index, dtype=np.uint8) for index in range(count)])
    return {"type": "video", "url": Video(frames, 2.0), **part}


@pytest.mark.parametrize("gold", [0, 7, 19])
def test_the_gold_page_is_among_those_of_a_long_document(gold: int) -> None:
    messages = user_turn(*(image(grey(number)) for number in range(20)), text("which page?"))
    found = shown.pictures(messages, [Region(gold, (0.1, 0.2, 0.3, 0.4))])
    assert len(found) == shown.MOST
    assert values(found) == sorted(values(found))
    assert {one.label: one.boxes for one in found if one.boxes} == {f"image {gold + 1} of 20": ((0.1, 0.2, 0.3, 0.4),)}
    assert gold in values(found)


def test_what_has_no_region_is_shown_all_the_same() -> None:
    (one,) = shown.pictures(user_turn(text("what?"), image(grey(5))), [])
    assert (one.label, one.boxes) == ("image", ())
    (whole,) = shown.pictures(user_turn(image(grey(5))), [Region(0)])
    assert whole.boxes == ((0.0, 0.0, 1.0, 1.0),)
    assert shown.pictures(user_turn(text("no picture")), []) == []


def test_frames_are_shown_where_the_region_is() -> None:
    region = Region(0, (0.0, 0.0, 0.5, 0.5), 30.0, 31.0)
    found = shown.pictures(user_turn(clip(100)), [region])
    gold = [number for number, one in zip(values(found), found, strict=True) if one.boxes]
    assert gold == [60, 61]
    assert len(found) == 3
    assert found[values(found).index(60)].label == "video, 30.0 s"


def test_of_a_part_of_a_video_no_frame_outside_is_shown() -> None:
    found = shown.pictures(user_turn(clip(100, start=10.0, end=12.0)), [Region(0, None, 0.0, 10.5)])
    assert set(values(found)) <= {20, 21, 22, 23}
    assert [number for number, one in zip(values(found), found, strict=True) if one.boxes] == [20]


@pytest.mark.parametrize("size", [(16, 16), (300, 2000), (1600, 1200)])
def test_pictures_are_small(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    data, width, height = shown.jpeg(Image.fromarray(noise))
    assert len(data) <= shown.BYTES
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.size == (width, height)
        assert max(picture.size) <= shown.SIDE
        assert picture.width / picture.height == pytest.approx(size[0] / size[1], rel=0.03)
