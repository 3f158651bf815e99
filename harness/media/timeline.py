"""Which frames of a video file a player shows, and when: read from its packets, of which only the first is decoded.

Time stamps decide, never the header's number of frames or its mean rate. A file that was cut without encoding it anew
keeps frames before the cut, because others depend on them: they are hidden, neither shown nor counted.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from coreheads import limits

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

ROUNDING = 1.01e-3
"""Seconds by which a time stamp may miss a constant rate's: many containers round to milliseconds."""

LONGEST = 2**53
"""Ticks from the first frame to the last: more cannot be told apart as a number of seconds."""

Whole = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Timeline:
    """The frames that are shown, in the order of their times.

    Attributes:
        ticks: When each is shown, counted from the first; 0, 1, 2, ... at a constant rate.
        rate: Ticks a second.
        fps: Frames a second: ``rate`` where it is constant, else their mean.
        stamps: Their time stamps, ascending, which the decoder's frames are known by; None where the file has no good
            ones, and the frames are to be counted.
        keys: [number, 2]: time stamps of the frames at which decoding can begin, ascending, and where the container
            looks for them; empty where it is safe at the beginning only.
    """

    ticks: Whole
    rate: float
    fps: float
    stamps: Whole | None
    keys: Whole


@dataclass(frozen=True, eq=False)
class Packets:
    """What a file says of its packets of video, in the order of decoding."""

    stamps: Whole | None
    """When they are shown; None where the file does not say it."""
    decoded_at: Whole | None
    """When they are decoded, or shown where that is not said."""
    hidden: NDArray[np.bool_]
    keys: Whole
    """Places of the key frames."""


def inspect(path: Path) -> tuple[Timeline, VideoFrame]:
    """A file's timeline and its first frame.

    Raises:
        ImportError: PyAV is not installed.
        Exception: Whatever PyAV raises for a file that is no video, and ValueError for one that is too large.
    """
    import av

    with av.open(str(path)) as container:
        stream = best_stream(container)
        limits.check(stream.frames, limits.VIDEO_FRAMES, "frames")
        limits.check(stream.width * stream.height, limits.PICTURE_PIXELS, "pixels a frame")
        frame = next(decoded(container.demux(stream)), None)
    if frame is None:
        raise ValueError("no frames")
    with av.open(str(path)) as container:  # anew: not every container can be wound back
        stream = best_stream(container)
        return _lay_out(_read_packets(container, stream), stream, frame.pts), frame


def best_stream(container: InputContainer) -> VideoStream:
    """The video that a player shows, not a cover picture beside it; ValueError where there is none."""
    stream = container.streams.best("video")
    if stream is None:
        raise ValueError("no video in it")
    return stream  # type: ignore[return-value]


def decoded(packets: Iterable[Packet]) -> Iterator[VideoFrame]:
    """The frames of packets; a recording may begin with some that need earlier ones."""
    import av

    began = False
    for packet in packets:
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            if began:
                raise
            continue
        for frame in frames:
            began = True
            yield frame  # type: ignore[misc]


def _read_packets(container: InputContainer, stream: VideoStream) -> Packets:
    """Read all packets, none of which is decoded; ValueError for more than are good for the machine."""
    stamps, times, hidden, keys = array("q"), array("q"), array("b"), array("q")
    stamped = ordered = True
    context = stream.codec_context
    for packet in container.demux(stream):
        if not packet.size:
            continue
        if packet.is_keyframe:
            keys.append(len(stamps))
        stamped, ordered = stamped and packet.pts is not None, ordered and packet.dts is not None
        stamps.append(packet.pts or 0)
        times.append(stamps[-1] if packet.dts is None else packet.dts)
        # VP8 has packets that are never shown, told by a bit of their first byte
        hidden.append(packet.is_discard or (context.name == "vp8" and not memoryview(packet)[0] & 0x10))
        if len(stamps) > limits.VIDEO_FRAMES:
            limits.check(len(stamps), limits.VIDEO_FRAMES, "frames")
    if context.has_b_frames and container.format.name == "avi":
        stamped = False  # the order of decoding, said to be that of showing
    shown_at, decoded_at = np.array(stamps, np.int64), np.array(times, np.int64)
    marks = np.array(hidden, dtype=bool), np.array(keys, np.int64)
    return Packets(shown_at if stamped else None, decoded_at if stamped or ordered else None, *marks)


def _lay_out(packets: Packets, stream: VideoStream, first: int | None) -> Timeline:
    """The timeline of a file; ``first`` is the time stamp of the first frame that can be decoded. ValueError where no
    frame is shown."""
    assert stream.time_base is not None
    tick = stream.time_base
    rates = [float(rate) for rate in (stream.average_rate, stream.guessed_rate) if rate]
    shown = ~packets.hidden
    if packets.stamps is not None and first is not None:
        # what cannot be decoded is in the first group; after it, earlier time stamps are of another recording's
        began = int(np.argmax(packets.stamps == first))
        group = int(next(iter(packets.keys[packets.keys > began]), len(shown)))
        shown[:group] &= packets.stamps[:group] >= first
    if not shown.any():
        raise ValueError("no frames")
    stamps = None
    # one count for the whole file: a recording that was put together of several may have more
    if packets.stamps is not None and _ascend(packets.stamps[packets.keys][shown[packets.keys]]):
        stamps = np.sort(packets.stamps[shown])
    nowhere = np.empty((0, 2), np.int64)
    if packets.stamps is None or stamps is None or not _ascend(stamps):
        # frames come from the decoder in their order, and AVI says of each when it is its turn
        times = None if packets.decoded_at is None else packets.decoded_at[shown]
        if times is None or not _ascend(times):
            times = None
        return Timeline(*_rated(int(shown.sum()), times, tick, rates), None, nowhere)
    key_stamps, keys = packets.stamps[packets.keys], nowhere
    # the time stamps of hidden frames after a shown one mean nothing
    if packets.decoded_at is not None and shown[int(np.argmax(shown)) :].all() and _ascend(key_stamps):
        keys = np.stack([key_stamps, packets.decoded_at[packets.keys]], axis=1)
    return Timeline(*_rated(len(stamps), stamps, tick, rates), stamps, keys)


def _ascend(values: Whole) -> bool:
    """Whether each is larger than the one before it, and their span is a number that a float holds."""
    return bool((values[1:] > values[:-1]).all()) and (not len(values) or int(values[-1]) - int(values[0]) < LONGEST)


def _rated(number: int, times: Whole | None, tick: Fraction, rates: list[float]) -> tuple[Whole, float, float]:
    """Ticks, their number a second, and frames a second: those of a constant rate where the file keeps one."""
    steady, usual = np.arange(number), next(iter(rates), 1.0)
    if times is None or number == 1:
        return steady, usual, usual
    offsets = times - times[0]
    mean = float((number - 1) / (offsets[-1] * tick))
    for fps in (*rates, mean):
        if np.abs(offsets * float(tick) - steady / fps).max() <= ROUNDING:
            return steady, fps, fps
    return offsets, float(1 / tick), mean
