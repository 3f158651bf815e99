"""Reads MMDocIR: one line a document with its questions, and the pages' images in a parquet file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from coreheads.errors import BadSample
from coreheads.hashing.contents import stamp
from coreheads.media.images import decode
from coreheads.media.room import Latest, PictureRoom
from coreheads.regions import Region
from coreheads.tasks.mmdocir.scoring import FIRST_PAGE, PageBox
from coreheads.tasks.reading.contents import Cell, Content
from coreheads.tasks.reading.documents import Doc, Messages, fields_of, labelled, read_doc, text, usable, user_turn
from coreheads.tasks.reading.fields import is_whole, items, json_lines, numbers, whole, words
from coreheads.tasks.reading.parquet import parquet_picture, parquet_rows
from coreheads.tasks.reading.sources import Source
from coreheads.tasks.scoring.boxes import fraction_of

if TYPE_CHECKING:
    from PIL.Image import Image

ANNOTATIONS, PAGES = "MMDocIR_annotations.jsonl", "MMDocIR_pages.parquet"
PICTURE = "image_binary"


class Layout(PageBox):
    """A published layout's box, in PDF points, origin top left."""

    page_size: list[float]  # width, height in points


class Question(TypedDict):
    """A usable record's fields, beside what every ``Doc`` has. Pages count from 0, as in the file."""

    doc_name: str
    domain: str
    rows: list[int]  # [first, end) of the document in the pages' parquet; the file names the last itself
    question: str
    answer: Any  # as published; retrieval does not look at it
    pages: list[int]  # that answer the question
    layouts: list[Layout]  # that answer the question


def expected(split: str, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The files that ``records`` and the media need, with what they are."""
    return [(ANNOTATIONS, "documents and questions"), (PAGES, "page images")]


def records(source: Source, split: str, options: Mapping[str, Any]) -> list[Doc]:
    """One record a question, in the order of the file."""
    path = source.file(ANNOTATIONS, "MMDocIR's annotations")
    docs: list[Doc] = []
    for line, document in json_lines(path):
        docs += _questions(source, document, line, f"{path}: line {line}")
    return [doc | dict(options) for doc in docs]


def _questions(source: Source, document: Any, line: int, where: str) -> list[Doc]:
    """A document's questions, each usable or not by itself; what is wrong with the document concerns all of them."""
    about: dict[str, Any] = document if isinstance(document, dict) else {}
    group = str(about.get("doc_name") or line)
    asked = about.get("questions")

    def read(number: int) -> Question:
        name, questions = words(document, "doc_name"), items(document, "questions")
        first, last = numbers(document, "page_indices", 2)
        if not is_whole(first + last) or not 0 <= first <= last:
            raise ValueError(f"page_indices is {[first, last]}, expected the first and the last row")
        domain = words(document, "domain")
        with fields_of(f"{where}: question {number}"):
            question = questions[number]
            pages = items(question, "page_id")
            if not pages or any(not is_whole(page) or not 0 <= page <= last - first for page in pages):
                raise ValueError(f"page_id is {pages}, expected pages 0 to {last - first}")
            return {
                "doc_name": name,
                "domain": domain,
                "rows": [first, last + 1],
                "question": words(question, "Q"),
                "answer": question["A"],
                "pages": pages,
                "layouts": [layout(item) for item in items(question, "layout_mapping")],
            }

    return [
        read_doc(source.place, f"{group}/{number}", group, where, partial(read, number))
        for number in range(len(asked) if isinstance(asked, list) else 1)
    ]


def layout(item: Any) -> Layout:
    """Page, box and page size of a published layout. ValueError for what cannot be a box on a page."""
    page, box, size = whole(item, "page"), numbers(item, "bbox", 4), numbers(item, "page_size", 2)
    if min(size) <= 0:
        raise ValueError(f"page_size is {size}, expected a width and a height above 0")
    return {"page": page, "bbox": box, "page_size": size}


@lru_cache(maxsize=1)
def _row_names(path: Path, now: object) -> list[str]:
    return [str(row["doc_name"]) for row in parquet_rows(path, ["doc_name"], [PICTURE])]


def _shown(doc: Doc) -> int:
    """How many pages of the record's document are shown: the first ``max_pages`` where the record has that."""
    first, end = doc["rows"]
    return int(min(end - first, doc.get("max_pages", end)))


def pages(doc: Doc) -> list[Image]:
    """The shown pages of the record's document. BadSample where one is missing or unreadable."""
    usable(doc)
    first = doc["rows"][0]
    path = Source(doc["root"]).file(PAGES, "page images")
    return list(_pages(path, stamp(path), doc["doc_name"], first, first + _shown(doc)))


def media(doc: Doc) -> list[Content]:
    path, first = Source(doc["root"]).file(PAGES, "page images"), doc["rows"][0]
    return [Cell(path, row, PICTURE) for row in range(first, first + _shown(doc))]


@Latest
def _pages(path: Path, now: object, name: str, first: int, end: int) -> tuple[Image, ...]:
    # kept, so that the questions about one document show the very same pictures
    names = _row_names(path, now)
    if set(names[first:end]) != {name} or end > len(names):
        other_name = next((other for other in names[first:end] if other != name), f"a file of {len(names)} rows")
        raise BadSample(f"{path}: rows {first} to {end - 1} are of {other_name}, expected {name}")
    room = PictureRoom(f"{path}: rows {first} to {end - 1}", "lower the option max_pages")
    return tuple(
        room.take(decode(parquet_picture(path, row, PICTURE), f"{path}: row {row}, {PICTURE}"))
        for row in range(first, end)
    )


def pages_then(doc: Doc, question: str) -> Messages:
    """One message: every shown page after its label, then the question."""
    labels = {f"Page {number}": page for number, page in enumerate(pages(doc), FIRST_PAGE)}
    return user_turn(*labelled(labels), text(question))


def query(doc: Doc) -> str:
    return str(doc["question"])


def regions(doc: Doc) -> list[Region]:
    """The layout boxes; whole gold pages where none of them has an area."""
    shown = _shown(doc)
    boxes = layout_regions(doc["layouts"], shown)
    return boxes or [Region(media=page) for page in doc["pages"] if page < shown]


def layout_regions(layouts: Sequence[Layout], shown: int | None = None) -> list[Region]:
    """Layout boxes (PDF points, origin top left) as regions; page n of the document is the prompt's medium n.

    Boxes are cut at the page's edge; those without an area, and those on pages from ``shown`` on, are left out.
    """
    boxes = [(layout["page"], fraction_of(layout["bbox"], *layout["page_size"])) for layout in layouts]
    return [
        Region(media=page, box=box)
        for page, box in boxes
        if (shown is None or page < shown) and box[2] > box[0] and box[3] > box[1]
    ]


def problems(doc: Doc) -> list[str]:
    """What is wrong with the record's layout boxes."""
    odd = []
    for layout in doc["layouts"]:
        page, (x0, y0, x1, y1), (width, height) = layout["page"], layout["bbox"], layout["page_size"]
        if x1 <= x0 or y1 <= y0:
            odd.append(f"box {layout['bbox']} on page {page} has no area")
        elif min(x0, y0) < -1 or x1 > width + 1 or y1 > height + 1:
            odd.append(f"box {layout['bbox']} leaves page {page} of {width:g} x {height:g} points")
    return odd
