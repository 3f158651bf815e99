"""A picture that is cut off is refused by everybody, whatever another library has told Pillow."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from adapter_cases import picture
from PIL import Image, ImageFile

from coreheads.errors import BadSample, UserError
from coreheads.media.images import decode, open_image, picture_size
from coreheads.media.page_cache import PageCache

KINDS = ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"]


@pytest.fixture(params=[False, True], ids=["as Pillow is", "as lmms-eval sets it"])
def told(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", request.param)
    return bool(request.param)


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_that_is_cut_off(kind: str, told: bool, tmp_path: Path) -> None:
    stream = io.BytesIO()
    picture(400, 300).save(stream, kind)
    whole = stream.getvalue()
    half, path = whole[: len(whole) // 2], tmp_path / "half"
    path.write_bytes(half)
    with pytest.raises(BadSample, match=r"^row 3: cannot be read as a picture \("):
        decode(half, "row 3")
    with pytest.raises(UserError, match=r"half: cannot be read as a picture \("):
        open_image(path, "here")
    assert decode(whole, "here").size == picture_size(whole, "here") == (400, 300)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is told  # others find it as they left it


def test_one_in_memory_whose_file_is_cut_off(told: bool, tmp_path: Path) -> None:
    stream = io.BytesIO()
    picture(400, 300).save(stream, "JPEG")
    with Image.open(io.BytesIO(stream.getvalue()[:3000])) as lazy, pytest.raises(UserError, match="cannot be shown"):
        open_image(lazy, "here")
    assert ImageFile.LOAD_TRUNCATED_IMAGES is told


def test_a_kept_page_that_is_cut_off_is_not_shown(told: bool, tmp_path: Path) -> None:
    cache, page = PageCache(tmp_path), picture(400, 300)
    cache.put("page", page)
    kept = cache.get("page")
    assert kept is not None
    assert kept.tobytes() == page.tobytes()
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:2000])
    assert cache.get("page") is None
