"""Videos: which frames are shown, and their pixels.

Sampling happens here and nowhere else, so that the processor's time stamps and the token map speak of the same
frames. Files are decoded by decord, or by PyAV where decord is missing or cannot read the file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coreheads import limits
from coreheads.errors import BadSample, UserError, one_line

EPSILON = 1e-6
"""Seconds by which a time may miss a frame's, so that rounding never moves a boundary by a frame."""

Frames = NDArray[np.uint8]


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
    """The frames that are shown: uint8 [N, H, W, 3], and their indices in the source video of ``total`` frames."""

    frames: Frames
    indices: tuple[int, ...]
    fps: float
    total: int


@dataclass(frozen=True)
class Clip:
    """An opened video: ``read`` returns the frames with the given ascending indices, [N, H, W, 3]; UserError where
    they cannot be decoded. frame_bytes: of each, decoded."""

    total: int
    fps: float
    read: Callable[[Sequence[int]], Frames]
    frame_bytes: int


def sample(
    source: Video | Path,
    rule: Callable[[int, float], Sequence[int]],
    start: float | None = None,
    end: float | None = None,
) -> Sampled:
    """Frames of a video, or of its part [start, end) in seconds.

    Args:
        source: A video in memory, or its file. Frame i is at i / fps seconds.
        rule: (number of frames, frames a second) to the indices that are shown; of a part it sees only the part's.
        start: Seconds; None is the beginning.
        end: Seconds; None is the end.

    Raises:
        UserError: The file is missing or cannot be decoded, or the part has no frame.
    """
    clip = open_clip(source)
    name = source if isinstance(source, Path) else "video"
    first = 0 if start is None else max(0, math.ceil((start - EPSILON) * clip.fps))
    stop = clip.total if end is None else min(clip.total, math.ceil((end - EPSILON) * clip.fps))
    if first >= stop:
        seconds = clip.total / clip.fps
        raise UserError(
            f"{name}: no frame from {start} to {end} s, the video has {seconds:.2f} s ({clip.total} frames)"
        )
    indices = tuple(first + int(index) for index in rule(stop - first, clip.fps))
    return Sampled(clip.read(indices), indices, clip.fps, clip.total)


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
        return Clip(len(source.frames), source.fps, lambda indices: source.frames[list(indices)], size)
    if not source.exists():
        raise UserError(f"{source}: no such video")
    try:
        limits.check_file(source, limits.VIDEO_BYTES)
    except ValueError as error:
        raise UserError(f"{source}: {error}") from None
    _look(source)
    problems = []
    for reader in (_open_decord, _open_pyav):
        try:
            return _bounded(reader(source), source)
        except ImportError:
            problems.append(f"{reader.__name__.removeprefix('_open_')} is not installed")
        except Exception as error:  # whatever the decoders raise: the other one may manage
            problems.append(str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__)
    raise UserError(f"{source}: cannot be read as a video ({'; '.join(problems)})")


def _look(path: Path) -> None:
    """UserError where the file's header promises too much: decord would end the process over it."""
    try:
        import av
    except ImportError:
        return
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            limits.check(stream.frames, limits.VIDEO_FRAMES, "frames")
            limits.check(stream.width * stream.height, limits.PICTURE_PIXELS, "pixels a frame")
    except Exception as error:  # of the container, of the codec, of no video in it
        raise UserError(f"{path}: cannot be read as a video ({one_line(error)})") from None


def _bounded(clip: Clip, path: Path) -> Clip:
    """The clip, which refuses to read more than is good for the machine; whatever a decoder raises is a UserError."""

    def read(indices: Sequence[int]) -> Frames:
        try:
            limits.check(len(indices) * clip.frame_bytes, limits.SHOWN_BYTES, "bytes of frames to show")
            return clip.read(indices)
        except UserError:
            raise
        except Exception as error:  # a decoder says of a broken file, too, that it takes more memory than there is
            if type(error) is MemoryError:
                raise
            raise UserError(f"{path}: cannot be decoded ({one_line(error)})") from None

    return replace(clip, read=read)


def _open_decord(path: Path) -> Clip:
    import decord

    decord.logging.set_level(decord.logging.QUIET)  # what is wrong is raised, not printed
    reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
    if len(reader) == 0 or not reader.get_avg_fps() > 0:
        raise ValueError("no frames")

    def read(indices: Sequence[int]) -> Any:
        return reader.get_batch(list(indices)).asnumpy()

    return Clip(len(reader), float(reader.get_avg_fps()), read, reader[0].asnumpy().nbytes)


def _open_pyav(path: Path) -> Clip:
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate or stream.guessed_rate
        # some containers do not say how many frames they hold
        total = stream.frames or sum(1 for packet in container.demux(stream) if packet.size)
        size = 3 * stream.width * stream.height
    if not total or not rate:
        raise ValueError("no frames")

    def read(indices: Sequence[int]) -> Frames:
        wanted = set(indices)
        decoded = {}
        with av.open(str(path)) as container:
            for index, frame in enumerate(container.decode(video=0)):
                if index in wanted:
                    # turned upright as the file says, counted counter-clockwise as decord turns it, too
                    decoded[index] = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
                if len(decoded) == len(wanted):
                    break
        if missing := sorted(wanted - decoded.keys()):
            raise UserError(f"{path}: frame {missing[0]} of {total} cannot be decoded")
        return np.stack([decoded[index] for index in indices])

    return Clip(int(total), float(rate), read, size)
