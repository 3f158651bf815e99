"""How large a PDF page's unit is: its UserUnit, which PDFium neither applies nor tells, but writes into a copy."""

from __future__ import annotations

import io
import mmap
import re
from pathlib import Path
from typing import Any

_NUMBER = rb"([-+]?[\d.]+)"


def user_units(document: Any, path: Path, pages: list[int]) -> dict[int, float]:
    """The UserUnit of each of the pages: what one of its units is in points, 1 where it says nothing of use.

    Args:
        document: The PDF, opened.
        path: Its file, not empty.
        pages: Numbers from 0.
    """
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        named, packed = data.find(b"/UserUnit") >= 0, data.find(b"/ObjStm") >= 0
    # pages' dictionaries may be packed in streams: then a copy tells whether any of them has one
    here = named or (packed and _in_copy(document))
    return {page: _user_unit(document, page) if here else 1.0 for page in pages}


class _Search:
    """A file to write to that keeps nothing but whether a UserUnit was written."""

    wanted = b"/UserUnit"
    found, _end = False, b""

    def write(self, data: bytes) -> None:
        seen = self._end + bytes(data)
        self.found = self.found or self.wanted in seen
        self._end = seen[-len(self.wanted) :]


def _in_copy(document: Any) -> bool:
    import pypdfium2 as pdfium

    search = _Search()
    try:
        document.save(search)
    except pdfium.PdfiumError:
        return False
    return search.found


def _user_unit(document: Any, page: int) -> float:
    import pypdfium2 as pdfium

    stream, single = io.BytesIO(), pdfium.PdfDocument.new()
    try:
        single.import_pages(document, [page])
        single.save(stream)  # its dictionaries are plain text
    except pdfium.PdfiumError:
        return 1.0
    finally:
        single.close()
    copy = stream.getvalue()
    kid = re.search(rb"/Kids\[\s*(\d+) 0 R", copy)
    said = kid and re.search(rb"/UserUnit\s+" + _NUMBER + rb"( 0 R)?", _object(copy, kid[1]))
    if said and said[2]:
        said = re.match(_NUMBER, _object(copy, said[1]))
    try:
        unit = float(said[1]) if said else 1.0
    except ValueError:
        return 1.0
    return unit if unit > 0 else 1.0


def _object(copy: bytes, number: bytes) -> bytes:
    """What an object of a copy holds."""
    found = re.search(rb"\s%s 0 obj\s+(.*?)\sendobj" % number, copy, re.DOTALL)
    return found[1] if found else b""
