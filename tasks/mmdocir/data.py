"""Reads MMDocIR: one line a document with its questions, and the pages' images in a parquet file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from coreheads.errors import UserError
from coreheads.files import read_jsonl
from coreheads.regions import Region
from coreheads.tasks.boxes import fraction_of
from coreheads.tasks.documents import BadSample, Doc, bad_doc, decode, fields_of, usable
from coreheads.tasks.parquet import parquet_cell, parquet_rows
from coreheads.tasks.sources import Source

if TYPE_CHECKING:
    from PIL.Image import Image

ANNOTATIONS, PAGES = "MMDocIR_annotations.jsonl", "MMDocIR_pages.parquet"


def expected() -> list[tuple[str, str]]:
    """The files that ``records`` and the media need, with what they are."""
    return [(ANNOTATIONS, "documents and questions"), (PAGES, "page images")]


def records(source: Source) -> list[Doc]:
    """One record a question, in the order of the file; page numbers count from 0, as in the file.

    ``rows`` is [first, last) of the document's rows in the pages' parquet (the file names the last itself).
    """
    path = source.file(ANNOTATIONS, "MMDocIR's annotations")
    docs: list[Doc] = []
    for line, document in enumerate(read_jsonl(path), 1):
        where = f"{path}: line {line}"
        try:
            with fields_of(where):
                name, questions = str(document["doc_name"]), document["questions"]
                first, last = document["page_indices"]
                common = {"root": source.place, "group": name, "doc_name": name, "domain": document["domain"]}
                rows = [first, last + 1]
        except BadSample as error:
            raise UserError(str(error)) from None
        for number, question in enumerate(questions):
            record = f"{name}/{number}"
            try:
                with fields_of(f"{where}: question {number}"):
                    docs.append({"record_id": record, **common, "rows": rows, **_question(question, last - first + 1)})
            except BadSample as error:
                docs.append(bad_doc(source.place, record, name, error))
    return docs


def _question(question: dict[str, Any], count: int) -> dict[str, Any]:
    pages = list(question["page_id"])
    if not pages or any(not isinstance(page, int) or not 0 <= page < count for page in pages):
        raise ValueError(f"page_id is {pages}, expected pages 0 to {count - 1}")
    return {
        "question": question["Q"],
        "answer": question["A"],
        "pages": pages,
        "layouts": [
            {"page": item["page"], "bbox": item["bbox"], "page_size": item["page_size"]}
            for item in question["layout_mapping"]
        ],
    }


@lru_cache(maxsize=1)
def _row_names(path: Any) -> list[str]:
    return [str(row["doc_name"]) for row in parquet_rows(path, ["doc_name"])]


def pages(doc: Doc, most: int | None = None) -> list[Image]:
    """The first ``most`` pages (None: all) of the record's document. BadSample where one is missing or unreadable."""
    usable(doc)
    first, end = doc["rows"]
    return list(_pages(doc["root"], doc["doc_name"], first, end if most is None else min(end, first + most)))


@lru_cache(maxsize=1)
def _pages(root: str, name: str, first: int, end: int) -> tuple[Image, ...]:
    # kept, so that the questions about one document show the very same pictures
    path = Source(root).file(PAGES, "page images")
    names = _row_names(path)
    if set(names[first:end]) != {name} or end > len(names):
        found = next((other for other in names[first:end] if other != name), f"a file of {len(names)} rows")
        raise BadSample(f"{path}: rows {first} to {end - 1} are of {found}, expected {name}")
    return tuple(
        decode(parquet_cell(path, row, "image_binary") or b"", f"{path}: row {row}, image_binary")
        for row in range(first, end)
    )


def layout_regions(layouts: Sequence[dict[str, Any]], shown: int | None = None) -> list[Region]:
    """Layout boxes (PDF points, origin top left) as regions; page n of the document is the prompt's medium n.

    Boxes are cut at the page's edge; those without an area, and those on pages from ``shown`` on, are left out.
    """
    found = []
    for layout in layouts:
        with fields_of(f"layout {layout}"):
            width, height = (float(side) for side in layout["page_size"])
            box = fraction_of([float(edge) for edge in layout["bbox"]], width, height)
            page = int(layout["page"])
        if (shown is None or page < shown) and box[2] > box[0] and box[3] > box[1]:
            found.append(Region(media=page, box=box))
    return found


def layout_problem(layout: dict[str, Any]) -> str:
    """What is wrong with a published layout box; "" for a good one."""
    width, height = layout["page_size"]
    x0, y0, x1, y1 = layout["bbox"]
    if not all(math.isfinite(edge) for edge in (x0, y0, x1, y1)) or x1 <= x0 or y1 <= y0:
        return f"box {layout['bbox']} on page {layout['page']} has no area"
    if min(x0, y0) < -1 or x1 > width + 1 or y1 > height + 1:
        return f"box {layout['bbox']} leaves page {layout['page']} of {width:g} x {height:g} points"
    return ""
