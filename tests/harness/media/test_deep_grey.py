"""A ramp of grey in more than 8 bits stays a ramp, by file, by bytes and from memory."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from coreheads.media.images import decode, open_image

RAMP = np.tile(np.linspace(0, 1, 256), (4, 1))
SEEN = np.rint(255 * RAMP)


def encoded(values: NDArray[np.generic], kind: str = "TIFF", **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, kind, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def tagged(values: NDArray[np.generic], tags: dict[int, int]) -> bytes:
    """A TIFF whose tags say what Pillow does not write."""
    data = bytearray(encoded(values))
    with Image.open(io.BytesIO(bytes(data))) as picture:
        assert isinstance(picture, TiffImagePlugin.TiffImageFile)
        place = picture.tag_v2._offset
    for entry in range(int.from_bytes(data[place : place + 2], "little")):
        start = place + 2 + 12 * entry
        tag = int.from_bytes(data[start : start + 2], "little")
        if tag in tags:
            data[start + 8 : start + 10] = tags[tag].to_bytes(2, "little")
    return bytes(data)


SIXTEEN = np.rint(65535 * RAMP).astype(np.uint16)
FILES = {
    "PNG": encoded(SIXTEEN, "PNG"),
    "TIFF": encoded(SIXTEEN),
    "TIFF compressed": encoded(SIXTEEN, compression="tiff_lzw"),
    "TIFF of the other end first": encoded(SIXTEEN.astype(">u2")),
    "TIFF whose 0 is white": tagged(65535 - SIXTEEN, {262: 0}),
    "PGM": encoded(SIXTEEN, "PPM"),
    "JPEG 2000": encoded(SIXTEEN, "JPEG2000", irreversible=False),
    "int32 of 16 bits": encoded(SIXTEEN.astype(np.int32)),
    "int32 of 8 bits": encoded(SEEN.astype(np.int32)),
    "int32 in full": encoded(((RAMP - 0.5) * (2**32 - 2)).astype(np.int32)),
    "uint32 in full": tagged((RAMP * (2**32 - 1)).astype(np.uint32).view(np.int32), {339: 1}),
    "float to 1": encoded(RAMP.astype(np.float32)),
    "float to 255": encoded((255 * RAMP).astype(np.float32)),
    "float to 65535": encoded((65535 * RAMP).astype(np.float32)),
    "float above": encoded((1e9 * RAMP).astype(np.float32)),
    "float below 0": encoded((RAMP - 0.5).astype(np.float32)),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_ramp_stays_a_ramp(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(FILES[kind])
    with Image.open(path) as lazy:
        ways = open_image(path, "here"), decode(FILES[kind], "here"), open_image(lazy, "here")
    for shown in ways:
        assert shown.mode == "RGB"
        assert np.abs(np.asarray(shown) - SEEN[..., None]).max() <= 1


@pytest.mark.parametrize("values", [SIXTEEN, SIXTEEN.astype(np.int32), RAMP.astype(np.float32)])
def test_pictures_in_memory(values: NDArray[np.generic]) -> None:
    assert np.array_equal(np.asarray(open_image(Image.fromarray(values), "here").convert("L")), SEEN)


def test_a_dark_scan_stays_dark() -> None:
    assert np.asarray(decode(encoded(SIXTEEN // 257, "PNG"), "here")).max() == 1


def test_a_transparent_value_is_white() -> None:
    values = np.array([[0, 771, 770, 65535]], np.uint16)
    shown = decode(encoded(values, "PNG", transparency=771), "here")
    assert np.asarray(shown)[0, :, 0].tolist() == [0, 255, 3, 255]


def test_what_is_no_number_is_black() -> None:
    values = np.array([[np.nan, 0.5, np.inf, -np.inf, 1]], np.float32)
    assert np.asarray(open_image(Image.fromarray(values), "here"))[0, :, 0].tolist() == [0, 128, 255, 0, 255]
    for constant in (np.nan, 0.0, -3.0, 1e20):
        assert not np.asarray(open_image(Image.fromarray(np.full((2, 2), constant, np.float32)), "here")).any()
