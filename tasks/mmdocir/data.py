"""Reads MMDocIR: one line a document with its questions, and the pages' images in a parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from coreheads.errors import UserError
from coreheads.files import read_jsonl
from coreheads.regions import Region
from coreheads.tasks.documents import Doc, decode, existing, parquet_cell

if TYPE_CHECKING:
    from PIL.Image import Image

ANNOTATIONS, PAGES = "MMDocIR_annotations.jsonl", "MMDocIR_pages.parquet"


def expected(root: Path) -> list[tuple[Path, str]]:
    """The files that ``records`` and the media need, with what they are."""
    return [(root / ANNOTATIONS, "documents and questions"), (root / PAGES, "page images")]


def records(root: Path) -> list[Doc]:
    """One record a question, in the order of the file; page numbers count from 0, as in the file.

    ``rows`` is [first, last) of the document's rows in the pages' parquet (the file names the last itself).
    """
    path = existing(root / ANNOTATIONS, "MMDocIR's annotations")
    docs = []
    for document in read_jsonl(path):
        try:
            first, last = document["page_indices"]
            for number, question in enumerate(document["questions"]):
                docs.append(
                    {
                        "record_id": f"{document['doc_name']}/{number}",
                        "root": str(root),
                        "doc_name": document["doc_name"],
                        "domain": document["domain"],
                        "rows": [first, last + 1],
                        "question": question["Q"],
                        "answer": question["A"],
                        "pages": question["page_id"],
                        "layouts": question["layout_mapping"],
                    }
                )
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(f"{path}: document {document.get('doc_name')!r}: {error!r}") from None
    return docs


def pages(doc: Doc) -> list[Image]:
    """Every page of the record's document."""
    path = Path(doc["root"]) / PAGES
    return [decode(parquet_cell(path, row, "image_binary")) for row in range(*doc["rows"])]


def layout_regions(layouts: list[dict[str, Any]]) -> list[Region]:
    """Layout boxes (PDF points, origin top left) as regions; page n of the document is the prompt's medium n."""
    found = []
    for layout in layouts:
        width, height = layout["page_size"]
        x0, y0, x1, y1 = layout["bbox"]
        found.append(Region(media=layout["page"], box=(x0 / width, y0 / height, x1 / width, y1 / height)))
    return found
