"""PDF pages as pictures, rendered by pypdfium2 and kept in a page cache."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coreheads import limits
from coreheads.errors import BadSample
from coreheads.files import whole_file
from coreheads.media.page_cache import PageCache
from coreheads.media.pdf_forms import form_drawer
from coreheads.media.pdf_units import user_units
from coreheads.media.room import Latest, PictureRoom

if TYPE_CHECKING:
    from PIL.Image import Image

_PDFIUM = threading.Lock()
"""PDFium is not thread-safe."""


def page_count(path: Path) -> int:
    """Number of pages; BadSample for what is no PDF."""
    return _about(str(path), *_stamp(path))[1]


def pdf_pages(path: Path, dpi: int, most: int | None = None, cache: PageCache | None = None) -> tuple[Image, ...]:
    """Pages of a PDF as RGB images; neighbouring samples about one document get the very same ones.

    Args:
        path: The PDF.
        dpi: Pixels an inch.
        most: So many pages, from the first on; None: all.
        cache: Where rendered pages are kept; None is the user's own.

    Raises:
        BadSample: The file is missing, no PDF or empty.
    """
    return _pages(str(path), _stamp(path), dpi, most, cache or PageCache())


@Latest
def _pages(path: str, stamp: tuple[int, int], dpi: int, most: int | None, cache: PageCache) -> tuple[Image, ...]:
    key, count = _about(path, *stamp)
    if not count:
        raise BadSample(f"{path}: has no pages, expected a PDF with at least one")
    names = {page: f"{key}-{_drawing()}-{dpi}-{page}" for page in range(count if most is None else min(count, most))}
    room = PictureRoom(f"{path}: {len(names):,} pages at {dpi} dpi", "lower max_pages or dpi")
    pictures: dict[int, Image | None] = dict.fromkeys(names)
    for page, name in names.items():
        if (kept := cache.get(name)) is not None:
            pictures[page] = room.take(kept)
    missing = [page for page, picture in pictures.items() if picture is None]
    for page, picture in zip(missing, _rendered(path, dpi, missing, room), strict=True):
        cache.put(names[page], picture)
        pictures[page] = picture
    return tuple(picture for picture in pictures.values() if picture is not None)


def _drawing() -> str:
    """What a kept page depends on besides its document: how we draw, and the PDFium that does."""
    from pypdfium2 import PDFIUM_INFO

    return f"2-{PDFIUM_INFO.build}"


def _rendered(path: str, dpi: int, pages: list[int], room: PictureRoom) -> Iterator[Image]:
    """One page after the other; none where there is no room for all of them."""
    if not pages:
        return
    with _opened(path, "page cannot be rendered ({})") as document, form_drawer(document) as draw_form:
        scales = {page: unit * dpi / 72 for page, unit in user_units(document, Path(path), pages).items()}
        areas = [math.prod(document.get_page_size(page)) * scale**2 for page, scale in scales.items()]
        for area in areas:
            limits.check(area, limits.PICTURE_PIXELS, "pixels on a page")
        room.ask(sum(areas))
        for number, scale in scales.items():
            page = document[number]
            bitmap = page.render(scale=scale)
            draw_form(page, bitmap)
            picture = bitmap.to_pil()
            page.close()
            del bitmap  # while the caller packs the picture, it is held once
            yield picture if picture.mode == "RGB" else picture.convert("RGB")


@contextmanager
def _opened(path: str, fault: str) -> Iterator[Any]:
    """The document, while no other thread uses PDFium; BadSample for what is none, and for any ``fault`` within."""
    import pypdfium2 as pdfium

    with _PDFIUM:
        try:
            document = pdfium.PdfDocument(path)
        except pdfium.PdfiumError as error:
            raise BadSample(f"{path}: cannot be read as a PDF ({error})") from None
        try:
            yield document
        except (pdfium.PdfiumError, ValueError) as error:
            raise BadSample(f"{path}: {fault.format(error)}") from None
        finally:
            document.close()


def _stamp(path: Path) -> tuple[int, int]:
    try:
        about = path.stat()
    except OSError as error:
        raise BadSample(f"{path}: cannot be opened ({error.strerror}), expected a PDF") from None
    return about.st_size, about.st_mtime_ns


@lru_cache(maxsize=256)
def _about(path: str, size: int, changed: int) -> tuple[str, int]:
    """(hash of the content, number of pages)."""
    key = hashlib.sha256(whole_file(Path(path), limits.PDF_BYTES, "a PDF", BadSample)).hexdigest()[:32]
    with _opened(path, "{}") as document:
        limits.check(len(document), limits.PDF_PAGES, "pages")
        return key, len(document)
