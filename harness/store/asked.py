"""What was asked and what was answered, as a page shows it, on disk.

A run keeps ``asked/<task>.jsonl``, a line a record, and the pictures in ``asked/pictures``; a board has
``answers/<run>__<model>__<task>.json`` beside it, which its page fetches where it is served.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from coreheads import limits
from coreheads.errors import UserError
from coreheads.files import read_bytes, read_jsonl, write_bytes, write_text
from coreheads.opening import inside
from coreheads.store.fields import Count, Value, known_fields
from coreheads.store.schema import Versioned
from coreheads.store.validation import checked
from coreheads.text import file_name, json_text

FOLDER = "asked"
PICTURES = "pictures"
ANSWERS = "answers"

Edges = Annotated[list[Value], Field(min_length=4, max_length=4)]
"""A box as x0, y0, x1, y1 in 0..1, origin top left."""


@known_fields
class AskedPicture(TypedDict):
    """A picture of the prompt, made small: an image, a page, or a frame of a video."""

    file: Annotated[str, Field(pattern=r"^[0-9a-f]{24}\.jpg$")]
    """Its name in ``asked/pictures``."""
    label: str
    """Which of how many, or when."""
    width: Annotated[int, Field(ge=1, le=10_000)]
    """Of the file, in pixels."""
    height: Annotated[int, Field(ge=1, le=10_000)]
    """Of the file, in pixels."""
    boxes: list[Edges]
    """Gold regions on it; of one that is gold as a whole its edges."""


@known_fields
class AskedRegion(TypedDict):
    """A :class:`coreheads.regions.Region` as JSON."""

    media: Count
    """Which image, page or video of the prompt, from 0."""
    box: Edges | None
    """Null: all of it."""
    start: Value | None
    """Seconds; null: from the beginning. Images have none."""
    end: Value | None
    """Seconds; null: to the end."""


@known_fields
class AskedRecord(Versioned):
    """A line of ``asked/<task>.jsonl``."""

    record_id: str
    """As in the samples."""
    question: str
    """The words that name what is looked for."""
    prompt: str
    """All words of the prompt, from a certain length on cut."""
    target: str | None
    """A right answer; null where the benchmark gives none."""
    regions: list[AskedRegion]
    """Where the answer is; empty where the benchmark does not say."""
    pictures: list[AskedPicture]
    """Some of the prompt's, gold ones first to be kept."""
    of: Count
    """How many pictures and videos the prompt has."""
    missing: NotRequired[str | None]
    """Why pictures are missing; null where they are not."""


def path_of(run: Path, task: str) -> Path:
    """Of a task's records; UserError where it is a link, or a link leads to it."""
    return inside(run, FOLDER, f"{file_name(task)}.jsonl")


def read(run: Path, task: str) -> dict[str, AskedRecord]:
    """What a run stored of a task's records, by their ids; empty for runs of versions that did not."""
    path = path_of(run, task)
    found: dict[str, AskedRecord] = {}
    for number, line in enumerate(read_jsonl(path, run), 1):
        record = checked(AskedRecord, line, f"{path}: line {number}", "what was asked")
        found[record["record_id"]] = record
    return found


def write(run: Path, task: str, records: Iterable[AskedRecord]) -> None:
    """Replace what a run stored of a task; pictures were stored before."""
    write_text(path_of(run, task), "".join(json_text(record) + "\n" for record in records))


def picture_path(run: Path, name: str) -> Path:
    return inside(run, FOLDER, PICTURES, name)


def store_picture(run: Path, data: bytes) -> str:
    """Store a JPEG under a name that says what it holds, so that pages that several records show are there once."""
    name = _name(data)
    write_bytes(picture_path(run, name), data, sync=False)
    return name


def picture(run: Path, name: str) -> bytes:
    """A stored picture; UserError where it is not there, or not what was stored under that name."""
    path = picture_path(run, name)
    data = read_bytes(path, limits.STORED_BYTES, run)
    if _name(data) != name or not data.startswith(b"\xff\xd8\xff"):
        raise UserError(f"{path}: is not the picture of that name, expected one written by coreheads run")
    return data


def _name(data: bytes) -> str:
    return f"{hashlib.sha256(data).hexdigest()[:24]}.jpg"


class AnsweredBy(TypedDict):
    """A condition, of a random one a draw."""

    label: str
    patch: str
    draw: int | None
    """From 1; null where nothing is drawn."""


class ShownPicture(TypedDict):
    """As :class:`AskedPicture`, with where the page finds it."""

    src: str
    label: str
    width: int
    height: int
    boxes: list[list[float]]


Answer = tuple[int | None, float | None, bool]
"""Which of the sample's texts it is (None: not published), its score (None: unscored, and the text is the reason),
and whether it differs from the dense model's."""


class ShownSample(TypedDict):
    """A record with all that was answered."""

    id: str
    question: str | None
    """Null where the run did not store it."""
    prompt: str
    target: str | None
    gold: list[str]
    """Where the answer is, in words."""
    pictures: list[ShownPicture]
    missing: str | None
    """Why pictures are missing."""
    texts: list[str]
    """Each answer once."""
    answers: list[Answer | None]
    """By condition; null where it was not asked."""


class AnswerFile(TypedDict):
    """``answers/<run>__<model>__<task>.json``: the samples of one run, model and task."""

    schema_version: int
    run: str
    model: str
    task: str
    metric: str
    notes: list[str]
    """What is missing, and why."""
    total: int
    """How many samples the run has of the task."""
    conditions: list[AnsweredBy]
    samples: list[ShownSample]
    """Those first that most methods answer otherwise than the dense model."""
