"""``locate`` against the pixels: change a region's pixels, and see which tokens' inputs the processor changes."""

from __future__ import annotations

import math

import numpy as np
import torch
from adapter_cases import image_part, small_adapter, text_part, user, video_part
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from coreheads.adapters.prompt import Prompt
from coreheads.adapters.tiny.processor import CELL, MERGE
from coreheads.adapters.video import Video
from coreheads.regions import Region

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]


def noise(seed: int, *shape: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def changed(before: Prompt, after: Prompt) -> set[int]:
    """Positions in input_ids of the vision tokens of which an input number changed."""
    rows = []
    kinds = before.inputs["mm_token_type_ids"][0, before.vision_tokens]
    for kind, name in ((1, "pixel_values"), (2, "pixel_values_videos")):
        if name not in before.inputs:
            continue
        patches = (before.inputs[name] != after.inputs[name]).any(-1)
        # the processor lists the MERGE x MERGE patches of a merged token one after the other
        merged = patches.view(-1, MERGE * MERGE).any(-1)
        rows.append(before.vision_tokens[kinds == kind][merged])
    return set(torch.cat(rows).tolist())


def region(box: Box, width: int, height: int, media: int = 0) -> Region:
    x0, y0, x1, y1 = box
    return Region(media, (x0 / width, y0 / height, x1 / width, y1 / height))


def flipped(pixels: Pixels, box: Box) -> Pixels:
    """Every value in the box changes by at least 128: no rounding hides that."""
    x0, y0, x1, y1 = box
    new = pixels.copy()
    new[..., y0:y1, x0:x1, :] ^= 0x80
    return new


@st.composite
def boxes(draw: st.DrawFn, width: int, height: int) -> Box:
    x0 = draw(st.integers(0, width - 1))
    y0 = draw(st.integers(0, height - 1))
    return x0, y0, draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))


@st.composite
def pictures(draw: st.DrawFn, aligned: bool) -> tuple[int, int, Box]:
    """Width, height, box in pixels; aligned sizes are those that the processor leaves as they are."""
    if aligned:
        width, height = (CELL * draw(st.integers(2, 9)) for _ in range(2))
    else:
        width, height = (draw(st.integers(5, 200)) for _ in range(2))
    return width, height, draw(boxes(width, height))


def seen(pixels: Pixels) -> Prompt:
    return small_adapter().prepare(user(text_part("a"), image_part(Image.fromarray(pixels)), text_part("b")))


@settings(max_examples=60)
@given(pictures(aligned=True))
def test_pictures_that_need_no_resizing(case: tuple[int, int, Box]) -> None:
    width, height, box = case
    pixels = noise(0, height, width, 3)
    prompt = seen(pixels)
    found = set(prompt.locate([region(box, width, height)]).tolist())
    assert found == changed(prompt, seen(flipped(pixels, box)))


@settings(max_examples=60)
@given(pictures(aligned=False))
def test_resized_pictures(case: tuple[int, int, Box]) -> None:
    """What shares at least a whole resized pixel with the region changes; what lies beyond the filter does not."""
    width, height, box = case
    pixels = noise(1, height, width, 3)
    prompt = seen(pixels)
    actual = changed(prompt, seen(flipped(pixels, box)))
    _, rows, columns = prompt.inputs["image_grid_thw"][0].tolist()
    scale = (columns // MERGE * CELL / width, rows // MERGE * CELL / height)
    exact = region(box, width, height)
    assert actual <= set(prompt.locate([grown(exact, width, height, scale)]).tolist())
    inner = whole_resized_pixels(box, scale, columns // MERGE * CELL, rows // MERGE * CELL)
    if inner is not None:
        assert set(prompt.locate([inner]).tolist()) <= actual
    # the geometric set is between the two
    assert set(prompt.locate([exact]).tolist()) <= set(prompt.locate([grown(exact, width, height, scale)]).tolist())


def grown(exact: Region, width: int, height: int, scale: tuple[float, float]) -> Region:
    """The region and the reach of the bicubic filter around it: two pixels of the coarser side, and some rounding."""
    assert exact.box is not None
    x, y = (3 * max(1.0, 1 / factor) + 1 / factor for factor in scale)
    x0, y0, x1, y1 = exact.box
    return Region(exact.media, (x0 - x / width, y0 - y / height, x1 + x / width, y1 + y / height))


def whole_resized_pixels(box: Box, scale: tuple[float, float], width: int, height: int) -> Region | None:
    """The resized pixels that lie wholly in the box, as a region; None when there are none."""
    x0, y0 = math.ceil(box[0] * scale[0] - 1e-6), math.ceil(box[1] * scale[1] - 1e-6)
    x1, y1 = math.floor(box[2] * scale[0] + 1e-6), math.floor(box[3] * scale[1] + 1e-6)
    return region((x0, y0, x1, y1), width, height) if x0 < x1 and y0 < y1 else None


@st.composite
def clips(draw: st.DrawFn) -> tuple[int, int, int, float, Box, float, float]:
    frames = draw(st.integers(1, 9))
    width, height = (CELL * draw(st.integers(2, 4)) for _ in range(2))
    fps = draw(st.sampled_from([1.0, 2.0, 3.0, 25 / 7, 29.97]))
    start = draw(st.floats(-1, 5))
    return frames, width, height, fps, draw(boxes(width, height)), start, start + draw(st.floats(0, 5))


@settings(max_examples=60)
@given(clips())
def test_videos(case: tuple[int, int, int, float, Box, float, float]) -> None:
    frames, width, height, fps, box, start, end = case
    pixels = noise(2, frames, height, width, 3)

    def shown(values: Pixels) -> Prompt:
        return small_adapter().prepare(user(video_part(Video(values, fps)), text_part("a")))

    prompt = shown(pixels)
    within = [index for index in range(frames) if start - 1e-6 <= index / fps < end - 1e-6]
    new = pixels.copy()
    new[within] = flipped(pixels[within], box)
    exact = region(box, width, height)
    found = prompt.locate([Region(0, exact.box, start, end)])
    assert set(found.tolist()) == changed(prompt, shown(new))


@settings(max_examples=30)
@given(st.data())
def test_several_media_with_text_between(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(["image", "video"]), min_size=1, max_size=4))
    chosen = data.draw(st.integers(0, len(kinds) - 1))
    sizes = [(CELL * data.draw(st.integers(2, 4)), CELL * data.draw(st.integers(2, 4))) for _ in kinds]
    box = data.draw(boxes(*sizes[chosen]))
    media = [
        noise(i, *((3,) if kind == "video" else ()), h, w, 3)
        for i, (kind, (w, h)) in enumerate(zip(kinds, sizes, strict=True))
    ]
    system = [{"role": "system", "content": "a"}] if data.draw(st.booleans()) else []

    def shown(values: list[Pixels]) -> Prompt:
        parts = []
        for number, value in enumerate(values):
            parts.append(text_part(f"#{number}"))
            one = video_part(Video(value, 2.0)) if value.ndim == 4 else image_part(Image.fromarray(value))
            parts.append(one)
        return small_adapter().prepare([*system, *user(*parts, text_part("?"))])

    prompt = shown(media)
    after = [flipped(value, box) if number == chosen else value for number, value in enumerate(media)]
    assert set(prompt.locate([region(box, *sizes[chosen], chosen)]).tolist()) == changed(prompt, shown(after))
