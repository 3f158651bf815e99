"""Reads RefCOCOg as the Hugging Face set holds it: parquet files, a region a row, the image's bytes inside."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from coreheads.regions import Region
from coreheads.tasks.documents import Doc, decode, parquet_cell, parquet_rows

if TYPE_CHECKING:
    from PIL.Image import Image

COLUMNS = ["question_id", "question", "answer", "segmentation", "bbox", "iscrowd", "file_name"]


def expected(root: Path, split: str) -> list[tuple[Path, str]]:
    """The files that ``records`` reads, with what they are."""
    found = sorted(root.glob(f"data/{split}-*.parquet"))
    return [(path, "regions with their images") for path in found or [root / f"data/{split}-*.parquet"]]


def records(root: Path, split: str) -> list[Doc]:
    """One record an expression, in the order of the files; images stay unread.

    ``box`` is x0, y0, x1, y1 in pixels, made here from the files' x, y, width, height.
    """
    docs = []
    for path, _ in expected(root, split):
        for row, region in enumerate(parquet_rows(path, COLUMNS)):
            x, y, width, height = region["bbox"]
            for number, expression in enumerate(region["answer"]):
                docs.append(
                    {
                        "record_id": f"{split}/{region['question_id']}/{number}",
                        "root": str(root),
                        "question_id": region["question_id"],
                        "expression": expression,
                        "box": [x, y, x + width, y + height],
                        "file_name": region["file_name"],
                        "parquet": str(path.relative_to(root)),
                        "row": row,
                    }
                )
    return docs


def picture(doc: Doc) -> Image:
    """The record's image."""
    return decode(_bytes(doc["root"], doc["parquet"], doc["row"]))


@lru_cache(maxsize=65536)
def _size(root: str, parquet: str, row: int) -> tuple[int, int]:
    from PIL import Image as Pillow

    with Pillow.open(io.BytesIO(_bytes(root, parquet, row))) as header:
        return header.size


def size(doc: Doc) -> tuple[int, int]:
    """Width and height of the record's image in pixels, from its header."""
    return _size(doc["root"], doc["parquet"], doc["row"])


def _bytes(root: str, parquet: str, row: int) -> bytes:
    data: bytes = parquet_cell(Path(root) / parquet, row, "image")["bytes"]
    return data


def regions(doc: Doc) -> list[Region]:
    width, height = size(doc)
    x0, y0, x1, y1 = doc["box"]
    return [Region(media=0, box=(x0 / width, y0 / height, x1 / width, y1 / height))]
