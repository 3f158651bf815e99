"""Videos: which frames are shown, and their pixels.

Sampling happens here and nowhere else, so that the processor's time stamps and the token map speak of the same
frames. A frame's time is when a player shows it, counted from the first frame that is shown: i / fps at a constant
rate, else by its time stamp. Boxes and sizes are of the frame as a player turns it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coreheads import limits
from coreheads.errors import BadSample, UserError, one_line
from coreheads.media import decoder
from coreheads.media.decoder import Frames
from coreheads.media.timeline import Whole, inspect

EPSILON = 1e-6
"""Seconds by which a time may miss a frame's, so that rounding never moves a boundary by a frame."""


@dataclass(frozen=True, eq=False)
class Video:
    """A whole video in memory: frames uint8 [T, H, W, 3] in RGB, at ``fps`` frames a second.

    UserError for frames of another kind or shape, and for a rate that is no number above 0.
    """

    frames: Frames
    fps: float

    def __post_init__(self) -> None:
        frames = self.frames
        if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8:
            kind = f"{frames.dtype} {type(frames).__name__}" if hasattr(frames, "dtype") else type(frames).__name__
            raise UserError(f"video: frames are a {kind}, expected a uint8 ndarray")
        if frames.ndim != 4 or 0 in frames.shape or frames.shape[3] != 3:
            raise UserError(f"video: frames have shape {frames.shape}, expected [T, H, W, 3] without a 0")
        if isinstance(self.fps, bool) or not isinstance(self.fps, Real) or not 0 < self.fps < math.inf:
            raise UserError(f"video: fps is {self.fps!r}, expected a number above 0")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Video) and self.fps == other.fps and np.array_equal(self.frames, other.frames)

    __hash__ = object.__hash__


@dataclass(frozen=True)
class Sampled:
    """The frames that are shown.

    Attributes:
        frames: uint8 [N, H, W, 3].
        indices: Which of the source video's frames they are.
        ticks: Their times; equal to ``indices`` at a constant rate.
        rate: Ticks a second.
        fps: Frames a second of the source video, the mean where it varies.
        total: Number of frames of the source video.
    """

    frames: Frames
    indices: tuple[int, ...]
    ticks: tuple[int, ...]
    rate: float
    fps: float
    total: int

    @property
    def seconds(self) -> tuple[float, ...]:
        """When a player shows each, counted from the video's first frame."""
        return tuple(tick / self.rate for tick in self.ticks)


@dataclass(frozen=True, eq=False)
class Clip:
    """An opened video.

    Attributes:
        ticks: When each frame is shown, counted from the first one; 0, 1, 2, ... at a constant rate.
        rate: Ticks a second.
        fps: Frames a second, the mean where it varies.
        read: Returns the frames with the given ascending indices, [N, H, W, 3]; UserError where they cannot be decoded.
        frame_bytes: Of each, decoded.
    """

    ticks: Whole
    rate: float
    fps: float
    read: Callable[[Sequence[int]], Frames]
    frame_bytes: int

    @property
    def total(self) -> int:
        """Number of frames that a player shows."""
        return len(self.ticks)

    @property
    def seconds(self) -> NDArray[np.float64]:
        """When a player shows each frame, counted from the first one."""
        return self.ticks / self.rate


def sample(
    source: Video | Path,
    rule: Callable[[int, float], Sequence[int]],
    start: float | None = None,
    end: float | None = None,
) -> Sampled:
    """Frames of a video, or of its part [start, end) in seconds.

    Args:
        source: A video in memory, whose frame i is at i / fps seconds, or its file.
        rule: (number of frames, frames a second) to the indices that are shown; of a part it sees only the part's.
            Where the rate varies, it is told the mean, and the frames nearest to the times that it picks are shown,
            unless it picks all.
        start: Seconds; None is the beginning.
        end: Seconds; None is the end.

    Raises:
        UserError: The file is missing or cannot be decoded, or the part has no frame.
    """
    clip = open_clip(source)
    name = source if isinstance(source, Path) else "video"
    seconds = clip.seconds
    first = 0 if start is None else int(np.searchsorted(seconds, start - EPSILON))
    stop = clip.total if end is None else int(np.searchsorted(seconds, end - EPSILON))
    if first >= stop:
        length = seconds[-1] + 1 / clip.fps
        raise UserError(f"{name}: no frame from {start} to {end} s, the video has {length:.2f} s ({clip.total} frames)")
    places = _pick(seconds[first:stop], None if clip.rate != clip.fps else clip.fps, rule)
    indices = tuple(first + place for place in places)
    ticks = tuple(int(clip.ticks[index]) for index in indices)
    return Sampled(clip.read(indices), indices, ticks, clip.rate, clip.fps, clip.total)


def _pick(seconds: NDArray[np.float64], fps: float | None, rule: Callable[[int, float], Sequence[int]]) -> list[int]:
    """The places that a rule picks; ``fps`` is None where the rate varies, and the places are then even in time."""
    total = len(seconds)
    if fps is not None or total == 1:
        return [int(place) for place in rule(total, fps or 1.0)]
    mean = float((total - 1) / (seconds[-1] - seconds[0]))
    places = [int(place) for place in rule(total, mean)]
    if len(set(places)) == total:
        return places
    asked = seconds[0] + np.array(places) / mean
    after = np.searchsorted(seconds, asked).clip(1, total - 1)
    nearer = asked - seconds[after - 1] < seconds[after] - asked
    return [int(place) for place in after - nearer]


def read_frames(path: Path, pick: Callable[[int], Sequence[int]]) -> Frames:
    """Frames of a video of a task's data.

    Args:
        path: The video's file.
        pick: Gives the ascending indices of the frames among so many.

    Returns:
        uint8 [N, H, W, 3] in RGB.

    Raises:
        BadSample: The file is missing or cannot be decoded.
    """
    try:
        clip = open_clip(path)
        return clip.read(pick(clip.total))
    except UserError as error:
        raise BadSample(str(error)) from None
    except MemoryError:
        raise BadSample(f"{path}: cannot be decoded (MemoryError)") from None


def open_clip(source: Video | Path) -> Clip:
    """Open a video file or a video in memory; UserError names a file that cannot be used."""
    if isinstance(source, Video):
        size = source.frames[0].nbytes
        numbers = np.arange(len(source.frames))
        return Clip(numbers, source.fps, source.fps, lambda indices: source.frames[list(indices)], size)
    if not source.exists():
        raise UserError(f"{source}: no such video")
    try:
        limits.check_file(source, limits.VIDEO_BYTES)
    except ValueError as error:
        raise UserError(f"{source}: {error}") from None
    try:
        timeline, frame = inspect(source)
    except ImportError:
        raise UserError(f"{source}: cannot be read as a video (PyAV is not installed)") from None
    except Exception as error:  # of the container, of the codec, of no video in it
        if type(error) is MemoryError:  # a decoder says of a broken file, too, that there is not enough
            raise
        raise UserError(f"{source}: cannot be read as a video ({one_line(error)})") from None
    size = 3 * frame.width * frame.height

    def read(indices: Sequence[int]) -> Frames:
        try:
            limits.check(len(indices) * size, limits.SHOWN_BYTES, "bytes of frames to show")
            return decoder.read_frames(source, timeline, indices)
        except Exception as error:
            if type(error) is MemoryError:
                raise
            raise UserError(f"{source}: cannot be decoded ({one_line(error)})") from None

    return Clip(timeline.ticks, timeline.rate, timeline.fps, read, size)
