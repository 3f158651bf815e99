"""What is held of documents' pages: one document at a time, within a bound, measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pdfs
import pytest
from PIL import Image

from coreheads import limits
from coreheads.errors import BadSample
from coreheads.media.page_cache import PageCache
from coreheads.media.pdf import page_count, pdf_pages
from coreheads.media.room import Latest, PictureRoom

PROGRAM = """
import resource, sys
from pathlib import Path
import numpy, PIL.Image, PIL.PngImagePlugin, pypdfium2
from coreheads.errors import BadSample
from coreheads.media.page_cache import PageCache
from coreheads.media.pdf import pdf_pages
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
before = peak()
for name in sys.argv[2:]:
    try:
        print(len(pdf_pages(Path(name), 144, None, PageCache(Path(sys.argv[1])))))
    except BadSample as error:
        print(error)
print(peak() - before)
"""


def shown(folder: Path, *names: str) -> list[str]:
    """What a process says that shows these documents one after the other; last how many MiB more it took."""
    paths = [str(folder / name) for name in names]
    command = [sys.executable, "-c", PROGRAM, str(folder / "pages"), *paths]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


@pytest.mark.parametrize(("count", "side"), [(30, 4600), (10_000, 250)])
def test_a_document_that_would_fill_the_memory(count: int, side: int, tmp_path: Path) -> None:
    (tmp_path / "vast.pdf").write_bytes(pdfs.written(pdfs.pages(count, f"/MediaBox [0 0 {side} {side}]")))
    said, more = shown(tmp_path, "vast.pdf")
    assert f"vast.pdf: {count:,} pages at 144 dpi: " in said
    assert "expected at most 800,000,000; lower max_pages or dpi" in said
    assert int(more) < 150


def test_one_document_is_held_at_a_time(tmp_path: Path) -> None:
    for number in range(3):
        keys = f"/MediaBox [0 0 {900 - number} 900]"
        (tmp_path / f"{number}.pdf").write_bytes(pdfs.written(pdfs.pages(8, keys)))
    *counts, more = shown(tmp_path, *(f"{number}.pdf" for number in range(3)))
    assert counts == ["8"] * 3
    one = 8 * 1800 * 1800 * 4 >> 20
    assert int(more) < 1.7 * one


def test_pages_that_are_kept_have_the_same_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, cache = tmp_path / "x.pdf", PageCache(tmp_path / "pages")
    path.write_bytes(pdfs.written(pdfs.pages(4, "/MediaBox [0 0 100 100]")))
    assert len(pdf_pages(path, 72, 3, cache)) == 3
    monkeypatch.setattr(limits, "PROMPT_PIXELS", 29_999)
    for most in (4, None):  # three of them kept
        with pytest.raises(BadSample, match=r"x\.pdf: 4 pages at 72 dpi: 30,000 pixels on all pages"):
            pdf_pages(path, 72, most, cache)
    assert len(pdf_pages(path, 72, 2, cache)) == 2
    assert page_count(path) == 4


def test_room_and_latest() -> None:
    room = PictureRoom("here", "lower it")
    picture = Image.new("RGB", (1000, 1000))
    assert [room.take(picture) for _ in range(3)] == [picture] * 3
    room.ask(limits.PROMPT_PIXELS - 3_000_000)
    with pytest.raises(BadSample, match=r"here: 800,000,001 pixels .*; lower it"):
        room.ask(limits.PROMPT_PIXELS - 2_999_999)
    made: list[int] = []
    latest = Latest(lambda number: made.append(number) or [number])  # type: ignore[func-returns-value]
    assert latest(1) is latest(1)
    latest(2)
    latest(1)
    assert made == [1, 2, 1]
