"""Frame sampling and decoding: the processor's own rule, parts of a video, files that are none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapter_cases import small_adapter, text_part, user, video, video_part
from transformers.video_utils import VideoMetadata

from coreheads.errors import UserError
from coreheads.media.video import Video, open_clip, sample


def everything(total: int, fps: float) -> Sequence[int]:
    return range(total)


def numbered(count: int, size: int = 32) -> np.ndarray:
    """Frames in plain grey whose level tells their number."""
    levels = 10 + 8 * np.arange(count, dtype=np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, size, size, 3)).copy()


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    """25 numbered frames at 5 a second, as an H.264 file."""
    import av

    path = tmp_path / "numbered.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for frame in numbered(25):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def levels(frames: np.ndarray) -> list[int]:
    return [round((float(frame.mean()) - 10) / 8) for frame in frames]


def test_a_file_gives_the_very_frames(movie: Path) -> None:
    clip = open_clip(movie)
    assert (clip.total, clip.fps) == (25, 5.0)
    assert levels(clip.read([0, 3, 4, 17, 24])) == [0, 3, 4, 17, 24]
    assert clip.read([2]).shape == (1, 32, 32, 3)


@pytest.mark.parametrize(
    ("start", "end", "indices"),
    [
        (None, None, range(25)),
        (1.0, 2.0, range(5, 10)),  # frame i is at i / fps; the end is not part of it
        (1.1, None, range(6, 25)),
        (None, 0.2, range(1)),
        (4.8, 99.0, range(24, 25)),
        (-3.0, 0.4 + 1e-12, range(2)),
    ],
)
def test_a_part_of_a_video(movie: Path, start: float | None, end: float | None, indices: range) -> None:
    found = sample(movie, everything, start, end)
    assert found.indices == tuple(indices)
    assert levels(found.frames) == list(indices)
    assert (found.fps, found.total) == (5.0, 25)


@pytest.mark.parametrize("span", [(5.0, 9.0), (0.05, 0.1)])
def test_a_part_without_a_frame_is_refused(movie: Path, span: tuple[float, float]) -> None:
    with pytest.raises(UserError, match=r"numbered.mp4: no frame from .* the video has 5.00 s"):
        sample(movie, everything, *span)


def test_files_that_are_no_videos(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"\0" * 200)
    for path, said in [(tmp_path / "none.mp4", "no such video"), (broken, "cannot be read as a video")]:
        with pytest.raises(UserError, match=said) as caught:
            open_clip(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("frames", "fps", "said"),
    [
        (np.zeros((2, 4, 4), np.uint8), 2.0, r"frames have shape \(2, 4, 4\), expected \[T, H, W, 3\]"),
        (np.zeros((0, 4, 4, 3), np.uint8), 2.0, "frames have shape"),
        (np.zeros((2, 4, 4, 3)), 2.0, "frames are a float64 ndarray, expected a uint8 ndarray"),
        ([[1]], 2.0, "frames are a list"),
        *((np.zeros((2, 4, 4, 3), np.uint8), fps, f"fps is {fps!r}") for fps in (0, -2, math.inf, math.nan, "2", True)),
    ],
)
def test_videos_in_memory_that_make_no_sense(frames: Any, fps: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Video(frames, fps)


@pytest.mark.parametrize(("frames", "fps"), [(1, 2.0), (3, 2.0), (40, 10.0), (90, 29.97), (400, 2.0), (7, 0.5)])
def test_frames_are_sampled_by_the_processors_own_rule(frames: int, fps: float) -> None:
    adapter = small_adapter()
    prompt = adapter.prepare(user(video_part(video(frames, 32, 32, fps)), text_part("a")))
    rule = adapter.processor.video_processor.sample_frames
    expected = rule(VideoMetadata(total_num_frames=frames, fps=fps), fps=2).tolist()
    shown = [frame for pair in prompt.media[0].frames for frame in pair]
    assert shown == expected + [expected[-1]] * (len(expected) % 2)
    assert prompt.media[0].total == frames


def test_the_prompt_says_the_times_of_the_source_video(movie: Path) -> None:
    """Of a part, too: the frames' times, and the time stamps that the model reads, are those of the whole video."""
    adapter = small_adapter()
    prompt = adapter.prepare(user(video_part(movie, start=2.0, end=4.0), text_part("a")))
    medium = prompt.media[0]
    times = [medium.times(pair) for pair in range(len(medium.frames))]
    assert times[0][0] == 2.0
    assert 3.5 < times[-1][-1] < 4.0
    text = adapter.processor.tokenizer.decode(prompt.inputs["input_ids"][0]).replace(" ", "")
    for pair in times:
        assert f"<{sum(pair) / 2:.1f}seconds>" in text
