"""Reads MMLongBench (Wang et al. 2025): JSON-lines files of up to gigabytes by line, images by path."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, BinaryIO, TypedDict

from coreheads import limits
from coreheads.errors import BadSample, UserError, brief
from coreheads.hashing.contents import stamp
from coreheads.opening import open_file
from coreheads.tasks.mmlongbench.scoring import MOST_CHOICES, check_answer
from coreheads.tasks.mmlongbench.subtasks import Subtask
from coreheads.tasks.reading.contents import Content
from coreheads.tasks.reading.documents import Doc, read_doc, usable
from coreheads.tasks.reading.fields import field, is_whole, json_line, label, words
from coreheads.tasks.reading.sources import Source
from coreheads.text import for_rich

IMAGES = "mmlb_image"
PICTURES = ("page_list", "ctxs", "image_list", "needle_image_list", "choices_image")
"""Fields of a line that list names of pictures; ``ctxs`` lists texts in some sub-tasks."""
LARGE = 64 << 20
"""Bytes from which on reading a file is worth a bar."""

_PAGE = re.compile(r"_page(\d+)\.\w+$")  # counts from 0
_SLIDE = re.compile(r"-(\d+)-\d+\.\w+$")  # counts from 1: <deck>-<number>-1024.jpg


class Line(TypedDict):
    """A usable record's fields, beside what every ``Doc`` has. Also ``subtask`` and ``length``."""

    file: str
    offset: int  # of the line's first byte
    place: int  # number of the line, from 0
    id: str
    group: str  # the document, where there is one, else the id
    question: str
    answer: Any  # as the sub-task's metric wants it: see ``scoring.check_answer``
    answer_format: str | None  # of document questions


def records(source: Source, name: str, subtask: Subtask, length: int) -> list[Doc]:
    """One record a line of a sub-task's file, without its context, which stays in the file."""
    file = subtask.name(length)
    docs: list[Doc] = []
    path = source.file(file, f"MMLongBench's {name} at {length}k")
    with _opened(path) as stream:
        for number, (offset, line) in enumerate(_lines(stream, path)):
            record = f"{name}_{length}k/{number}"
            published = json_line(line, source.where(file), number + 1)
            at = f"{source.where(file)}: line {number + 1}"
            read = partial(_record, published, subtask, file, offset, number)
            docs.append(read_doc(source.place, record, record, at, read) | {"subtask": name, "length": length})
    if not docs:
        raise UserError(f"{source.where(file)}: is empty, expected a JSON record a line")
    return docs


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file, with a bar on stderr while it is read where that takes long."""
    from rich import progress
    from rich.console import Console

    with open_file(path, limits.RECORDS_BYTES) as stream:
        if (size := path.stat().st_size) < LARGE:
            yield stream
            return
        what = for_rich(f"reading {path.name}")
        with progress.wrap_file(
            stream, size, description=what, console=Console(stderr=True), transient=True
        ) as watched:
            yield watched


def _lines(stream: BinaryIO, path: Path) -> Iterator[tuple[int, bytes]]:
    """(offset, line) of all that are not blank; UserError for one that is too long."""
    offset = 0
    while line := stream.readline(limits.RECORD_BYTES + 1):
        if len(line) > limits.RECORD_BYTES:
            raise UserError(f"{path}: a line has more than {limits.RECORD_BYTES:,} bytes, expected a record a line")
        if line.strip():
            yield offset, line
        offset += len(line)


def _record(record: Any, subtask: Subtask, file: str, offset: int, number: int) -> Line:
    answer_format = field(record, "answer_format") if subtask.metric == "docqa" else None
    answer = field(record, "answer")
    choices = record.get("choices_image")
    count = len(choices) if isinstance(choices, list) and choices else MOST_CHOICES
    check_answer(answer, subtask.metric, answer_format, count)
    return {
        "file": file,
        "offset": offset,
        "place": number,
        "id": label(record, "id"),
        "group": label(record, "doc_name" if subtask.layout == "pages" else "id"),
        "question": words(record, "question"),
        "answer": answer,
        "answer_format": answer_format,
    }


@lru_cache(maxsize=4)
def _line(path: Path, now: object, offset: int) -> dict[str, Any]:
    with open_file(path, limits.RECORDS_BYTES) as stream:
        stream.seek(offset)
        record: dict[str, Any] = json.loads(stream.readline(limits.RECORD_BYTES))
        return record


def where(doc: Doc) -> str:
    """What to call a record in a message."""
    return f"{doc['root']}/{doc['file']}: line {doc['place'] + 1}"


def content(doc: Doc) -> dict[str, Any]:
    """The record's whole line, context included."""
    usable(doc)
    path = Source(doc["root"]).file(doc["file"], "MMLongBench's records")
    return _line(path, stamp(path), doc["offset"])


def media(doc: Doc) -> list[Content]:
    """The whole line, and every picture that it names."""
    record = content(doc)
    named = [record.get("image"), *(name for field in PICTURES for name in record.get(field) or [])]
    return [json.dumps(record), *(image_path(doc, name) for name in named if isinstance(name, str))]


def image_path(doc: Doc, name: str) -> Path:
    """An image's file; BadSample where it is missing."""
    if not isinstance(name, str) or not name.strip():
        raise BadSample(f"{where(doc)}: names a picture {brief(name)}, expected a path below {IMAGES}")
    return Source(doc["root"]).file(f"{IMAGES}/{name}", "a picture")


def page_of(path: str) -> int | None:
    """The page, from 0, that a file name stands for; None where it names none."""
    if match := _PAGE.search(path):
        return int(match[1])
    match = _SLIDE.search(path)
    return int(match[1]) - 1 if match else None


def gold_pages(record: Mapping[str, Any]) -> list[int]:
    """Indices in ``page_list`` of the answer's pages. ``ans_page_list`` counts pages of the document from 0."""
    wanted = {page for page in record["ans_page_list"] if is_whole(page)}
    return [
        index
        for index, path in enumerate(record["page_list"])
        if page_of(path) in wanted and Path(path).parent.name == record["doc_name"]
    ]


def needles(record: Mapping[str, Any], shown: list[str]) -> list[int]:
    """Indices in ``shown`` of the pictures that ``positive_ctxs`` names; its paths may lack the leading folder."""
    names = [item.get("image") if isinstance(item, dict) else item for item in record.get("positive_ctxs") or []]
    wanted = [name for name in names if isinstance(name, str) and name]
    return [
        index for index, path in enumerate(shown) if any(path == name or path.endswith(f"/{name}") for name in wanted)
    ]
