"""Reads RefCOCOg as the Hugging Face set holds it: parquet files, a region a row, the image's bytes inside."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TypedDict

from coreheads.errors import BadSample, UserError, brief
from coreheads.hashing.contents import stamp
from coreheads.media.images import decode, picture_size
from coreheads.regions import Region
from coreheads.tasks.reading.contents import Cell, Content
from coreheads.tasks.reading.documents import Doc, read_doc, usable
from coreheads.tasks.reading.fields import items, label, numbers, words
from coreheads.tasks.reading.parquet import parquet_picture, parquet_rows
from coreheads.tasks.reading.sources import Source
from coreheads.tasks.scoring.boxes import area, fraction_of

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURE = "image"
COLUMNS = ["question_id", "question", "answer", "segmentation", "bbox", "iscrowd", "file_name"]
EDGE = 1.5
"""Pixels by which a box may leave its image: COCO's boxes are rounded."""

_COCO = re.compile(r"(COCO_[a-z]+\d+_\d{12})(?:_\d+)?\.jpg")


class Expression(TypedDict):
    """A usable record's fields, beside what every ``Doc`` has."""

    question_id: str
    expression: str
    box: list[float]  # x0, y0, x1, y1 in pixels; the files have x, y, width, height
    file_name: str  # as published: the image's, and a region's number
    parquet: str  # the file that holds the image
    row: int  # of that file, from 0


def expected(split: str, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The files that ``records`` reads, with what they are."""
    return [(f"data/{split}-*.parquet", "regions with their images")]


def records(source: Source, split: str) -> list[Doc]:
    """One record an expression, in the order of the files; images stay unread."""
    ((pattern, what),) = expected(split, {})
    names = source.names(pattern)
    if not names:
        raise UserError(f"{source.where(pattern)}: not there, expected {what}")
    docs: list[Doc] = []
    for name in names:
        for row, region in enumerate(parquet_rows(source.file(name, what), COLUMNS, [PICTURE])):
            docs += _expressions(source, split, name, row, region)
    return docs


def _expressions(source: Source, split: str, name: str, row: int, region: dict[str, Any]) -> list[Doc]:
    """One record an expression, each usable or not by itself; what is wrong with the region concerns all of them."""
    record = f"{split}/{region['question_id']}"
    group = image_name(str(region["file_name"]))
    answer = region["answer"]

    def read(number: int) -> Expression:
        x, y, width, height = numbers(region, "bbox", 4)
        if not (width > 0 and height > 0):
            raise ValueError(f"bbox is {region['bbox']}, expected x, y and a width and height above 0")
        expressions = items(region, "answer")
        if not expressions:
            raise ValueError("answer is empty, expected at least one expression")
        expression = expressions[number]
        if not isinstance(expression, str) or not expression.strip():
            raise ValueError(f"answer {number} is {brief(expression)}, expected an expression")
        return {
            "question_id": label(region, "question_id"),
            "expression": expression,
            "box": [x, y, x + width, y + height],
            "file_name": words(region, "file_name"),
            "parquet": name,
            "row": row,
        }

    where = f"{source.where(name)}: row {row}"
    return [
        read_doc(source.place, f"{record}/{number}", group, where, partial(read, number))
        for number in range(len(answer) if isinstance(answer, list) and answer else 1)
    ]


def image_name(file_name: str) -> str:
    """The image that a region's file name stands for: refs call it <image>_<annotation>.jpg."""
    match = _COCO.fullmatch(file_name)
    return f"{match[1]}.jpg" if match else file_name


def picture(doc: Doc) -> Image:
    """The record's image as stored, not turned by its EXIF tag: COCO's boxes are of the stored pixels (README.md).

    BadSample where it cannot be read, or its box lies outside of it.
    """
    size(doc)
    return decode(_bytes(doc["root"], doc["parquet"], doc["row"]), _where(doc), as_stored=True)


def media(doc: Doc) -> list[Content]:
    return [Cell(Source(doc["root"]).file(doc["parquet"], "regions with their images"), doc["row"], PICTURE)]


def size(doc: Doc) -> tuple[int, int]:
    """Width and height of the record's image in pixels, from its header; BadSample as for ``picture``."""
    usable(doc)
    path = Source(doc["root"]).file(doc["parquet"], "regions with their images")
    width, height = _size(doc["root"], doc["parquet"], doc["row"], stamp(path))
    x0, y0, x1, y1 = doc["box"]
    inside = min(x0, y0) >= -EDGE and x1 <= width + EDGE and y1 <= height + EDGE
    if not inside or area(fraction_of(doc["box"], width, height)) <= 0:
        raise BadSample(f"{_where(doc)}: bbox ends at {[x0, y0, x1, y1]}, outside its image of {width} x {height}")
    return width, height


@lru_cache(maxsize=65536)
def _size(root: str, parquet: str, row: int, now: object) -> tuple[int, int]:
    return picture_size(_bytes(root, parquet, row), f"{root}/{parquet}: row {row}")


def _bytes(root: str, parquet: str, row: int) -> bytes:
    data = parquet_picture(Source(root).file(parquet, "regions with their images"), row, PICTURE)
    if not data:
        raise BadSample(f"{root}/{parquet}: row {row} has no image, expected a picture's bytes")
    return data


def _where(doc: Doc) -> str:
    return f"{doc['root']}/{doc['parquet']}: row {doc['row']}"


def regions(doc: Doc) -> list[Region]:
    width, height = size(doc)
    return [Region(media=0, box=fraction_of(doc["box"], width, height))]
