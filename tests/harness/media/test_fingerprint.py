"""Pictures and videos count by what they show, not by their size, name or time."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from adapter_cases import picture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from coreheads.errors import UserError
from coreheads.hashing import contents
from coreheads.hashing.contents import file_hash
from coreheads.media.fingerprint import media_hash
from coreheads.media.video import Video

FRAMES = np.zeros((3, 4, 5, 3), np.uint8)


def one_pixel(image: Image.Image) -> Image.Image:
    changed = image.copy()
    red, *rest = changed.getpixel((3, 2))  # type: ignore[misc]
    changed.putpixel((3, 2), (red ^ 1, *rest))
    return changed


def test_pictures_of_one_size_differ_by_a_pixel() -> None:
    assert media_hash(picture(40, 30)) == media_hash(picture(40, 30).copy())
    assert media_hash(picture(40, 30)) != media_hash(one_pixel(picture(40, 30)))
    assert media_hash(Image.new("RGB", (6, 4))) != media_hash(Image.new("RGB", (4, 6)))  # the same bytes


@pytest.mark.parametrize("mode", ["P", "L", "RGBA"])
def test_a_picture_counts_as_it_is_shown(mode: str) -> None:
    first, second = (Image.new("RGB", (8, 8), colour).convert(mode) for colour in ("red", "blue"))
    assert media_hash(first) != media_hash(second)
    assert media_hash(first) == media_hash(first.convert("RGB"))


def test_a_video_in_memory_counts_by_its_frames_and_its_rate() -> None:
    changed = FRAMES.copy()
    changed[2, 3, 4, 1] = 1
    hashes = [media_hash(Video(*each)) for each in ((FRAMES, 2.0), (changed, 2.0), (FRAMES, 3.0), (FRAMES[:2], 2.0))]
    assert len(set(hashes)) == len(hashes)
    assert media_hash(Video(changed[::-1], 2.0)) == media_hash(Video(changed[::-1].copy(), 2.0))


def test_a_file_counts_by_its_bytes(tmp_path: Path) -> None:
    path, other = tmp_path / "a.mp4", tmp_path / "b.mp4"
    path.write_bytes(b"one" * 9)
    other.write_bytes(b"one" * 9)
    before, about = media_hash(path), path.stat()
    assert before == media_hash(other)
    path.write_bytes(b"two" * 9)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert media_hash(path) != before
    os.mkfifo(tmp_path / "pipe")
    for wrong in (tmp_path / "c.mp4", tmp_path, tmp_path / "pipe"):
        with pytest.raises(UserError, match="cannot be read"):
            media_hash(wrong)


@given(size=st.integers(40, 3000), at=st.integers(0, 2999), whole=st.booleans())
def test_a_large_file_counts_by_its_size_and_blocks(
    size: int, at: int, whole: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("BLOCK", 8), ("BLOCKS", 5), ("WHOLE_BYTES", 40)):
            patch.setattr(contents, name, value)
        path = tmp_path_factory.mktemp("large") / "file"
        data, limit = bytearray(os.urandom(size)), size if whole else 0
        path.write_bytes(data)
        before = file_hash(path, limit)
        data[at % size] ^= 1
        path.write_bytes(data)
        starts = [(size - 8) * number // 4 for number in range(5)]
        seen = whole or size <= 40 or any(start <= at % size < start + 8 for start in starts)
        assert (file_hash(path, limit) != before) == seen
        if not seen:
            assert file_hash(path, limit, [at % size]) != before
        path.write_bytes(data + b"x")
        assert file_hash(path, limit) != before
