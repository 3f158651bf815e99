"""Frames of a video file by their places on its timeline, decoded by PyAV.

decord is not used: it counts hidden frames, lands beside the frames of open groups and of streams, and is slower.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from coreheads.media.timeline import Timeline, best_stream, decoded

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.sidedata.sidedata import SideData
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

Frames = NDArray[np.uint8]


def read_frames(path: Path, timeline: Timeline, places: Sequence[int]) -> Frames:
    """The frames at ascending places, uint8 [N, H, W, 3] in RGB; ValueError where one of them does not come."""
    frames = _read(path, timeline, places, timeline.keys)
    if frames is None and len(timeline.keys):  # a container that does not find its key frames
        frames = _read(path, timeline, places, timeline.keys[:0])
    if frames is None:
        raise ValueError(f"not all of the {len(places)} frames to show can be decoded")
    return frames


def _read(path: Path, timeline: Timeline, places: Sequence[int], keys: NDArray[np.int64]) -> Frames | None:
    """The frames, decoded from the nearest of the key frames before each; None where one of them does not come."""
    import av

    frames: Frames | None = None
    with av.open(str(path)) as container:
        stream = best_stream(container)
        source, stamp = _stamped(decoded(container.demux(stream)), timeline), -np.inf
        for place in sorted(set(places)):
            wanted = place if timeline.stamps is None else int(timeline.stamps[place])
            key = int(np.searchsorted(keys[:, 0], wanted, side="right")) - 1
            if key > 0 and keys[key, 0] > stamp:
                source = _stamped(_from_key(container, stream, *keys[key].tolist()), timeline)
            stamp, frame = next((pair for pair in source if pair[0] >= wanted), (np.inf, None))
            if frame is None or stamp != wanted:
                return None
            if frames is None:
                size = frame.width, frame.height  # of all: some streams change it
                pixels = upright(frame, *size)
                frames = np.empty((len(places), *pixels.shape), np.uint8)
            frames[np.equal(places, place)] = upright(frame, *size)
    return frames


def _stamped(frames: Iterator[VideoFrame], timeline: Timeline) -> Iterator[tuple[float, VideoFrame]]:
    """The frames, each with what the timeline knows it by."""
    if timeline.stamps is None:
        return enumerate(frames)
    return ((frame.pts, frame) for frame in frames if frame.pts is not None)


def _from_key(container: InputContainer, stream: VideoStream, stamp: int, place: int) -> Iterator[VideoFrame]:
    """The frames from a key frame on; none where the container does not get there."""
    container.seek(place, stream=stream)
    packets = container.demux(stream)
    first = next(packets, None)
    if first is None or not first.is_keyframe or first.pts is None or first.pts > stamp:
        return iter(())
    return decoded(chain([first], packets))


def upright(frame: VideoFrame, width: int, height: int) -> Frames:
    """A frame's pixels, uint8 [H, W, 3] in RGB, turned and mirrored as the file says."""
    pixels: Frames = frame.to_ndarray(format="rgb24", width=width, height=height)  # type: ignore[assignment]
    a, b, c, d = orientation(frame)
    turned = abs(b) + abs(c) > abs(a) + abs(d)
    across, down = (c, b) if turned else (a, d)
    pixels = pixels.transpose(1, 0, 2) if turned else pixels
    return pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]


def orientation(frame: VideoFrame) -> tuple[int, int, int, int]:
    """How a player turns a frame: what is at (x, y) is shown at (a x + c y, b x + d y)."""
    matrix: SideData | None = frame.side_data.get("DISPLAYMATRIX")  # type: ignore[assignment]
    if matrix is None:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(memoryview(matrix), np.int32)[:5].tolist()
    return a, b, c, d
