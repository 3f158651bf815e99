"""Small videos whose frames say their own number, as many containers, codecs and cuts as there are; and what a player
shows of a file: all of it, decoded from the beginning to the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

BITS = 8


@dataclass(frozen=True)
class Movie:
    """A video to write. Times are in ticks of ``tick`` seconds."""

    times: tuple[int, ...]
    tick: Fraction = Fraction(1, 10)
    codec: str = "libx264"
    ending: str = "mp4"
    group: int = 12
    between: int = 0  # B frames
    size: tuple[int, int] = (64, 48)
    options: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path, name: str = "movie") -> Path:
        import av

        path = folder / f"{name}.{self.ending}"
        width, height = self.size
        with av.open(str(path), "w") as container:
            stream = container.add_stream(self.codec, rate=1 / self.tick)
            stream.width, stream.height = width, height
            stream.pix_fmt = "yuvj420p" if self.codec == "mjpeg" else "yuv420p"
            stream.time_base = stream.codec_context.time_base = self.tick
            stream.gop_size, stream.thread_count = self.group, 1
            if self.codec != "libvpx":
                stream.max_b_frames = self.between
            stream.options = {**QUALITY.get(self.codec, {}), **self.options}
            for number, time in enumerate(self.times):
                frame = av.VideoFrame.from_ndarray(numbered(number, width, height), format="rgb24")
                frame.pts, frame.time_base = time, self.tick
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path


QUALITY = {
    "libx264": {"preset": "ultrafast", "qp": "12"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "mpeg2video": {"qscale": "2"},
    "libvpx": {"deadline": "realtime", "b": "2M"},
    "libvpx-vp9": {"deadline": "realtime", "b": "2M"},
}


def numbered(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A frame of two rows of four cells, white or black: the number's bits."""
    bits = np.array([number >> bit & 1 for bit in range(BITS)], np.uint8).reshape(2, 4) * 200 + 20
    rows, columns = np.arange(height) * 2 // height, np.arange(width) * 4 // width
    return np.repeat(bits[rows][:, columns, None], 3, axis=2)


def number(frame: np.ndarray) -> int:
    """Which number a frame shows."""
    height, width, _ = frame.shape
    cells = frame.mean(axis=2)[: height // 2 * 2, : width // 4 * 4].reshape(2, height // 2, 4, width // 4)
    return sum(int(cell > 120) << bit for bit, cell in enumerate(cells.mean(axis=(1, 3)).flat))


def cut(source: Path, target: Path, start: int, end: int | None = None, tick: Fraction = Fraction(1, 10)) -> Path:
    """Cut a file without encoding it anew, from the tick ``start`` up to ``end``: an edit list hides the rest."""
    import av

    with (
        av.open(str(source)) as old,
        av.open(str(target), "w", options={"avoid_negative_ts": "disabled", "use_editlist": "1"}) as new,
    ):
        stream = old.streams.video[0]
        out = new.add_stream_from_template(stream, opaque=True)
        shift = int(start * tick / stream.time_base)
        for packet in old.demux(stream):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, out
                new.mux(packet)
    if end is not None:
        content = bytearray(target.read_bytes())
        scale = int.from_bytes(content[(place := content.index(b"mvhd")) + 16 : place + 20], "big")
        place = content.index(b"elst") + 12  # after version, flags and the number of edits
        content[place : place + 4] = int((end - start) * tick * scale).to_bytes(4, "big")
        target.write_bytes(content)
    return target


def turn(path: Path, target: Path, matrix: tuple[int, int, int, int]) -> Path:
    """The file with the display matrix a, b, c, d: what is at (x, y) is shown at (a x + c y, b x + d y)."""
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4 + 40  # version 0: 40 bytes after the box's type, version and flags
    for offset, value in zip((0, 4, 12, 16), matrix, strict=True):
        content[place + offset : place + offset + 4] = (value * 65536).to_bytes(4, "big", signed=True)
    target.write_bytes(content)
    return target


def played(path: Path) -> list[tuple[float, int]]:
    """When a player shows each frame, in seconds from the first, and the number on it."""
    import av

    with av.open(str(path)) as container:
        frames = [(frame.time, number(frame.to_ndarray(format="rgb24"))) for frame in container.decode(video=0)]
    return [(time - frames[0][0], shown) for time, shown in frames]


def numbers(frames: Any) -> list[int]:
    return [number(frame) for frame in frames]


def steady(count: int, every: int = 1, start: int = 0) -> tuple[int, ...]:
    return tuple(start + every * index for index in range(count))


def listed(gaps: Sequence[int], start: int = 0) -> tuple[int, ...]:
    """Times from the gaps between them."""
    return tuple(int(time) for time in start + np.concatenate([[0], np.cumsum(gaps)]).astype(int))
