"""A picture is opened alike whether a model is given it or a task's data holds it; only the error's kind differs."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from adapter_cases import picture
from PIL import Image, ImageOps

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


def with_exif(exif: bytes, kind: str = "JPEG") -> bytes:
    stream = io.BytesIO()
    picture(40, 30).save(stream, kind, exif=exif)
    return stream.getvalue()


def with_orientation(orientation: int, kind: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return with_exif(exif.tobytes(), kind)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_every_orientation(orientation: int, kind: str) -> None:
    data = with_orientation(orientation, kind)
    with Image.open(io.BytesIO(data)) as lazy:
        stored, turned = lazy.convert("RGB"), ImageOps.exif_transpose(lazy).convert("RGB")
        given = open_image(lazy, "here")
    assert decode(data, "here").tobytes() == given.tobytes() == turned.tobytes()
    assert decode(data, "here").size == given.size == turned.size
    as_stored = decode(data, "here", as_stored=True)
    assert as_stored.tobytes() == stored.tobytes()
    assert as_stored.size == picture_size(data, "here") == (40, 30)
    assert open_image(as_stored, "here") is as_stored  # not turned later
    assert not as_stored.getexif()


RUBBISH = [
    b"Exif\0\0rubbish, no TIFF",
    b"Exif\0\0",
    b"Exif\0\0II*\0\xff\xff\xff\xff",
    b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12",
    b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0six\0\0\0\0\0",  # a text
    b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x05\0\x01\0\0\0\x1a\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0",  # 6 / 0
]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", RUBBISH)
def test_rubbish_for_exif_turns_nothing(exif: bytes, tmp_path: Path) -> None:
    data = with_exif(exif)
    path = tmp_path / "picture"
    path.write_bytes(data)
    with Image.open(path) as lazy:
        ways = open_image(path, "here"), decode(data, "here"), open_image(lazy, "here"), open_image(lazy.copy(), "here")
    for shown in ways:
        assert shown.size == (40, 30)
        assert not shown.info


@pytest.mark.parametrize("compression", ["raw", "tiff_deflate"])
@pytest.mark.parametrize("orientation", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_every_orientation_of_a_tiff(orientation: int, compression: str, tmp_path: Path) -> None:
    """Its tag is no EXIF but its own, which Pillow applies while it loads."""
    if compression != "raw" and orientation not in range(1, 9):
        pytest.skip("libtiff writes no such tag")
    source, path = picture(40, 30), tmp_path / "x.tif"
    source.save(path, compression=compression, tiffinfo={0x0112: orientation})
    data = path.read_bytes()
    exif = Image.Exif()
    exif[0x0112] = orientation
    beside = source.copy()
    beside.info["exif"] = exif.tobytes()
    upright = ImageOps.exif_transpose(beside)
    as_stored = decode(data, "here", as_stored=True)
    assert as_stored.tobytes() == source.tobytes()
    assert as_stored.size == picture_size(data, "here") == (40, 30)
    for shown in (decode(data, "here"), open_image(path, "here"), open_image(Image.open(path), "here")):
        assert shown.size == upright.size
        assert shown.tobytes() == upright.tobytes()
    for shown in (as_stored, upright):
        assert open_image(shown, "here").tobytes() == shown.tobytes()  # not turned later
