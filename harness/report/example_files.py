"""Example pictures of a run on disk: ``figures/examples/<model>__<task>.jpg`` with what it shows beside it as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from coreheads.errors import UserError
from coreheads.files import read_json, write_bytes, write_json
from coreheads.text import file_name

SCHEMA_VERSION = 1
FOLDER = Path("figures") / "examples"
BYTES = 150_000
"""Of a picture, at most: a page embeds several."""


@dataclass(frozen=True)
class Example:
    """One picture: whose heads, on which record of which task, and what can be seen, in words.

    place: where it stands among the run's pictures.
    """

    model: str
    task: str
    record_id: str
    caption: str
    place: int = 0


def image_path(run: Path, model: str, task: str) -> Path:
    return run / FOLDER / f"{file_name(f'{model}__{task}')}.jpg"


def store(run: Path, example: Example, image: bytes) -> Path:
    """Write a JPEG and its description; the description last, so that it never stands without the picture."""
    path = image_path(run, example.model, example.task)
    write_bytes(path, image)
    write_json(path.with_suffix(".json"), {"schema_version": SCHEMA_VERSION, **asdict(example)})
    return path


def stored(run: Path) -> list[tuple[Example, Path]]:
    """The examples of a run with their pictures, in their order. UserError for a description that is none."""
    examples = []
    for path in sorted((run / FOLDER).glob("*.json")):
        content = read_json(path)
        fields = ("model", "task", "record_id", "caption")
        if not isinstance(content, dict) or not all(isinstance(content.get(name), str) for name in fields):
            raise UserError(f"{path}: has no {', '.join(fields)}, expected a file written by coreheads run")
        place = content.get("place")
        texts = {name: str(content[name]) for name in fields}
        picture = path.with_suffix(".jpg")
        if picture.is_file():
            examples.append((Example(**texts, place=place if isinstance(place, int) else 0), picture))
    return sorted(examples, key=lambda pair: pair[0].place)


def choose(
    examples: Iterable[tuple[Example, Path]], per_model: int, size: int, total: int
) -> list[tuple[Example, Path]]:
    """At most ``per_model`` pictures a model, each of at most ``size`` bytes, together at most ``total``."""
    counts: dict[str, int] = {}
    kept, used = [], 0
    for example, path in examples:
        length = path.stat().st_size
        if length <= size and used + length <= total and counts.get(example.model, 0) < per_model:
            counts[example.model] = counts.get(example.model, 0) + 1
            used += length
            kept.append((example, path))
    return kept
