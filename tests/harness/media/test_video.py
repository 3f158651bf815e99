"""Frame sampling and decoding: the processor's own rule, parts of a video, both decoders, files that are none."""

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
from coreheads.media import video as videos
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


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
def test_both_decoders_give_the_very_frames(movie: Path, decoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("decord" if decoder == "decord" else "av")

    def absent(path: Path) -> videos.Clip:
        raise ImportError

    monkeypatch.setattr(videos, "_open_pyav" if decoder == "decord" else "_open_decord", absent)
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


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_both_decoders_turn_a_video_upright(movie: Path, turns: int, tmp_path: Path) -> None:
    """The file's display matrix says by how much; decoders must agree, because boxes are given upright."""
    pytest.importorskip("decord")
    corner = np.zeros((4, 32, 64, 3), np.uint8)
    corner[:, :12, :20] = 255
    plain, turned = tmp_path / "plain.mp4", tmp_path / "turned.mp4"
    import av

    with av.open(str(plain), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        for frame in corner:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    content = bytearray(plain.read_bytes())
    # tkhd, version 0: the matrix is 40 bytes after the box's type and flags
    place = content.index(b"tkhd") + 4 + 40
    a, b, c, d = {1: (0, 1, -1, 0), 2: (-1, 0, 0, -1), 3: (0, -1, 1, 0)}[turns]
    for offset, value in ((0, a), (4, b), (12, c), (16, d)):
        content[place + offset : place + offset + 4] = (value * 65536).to_bytes(4, "big", signed=True)
    turned.write_bytes(content)
    frames = [reader(turned).read([2])[0] for reader in (videos._open_decord, videos._open_pyav)]
    assert frames[0].shape == frames[1].shape == ((32, 64, 3) if turns == 2 else (64, 32, 3))
    assert float(np.abs(frames[0].astype(int) - frames[1]).mean()) < 3
    assert not np.array_equal(frames[1][:12, :12] > 128, corner[0, :12, :12] > 128)


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
