"""Real pictures, pages and a real video through prepare, locate and generate; skipped where there are none.

COREHEADS_FIXTURES names a folder with refcocog/images, mmdocir/pages and vidstg/video.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from adapter_cases import image_part, small_adapter, text_part, user, video_part
from PIL import Image

from coreheads.adapters.qwen3_vl import Qwen3VL
from coreheads.adapters.tiny.processor import build_processor
from coreheads.adapters.video import open_clip
from coreheads.regions import Region

FOLDER = Path(os.environ.get("COREHEADS_FIXTURES") or "no-such-folder")

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="COREHEADS_FIXTURES is not set to a folder")


def test_pictures_and_pages() -> None:
    paths = [*sorted((FOLDER / "refcocog/images").glob("*.jpg"))[:2], *sorted((FOLDER / "mmdocir/pages").glob("*"))[:2]]
    assert len(paths) == 4
    parts = [part for n, path in enumerate(paths) for part in (text_part(f"#{n}"), image_part(path))]
    adapter = Qwen3VL(small_adapter().model, build_processor(), max_pixels=512 * 256)
    prompt = adapter.prepare(user(*parts, text_part("where is the red-star?")), query="red-star")
    for number, (path, medium) in enumerate(zip(paths, prompt.media, strict=True)):
        with Image.open(path) as picture:
            assert (medium.width, medium.height) == picture.size
        _, rows, columns = (prompt.inputs["image_grid_thw"][number] // torch.tensor([1, 2, 2])).tolist()
        assert len(prompt.locate([Region(number)])) == rows * columns
        # a token's own box holds its centre, and no other token does
        own = prompt.vision_tokens[prompt.geometry.media == number]
        for place in (0, len(own) // 3, len(own) - 1):
            x0, y0, x1, y1 = prompt.geometry.box[prompt.geometry.media == number][place].tolist()
            inside = (x0 + (x1 - x0) / 3, y0 + (y1 - y0) / 3, x1 - (x1 - x0) / 3, y1 - (y1 - y0) / 3)
            assert prompt.locate([Region(number, inside)]).tolist() == [int(own[place])]
    assert len(adapter.generate([prompt], max_new_tokens=2)[0].token_ids) > 0


def test_a_video() -> None:
    path = next(iter(sorted((FOLDER / "vidstg/video").glob("*.mp4"))))
    clip = open_clip(path)
    adapter = Qwen3VL(small_adapter().model, build_processor(), video_max_pixels=2048 * 256)
    prompt = adapter.prepare(user(video_part(path, start=1.0, end=6.0), text_part("when ?")))
    medium = prompt.media[0]
    assert medium.total == clip.total
    times = [medium.times(patch) for patch in range(len(medium.frames))]
    assert all(1.0 - 1e-6 <= time < 6.0 for pair in times for time in pair)
    cells = len(prompt.vision_tokens) // len(times)
    for patch, pair in enumerate(times):
        found = prompt.locate([Region(0, None, pair[0], pair[0] + 1e-3)])
        assert torch.equal(found, prompt.vision_tokens[patch * cells : (patch + 1) * cells])
    assert prompt.explain([Region(0, None, 7.0, 8.0)]).startswith("media 0: no sampled frame from 7.0 to 8.0 s")
