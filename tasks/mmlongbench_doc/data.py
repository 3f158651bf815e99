"""Reads MMLongBench-Doc: data/samples.json and data/documents/*.pdf, with regions from MMDocIR where it has them."""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from coreheads.errors import UserError
from coreheads.files import read_json, read_jsonl
from coreheads.regions import Region
from coreheads.tasks.documents import Doc, pdf_pages
from coreheads.tasks.mmdocir.data import ANNOTATIONS, layout_regions

if TYPE_CHECKING:
    from PIL.Image import Image

DPI = 144
"""The official resolution."""


def expected(root: Path) -> list[tuple[Path, str]]:
    """The files that ``records`` and the media need, with what they are."""
    return [
        (root / "data/samples.json", "questions"),
        (root / "data/documents", "documents, *.pdf"),
        (root / ANNOTATIONS, "MMDocIR's annotations (for boxes; without them regions are whole pages)"),
    ]


def records(root: Path) -> list[Doc]:
    """One record a question, in the order of the file.

    ``pages`` counts from 0 (the file from 1); numbers that cannot be a page at all (0 in the file) are left out.
    """
    path = root / "data/samples.json"
    docs = []
    for index, sample in enumerate(read_json(path)):
        try:
            pages = ast.literal_eval(sample["evidence_pages"])
            docs.append(
                {
                    "record_id": str(index),
                    "root": str(root),
                    "document": sample["doc_id"],
                    "question": sample["question"],
                    "answer": sample["answer"],
                    "answer_format": sample["answer_format"],
                    "pages": [page - 1 for page in pages if page >= 1],
                }
            )
        except (KeyError, TypeError, ValueError, SyntaxError) as error:
            raise UserError(f"{path}: record {index}: {error!r}") from None
    return docs


def pages(doc: Doc) -> tuple[Image, ...]:
    """Every page of the record's document, at DPI."""
    return pdf_pages(str(Path(doc["root"]) / "data/documents" / doc["document"]), DPI)


@lru_cache(maxsize=8)
def _layouts(root: str) -> dict[tuple[str, str], list[Region]]:
    return {
        (document["doc_name"], question["Q"]): layout_regions(question["layout_mapping"])
        for document in read_jsonl(Path(root) / ANNOTATIONS)
        for question in document["questions"]
    }


def regions(doc: Doc) -> list[Region]:
    """MMDocIR's boxes for the same document and question; else the whole evidence pages."""
    boxes = _layouts(doc["root"]).get((doc["document"], doc["question"]))
    return boxes if boxes else [Region(media=page) for page in doc["pages"]]
