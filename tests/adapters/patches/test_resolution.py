"""Resolution: the largest pictures whose vision tokens are few enough, and nothing else changed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from adapter_cases import image_part, picture, text_part, user
from family_cases import adapter, new_adapter
from hypothesis import given, settings
from hypothesis import strategies as st

from coreheads import UserError
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.adapters.patches.on_top import OnTop
from coreheads.adapters.patches.registry import make_patch
from coreheads.adapters.patches.resolution import Resolution
from coreheads.regions import Region

CELL = 8
"""Pixels along a token's side in the small Qwen3-VL."""


def tokens_under(height: int, width: int, most: float) -> int:
    """What a bound of pixels gives a picture: whole cells, rounded to the nearest where that is within the bound."""
    rows, columns = round(height / CELL), round(width / CELL)
    if rows * columns * CELL**2 > most:
        scale = math.sqrt(height * width / most)
        rows, columns = (max(1, math.floor(side / scale / CELL)) for side in (height, width))
    return rows * columns


@settings(max_examples=25, deadline=None)
@given(st.integers(20, 90), st.integers(20, 90), st.floats(0.02, 0.98))
def test_a_picture_is_as_large_as_the_share_allows(height: int, width: int, share: float) -> None:
    own = adapter("qwen3_vl")
    size = dict(own.processor.image_processor.size)
    messages = user(image_part(picture(width, height)), text_part("where is it ?"))
    full, small = own.prepare(messages), own.prepare(messages, share=share)
    allowed = max(1, int(share * len(full.vision_tokens)))
    counts = {tokens_under(height, width, most) for most in range(1, height * width + 20 * CELL**2)}
    assert len(small.vision_tokens) == max(count for count in counts if count <= allowed)
    assert small.tokens - len(small.vision_tokens) == full.tokens - len(full.vision_tokens)
    assert dict(own.processor.image_processor.size) == size
    assert small.media == full.media
    assert len(small.locate([Region(0, box=(0.0, 0.0, 1.0, 1.0))])) == len(small.vision_tokens)


@pytest.mark.parametrize("capped", [False, True])
def test_pictures_and_videos_each_have_their_share(capped: bool) -> None:
    own: Any = new_adapter("qwen3_vl", cap_pixels_per_frame=capped)
    frames = np.random.default_rng(0).integers(0, 255, (5, 64, 96, 3), dtype=np.uint8)
    from coreheads.media.video import Video

    video = {"type": "video", "video": Video(frames, 2.0)}
    messages = user(image_part(picture(61, 60)), video, text_part("where ?"), image_part(picture(90, 30)))
    full, small = own.prepare(messages), own.prepare(messages, share=0.4)
    assert small.media == full.media
    for medium in range(3):
        before, after = (int((prompt.geometry.media == medium).sum()) for prompt in (full, small))
        assert 0 < after <= 0.4 * before
        assert after >= 0.2 * before
    assert own.prepare(messages, like=full, share=0.4).tokens == small.tokens
    assert own.prepare(messages, like=small, share=0.4).preprocess_s is None
    assert len(own.generate([small], 3)[0].token_ids)
    assert own.processor.video_processor.cap_pixels_per_frame is capped
    torch.testing.assert_close(own.prepare(messages).inputs["pixel_values"], full.inputs["pixel_values"])


def test_it_says_what_it_is_and_where_it_cannot_act() -> None:
    patch = make_patch("resolution")
    assert patch.describe() == {"patch": "resolution", "keep": 0.25}
    assert (patch.shown, make_patch("none").shown, patch.budget) == (0.25, 1.0, None)
    assert patch.tokens_left(2, 5, 11) == [7, 7]
    patch.check(adapter("qwen3_vl").model)
    for message, make in {
        "keep is 0, expected above 0 and at most 1": lambda: Resolution(0),
        "cannot show pictures to internvl at any size": lambda: patch.check(adapter("internvl").model),
        "expected a model of qwen3_vl, qwen3_vl_moe": lambda: patch.check(adapter("llava_onevision").model),
        "on: patch resolution drops no tokens": lambda: OnTop(Hybrid({(0, 1)}), patch),
    }.items():
        with pytest.raises(UserError) as error:
            make()
        assert message in str(error.value)
