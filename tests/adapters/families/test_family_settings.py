"""What the families' settings do: frames of videos, tiles of pictures, and values that make no sense."""

from __future__ import annotations

from typing import Any

import pytest
from adapter_cases import image_part, picture, text_part, user, video, video_part
from family_cases import new_adapter
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.video_utils import VideoMetadata

from coreheads.errors import UserError
from coreheads.media.video import Video
from coreheads.regions import Region

QUESTION = text_part("where is the red-star ?")
PICTURE = picture(300, 200)
CLIP = video(9, 64, 48, fps=3.0)


@given(total=st.integers(1, 400), count=st.integers(1, 40))
@settings(max_examples=60)
def test_internvl_samples_as_its_processor(total: int, count: int) -> None:
    made = new_adapter("internvl", num_frames=count)
    frames = made.frames(total, 25.0)
    assert len(frames) == min(total, count)
    metadata = VideoMetadata(total_num_frames=total, fps=25.0)
    theirs = made.processor.video_processor.sample_frames(metadata, num_frames=len(frames)).tolist()
    # float32 steps may fall a frame short of the exact quotient, or one step too far
    assert all(abs(own - their) <= 1 for own, their in zip(frames, theirs[: len(frames)], strict=True))
    assert sum(own != their for own, their in zip(frames, theirs, strict=False)) <= len(frames) // 4


def test_llava_spreads_frames_and_repeats_those_of_a_short_video() -> None:
    made = new_adapter("llava_onevision", num_frames=5)
    assert made.frames(101, 25.0) == [0, 25, 50, 75, 100]
    assert made.frames(3, 25.0) == [0, 0, 1, 1, 2]
    clips = [video(3, 64, 48), video(40, 30, 90)]
    prompt = made.prepare(user(*map(video_part, clips), QUESTION))
    assert [len(medium.frames) for medium in prompt.media] == [5, 5]
    assert len(made.generate([prompt], max_new_tokens=2)[0].token_ids) > 0
    # a frame shown twice is found twice
    per_frame = (len(prompt.vision_tokens) // 2 - 1) // 5
    assert len(prompt.locate([Region(0, None, 0.0, 0.1)])) == 2 * per_frame


def test_internvl_shows_videos_of_unlike_length() -> None:
    made = new_adapter("internvl", num_frames=4)
    parts = [video_part(Video(CLIP.frames[:2], 3.0)), image_part(PICTURE), video_part(CLIP)]
    prompt = made.prepare(user(*parts, QUESTION))
    assert [len(medium.frames) for medium in prompt.media] == [2, 0, 4]
    assert len(made.generate([prompt], max_new_tokens=2)[0].token_ids) > 0


def test_internvl_tiles() -> None:
    few = new_adapter("internvl", published=True, max_tiles=1)
    assert len(few.prepare(user(image_part(PICTURE), QUESTION)).vision_tokens) == 256
    some = new_adapter("internvl", published=True, max_tiles=6)
    # 300 x 200 is nearest to 3 x 2 tiles; the thumbnail is the seventh
    assert len(some.prepare(user(image_part(PICTURE), QUESTION)).vision_tokens) == 7 * 256


@pytest.mark.parametrize(
    ("model_type", "setting", "said"),
    [
        ("internvl", {"num_frames": 0}, "setting num_frames: 0, expected a whole number of at least 1"),
        ("internvl", {"max_tiles": 0}, "setting max_tiles: 0"),
        ("internvl", {"min_tiles": 13}, "setting max_tiles: 12, expected a whole number of at least 13"),
        (
            "internvl",
            {"fps": 2},
            "setting fps: internvl has none of that name, expected num_frames, min_tiles, max_tiles",
        ),
        ("llava_onevision", {"num_frames": 2.5}, "setting num_frames: 2.5"),
        ("qwen3_vl", {"fps": float("inf")}, "setting fps: inf, expected a number above 0"),
        ("qwen3_vl", {"min_frames": 0.5}, "setting min_frames: 0.5, expected a whole number"),
        ("qwen3_vl", {"max_pixels": 0.5}, "setting max_pixels: 0.5, expected a whole number"),
        ("qwen3_vl", {"min_frames": 900}, "settings of frames: the minimum is 900 and the maximum 768"),
        ("qwen3_vl", {"max_pixels": 9}, "settings of pixels: the minimum is 256 and the maximum 9"),
        ("llava_onevision", {"max_pixels": 2}, "setting max_pixels: llava_onevision has none of that name"),
    ],
)
def test_wrong_settings(model_type: str, setting: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        new_adapter(model_type, **setting)
    assert said in str(caught.value)
