"""A picture is opened alike whether a model is given it or a task's data holds it; only the error's kind differs."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from adapter_cases import picture
from PIL import Image

from coreheads.errors import BadSample, UserError
from coreheads.media.images import decode, from_frame, open_image, picture_size


@pytest.fixture(params=["PNG", "JPEG"])
def sideways(request: pytest.FixtureRequest) -> bytes:
    """A picture of 40 x 30 pixels whose EXIF tag says that it is to be turned."""
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(40, 30).save(stream, request.param, exif=exif)
    return stream.getvalue()


def test_bytes_and_files_give_the_same_upright_picture(sideways: bytes, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(sideways)
    shown = decode(sideways, "here")
    assert shown.mode == "RGB"
    assert shown.size == (30, 40)
    assert np.array_equal(np.asarray(shown), np.asarray(open_image(path, "here")))
    assert open_image(shown, "here") is shown
    assert picture_size(sideways, "here") == (40, 30)  # as its header says


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_the_error_says_whose_picture_it_is(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"broken\.png: cannot be read as a picture \(") as caught:
        open_image(path, "here")
    assert not isinstance(caught.value, BadSample)
    for read in (decode, picture_size):
        with pytest.raises(BadSample, match=r"^row 3: cannot be read as a picture \(cannot identify image file it\)$"):
            read(data, "row 3")


def test_a_frame_is_a_picture_of_its_pixels() -> None:
    frame = np.asarray(picture(8, 6))
    assert np.array_equal(np.asarray(from_frame(frame)), frame)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_is_shown(kind: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "lime", "blue")]
    path = tmp_path / "animated"
    frames[0].save(
        path, kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
    )
    for shown in (open_image(path, "here"), decode(path.read_bytes(), "here")):
        assert np.array_equal(np.asarray(shown), np.asarray(frames[0]))
    with Image.open(path) as standing:
        standing.seek(1)
        assert np.array_equal(np.asarray(open_image(standing, "here")), np.asarray(frames[1]))
