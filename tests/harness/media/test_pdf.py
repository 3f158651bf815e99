"""PDF pages: rendered once, cached within bounds, whatever goes wrong with the cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trees

from coreheads.errors import BadSample
from coreheads.media import page_cache
from coreheads.media.page_cache import PageCache
from coreheads.media.pdf import page_count, pdf_pages
from coreheads.tasks.mini.writers.media import write_pdf


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def document(tmp_path: Path) -> Path:
    write_pdf(tmp_path / "x.pdf", [np.asarray(trees.picture(page)) for page in range(4)], 144)
    return tmp_path / "x.pdf"


def test_pages_are_cached_by_content_resolution_and_number(document: Path, tmp_path: Path) -> None:
    cache = PageCache(tmp_path / "pages")
    pages = pdf_pages(document, 144, cache=cache)
    assert page_count(document) == len(pages) == 4
    assert all(np.array_equal(np.asarray(page), trees.picture(n)) for n, page in enumerate(pages))
    files = {path.name for path in cache.folder.iterdir()}
    assert len(files) == 4
    assert len(pdf_pages(document, 72, 2, cache)) == 2
    assert len(list(cache.folder.iterdir())) == 6
    # the same content elsewhere, without rendering it
    moved = tmp_path / "moved.pdf"
    document.rename(moved)
    again = pdf_pages(moved, 144, cache=PageCache(tmp_path / "pages"))
    assert [page.tobytes() for page in again] == [page.tobytes() for page in pages]
    assert {path.name for path in cache.folder.iterdir()} >= files


def test_neighbours_get_the_same_pages(document: Path, tmp_path: Path) -> None:
    cache = PageCache(tmp_path / "pages")
    assert pdf_pages(document, 144, cache=cache)[0] is pdf_pages(document, 144, cache=cache)[0]


def test_the_cache_stays_within_bounds_and_keeps_what_is_used(tmp_path: Path) -> None:
    pages = [trees.picture(number) for number in range(6)]
    cache = PageCache(tmp_path / "pages")
    for number, page in enumerate(pages):
        cache.put(f"p{number}", page)
        os.utime(cache.folder / f"p{number}.png", (number, number))
    assert cache.get("p0") is not None  # used last
    size = max(path.stat().st_size for path in cache.folder.iterdir())
    PageCache(tmp_path / "pages", max_bytes=3 * size).trim()
    left = {path.stem for path in cache.folder.iterdir()}
    assert 2 <= len(left) <= 4
    assert "p0" in left
    assert "p1" not in left
    assert sum(path.stat().st_size for path in cache.folder.iterdir()) <= 3 * size


def test_writing_trims_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_cache, "_CHECK_EVERY", 1)
    cache = PageCache(tmp_path / "pages", max_bytes=1)
    cache.put("a", trees.picture(0))
    assert not list(cache.folder.iterdir())


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError(13, "Permission denied")])
def test_a_full_or_closed_disk_only_costs_time(
    error: OSError, document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("PIL.Image.Image.save", refuse)
    cache = PageCache(tmp_path / "pages")
    assert len(pdf_pages(document, 96, cache=cache)) == 4
    assert not list(cache.folder.iterdir())


def test_a_broken_entry_is_drawn_anew(document: Path, tmp_path: Path) -> None:
    cache = PageCache(tmp_path / "pages")
    pages = pdf_pages(document, 100, cache=cache)
    for path in cache.folder.iterdir():
        path.write_bytes(path.read_bytes()[:20])
    from coreheads.media import pdf

    pdf._pages.cache_clear()
    assert [page.tobytes() for page in pdf_pages(document, 100, cache=cache)] == [page.tobytes() for page in pages]


def test_two_processes_share_the_cache(document: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from coreheads.media.pdf import pdf_pages;"
        "from coreheads.media.page_cache import PageCache;"
        "cache = PageCache(Path(sys.argv[2]), max_bytes=20_000);"
        "[cache.trim() or pdf_pages(Path(sys.argv[1]), dpi, cache=cache) for dpi in range(72, 102, 3)]"
    )
    (tmp_path / "pages").mkdir()
    arguments = [sys.executable, "-c", program, str(document), str(tmp_path / "pages")]
    running = [subprocess.Popen(arguments, stderr=subprocess.PIPE) for _ in range(2)]
    errors = [process.communicate(timeout=600)[1].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0], errors
    assert not list((tmp_path / "pages").glob("*.tmp"))


def test_what_is_no_pdf(tmp_path: Path) -> None:
    (tmp_path / "x.pdf").write_bytes(b"%PDF-1.4 not really")
    with pytest.raises(BadSample, match=r"x.pdf: cannot be read as a PDF"):
        page_count(tmp_path / "x.pdf")
    with pytest.raises(BadSample, match=r"y.pdf: cannot be opened .*expected a PDF"):
        pdf_pages(tmp_path / "y.pdf", 72)
