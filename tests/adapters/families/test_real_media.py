"""Real pictures, pages and a real video through prepare, locate and generate; skipped where there are none.

COREHEADS_FIXTURES names a folder with refcocog/images, mmdocir/pages and vidstg/video.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from adapter_cases import image_part, small_adapter, text_part, user, video_part
from family_cases import FAMILIES
from locate_oracle import Case, Shown, check
from PIL import Image

from coreheads.adapters.families.qwen3_vl import Qwen3VL
from coreheads.adapters.tiny.processor import build_processor
from coreheads.media.video import open_clip
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


@dataclass(frozen=True)
class Photographed(Shown):
    """The real pixels, as they are in the region and black around it."""

    real: Any = field(default=None, compare=False)

    def pixels(self, seed: int) -> Any:
        return np.where(super().pixels(seed) > 0, np.maximum(self.real, 32), 0).astype(np.uint8)


def photographed(
    pixels: Any, box: tuple[float, ...], fps: float = 2.0, span: tuple[float, float] | None = None
) -> Shown:
    """box: normalised, taken to whole pixels."""
    frames = pixels.shape[0] if pixels.ndim == 4 else 0
    height, width = pixels.shape[-3:-1]
    x0, y0, x1, y1 = (edge * side for edge, side in zip(box, (width, height) * 2, strict=True))
    return Photographed(width, height, ((int(x0), int(y0), int(x1), int(y1)),), frames, fps, span, real=pixels)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_real_regions_are_found_where_their_pixels_go(model_type: str) -> None:
    """The oracle of ``test_locate_oracle`` on a photograph's box, a page's layout and a part of a video."""
    records = json.loads((FOLDER / "refcocog/refcocog_records.json").read_text())
    record = next(one for one in records if one["image_in_fixture"] and "bbox_xywh" in one)
    with Image.open(FOLDER / "refcocog" / record["image_in_fixture"]) as picture:
        photograph = np.asarray(picture.convert("RGB"))
    x, y, w, h = (edge / side for edge, side in zip(record["bbox_xywh"], photograph.shape[1::-1] * 2, strict=True))
    check(model_type, Case((photographed(photograph, (x, y, x + w, y + h)),)), published=True)

    lines = (FOLDER / "mmdocir/MMDocIR_annotations_slice.jsonl").read_text().splitlines()
    document = next(doc for doc in map(json.loads, lines) if doc["doc_name"] == "2023.acl-long.386.pdf")
    layout = next(q for q in document["questions"] if q["page_id"] == [3])["layout_mapping"][0]
    box = tuple(edge / side for edge, side in zip(layout["bbox"], layout["page_size"] * 2, strict=True))
    pages = []
    for number in (1, 3):
        with Image.open(FOLDER / f"mmdocir/pages/2023.acl-long.386_page{number}.jpg") as picture:
            pages.append(np.asarray(picture.convert("RGB").resize((picture.width // 2, picture.height // 2))))
    asked = photographed(pages[1], box)
    check(model_type, Case((Shown(*pages[0].shape[1::-1]), asked), ("page 1", "page 3")), published=True)

    clip = open_clip(next(iter(sorted((FOLDER / "vidstg/video").glob("*.mp4")))))
    frames = clip.read(range(0, 120, 15))
    shown = photographed(frames, (0.3, 0.3, 0.6, 0.8), clip.fps / 15, (1.2, 3.1))
    check(model_type, Case((shown,)), published=True)
