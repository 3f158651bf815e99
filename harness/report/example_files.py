"""Example pictures of a run on disk: ``figures/examples/<model>__<task>.jpg`` with what it shows beside it as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from coreheads import limits
from coreheads.files import matching, read_bytes, read_json, write_bytes, write_json
from coreheads.opening import inside
from coreheads.text import file_name
from coreheads.validation import validating

SCHEMA_VERSION = 1
FOLDER = Path("figures") / "examples"
BYTES = 150_000
"""Of a picture, at most: a page embeds several."""


@dataclass(frozen=True)
class Example:
    """One picture: whose heads, on which record of which task, and what can be seen, in words."""

    model: str
    task: str
    record_id: str
    caption: str
    place: int = 0
    """Where it stands among the run's pictures."""


def image_path(run: Path, model: str, task: str) -> Path:
    return run / FOLDER / f"{file_name(f'{model}__{task}')}.jpg"


def store(run: Path, example: Example, image: bytes) -> Path:
    """Write a JPEG and its description; the description last, so that it never stands without the picture."""
    path = image_path(run, example.model, example.task)
    write_bytes(path, image)
    write_json(path.with_suffix(".json"), {"schema_version": SCHEMA_VERSION, **asdict(example)})
    return path


def stored(run: Path) -> list[tuple[Example, Path]]:
    """The examples of a run with their pictures, in their order. UserError for a description that is none, and for
    links in a file's place."""
    examples = []
    for path in matching(inside(run, *FOLDER.parts), "*.json"):
        with validating(Example, path, most=1, what="a file written by coreheads run"):
            example = TypeAdapter(Example).validate_python(read_json(path, limits.STORED_BYTES, run))
        if (picture := inside(run, *FOLDER.parts, f"{path.stem}.jpg")).is_file():
            examples.append((example, picture))
    return sorted(examples, key=lambda pair: pair[0].place)


def picture(path: Path) -> bytes:
    """The content of a picture that :func:`stored` found."""
    return read_bytes(path, limits.STORED_BYTES, path.parents[len(FOLDER.parts)])


def choose(
    examples: Iterable[tuple[Example, Path]], per_model: int, size: int, total: int
) -> list[tuple[Example, Path]]:
    """At most ``per_model`` pictures a model, each of at most ``size`` bytes, together at most ``total``."""
    counts: Counter[str] = Counter()
    kept, used = [], 0
    for example, path in examples:
        length = path.stat().st_size
        if length <= size and used + length <= total and counts[example.model] < per_model:
            counts[example.model] += 1
            used += length
            kept.append((example, path))
    return kept
