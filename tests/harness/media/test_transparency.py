"""Transparency is shown as on white paper, whatever colours lie hidden under it, by file, by bytes and from memory."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from coreheads.media.images import decode, open_image

SIZE = (12, 8)
WORDS = Image.new("L", SIZE, 0)
WORDS.paste(255, (3, 2, 9, 6))
SEEN = np.where(np.asarray(WORDS) > 0, 0, 255)
"""Black words on white."""


def encoded(picture: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, **({"format": "PNG"} | options))  # type: ignore[arg-type]
    return stream.getvalue()


def on(ground: object, mode: str, words: object = 0) -> Image.Image:
    picture = Image.new(mode, SIZE, ground)  # type: ignore[arg-type]
    picture.paste(words, mask=WORDS)  # type: ignore[arg-type]
    return picture


def palette() -> Image.Image:
    picture = Image.new("P", SIZE, 0)
    picture.putpalette([0] * 768)
    picture.paste(1, mask=WORDS)
    return picture


def png(depth: int, colour: int, row: Callable[[int], bytes], key: bytes) -> bytes:
    """A PNG of a depth that Pillow does not write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", *SIZE, depth, colour, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + row(y) for y in range(SIZE[1])))
    chunks = (b"IHDR", header), (b"tRNS", key), (b"IDAT", rows), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, data) for name, data in chunks)


def rgb16(y: int) -> bytes:
    return np.repeat(np.where(SEEN[y] > 0, 0x0909, 0)[:, None], 3, 1).astype(">u2").tobytes()


def grey4(y: int) -> bytes:
    nibbles = np.where(SEEN[y] > 0, 3, 0)
    return bytes((nibbles[0::2] << 4 | nibbles[1::2]).tolist())


KINDS = {
    "RGBA": encoded(on((0, 0, 0, 0), "RGBA", (0, 0, 0, 255))),
    "RGBA of white": encoded(on((255, 255, 255, 0), "RGBA", (0, 0, 0, 255))),
    "RGBA in TIFF": encoded(on((0, 0, 0, 0), "RGBA", (0, 0, 0, 255)), format="TIFF"),
    "RGBA in WebP": encoded(on((0, 0, 0, 0), "RGBA", (0, 0, 0, 255)), format="WEBP", lossless=True, exact=True),
    "LA": encoded(Image.merge("LA", (Image.new("L", SIZE, 0), WORDS))),
    "palette": encoded(palette(), transparency=0),
    "palette of several": encoded(palette(), transparency=b"\0\xff\0"),
    "GIF": encoded(palette(), format="GIF", transparency=0),
    "grey with tRNS": encoded(on(3, "L"), transparency=3),
    "bits with tRNS": encoded(Image.new("1", SIZE, 1), transparency=1),
    "RGB with tRNS": encoded(on((9, 9, 9), "RGB", (0, 0, 0)), transparency=(9, 9, 9)),
    "RGB of 16 bits with tRNS": png(16, 2, rgb16, b"\x09\x09" * 3),
    "grey of 4 bits with tRNS": png(4, 0, grey4, b"\0\x03"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_transparent_is_white(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(KINDS[kind])
    expected = np.full_like(SEEN, 255) if kind == "bits with tRNS" else SEEN
    with Image.open(path) as lazy:
        ways = open_image(path, "here"), decode(KINDS[kind], "here"), open_image(lazy, "here")
    for shown in ways:
        assert shown.mode == "RGB"
        assert np.array_equal(np.asarray(shown), np.repeat(expected[..., None], 3, 2))
        assert open_image(shown, "here") is shown


def test_pictures_in_memory_of_every_transparent_mode() -> None:
    clear = on((0, 0, 0, 0), "RGBA", (0, 0, 0, 255))
    for picture in (
        clear,
        clear.convert("RGBa"),
        clear.convert("LA"),
        clear.convert("LA").convert("La"),
        clear.convert("PA"),
    ):
        assert np.array_equal(np.asarray(open_image(picture, "here").convert("L")), SEEN), picture.mode


def test_half_transparent_is_half_white() -> None:
    shown = open_image(Image.new("RGBA", SIZE, (0, 100, 255, 128)), "here")
    assert shown.getpixel((0, 0)) == pytest.approx((127, 177, 255), abs=1)
