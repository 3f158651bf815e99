"""What a task's records and messages look like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coreheads.errors import BadSample, brief, escaped, one_line
from coreheads.text import encodable

if TYPE_CHECKING:
    from PIL.Image import Image

Doc = dict[str, Any]
"""One sample: JSON values only, the media by their path below ``doc["root"]``.

Every one has ``record_id``, ``root`` (the place of its benchmark, see ``tasks.reading.sources``) and ``group`` (the
image, video or document that it is about; splits never divide one). A record that cannot be used has ``bad``, the
reason, and nothing else need be in it. A benchmark's own fields are declared in its ``data`` module, its tasks' options
in the catalogue.
"""


Part = dict[str, Any]
"""A text, an image or a video of a message, in the chat format of lmms-eval and transformers."""

Messages = list[dict[str, Any]]
"""A prompt in that format."""


@contextmanager
def fields_of(where: str) -> Iterator[None]:
    """Turn a field that is missing or of a wrong type into a BadSample that names record and field."""
    try:
        yield
    except KeyError as error:
        raise BadSample(f"{where}: field {error} is missing") from None
    except OSError as error:
        name, why = error.filename or "a file", error.strerror or one_line(error)
        raise BadSample(f"{where}: {name} cannot be read ({why})") from None
    except (ValueError, SyntaxError) as error:
        raise BadSample(f"{where}: {one_line(error)}") from None
    except (TypeError, AttributeError, IndexError, ArithmeticError, RecursionError, MemoryError) as error:
        raise BadSample(f"{where}: a field is not as published ({one_line(error)})") from None


def read_doc(root: str, record_id: str, group: str, where: str, read: Callable[[], Mapping[str, object]]) -> Doc:
    """One record: what ``read`` gives of it, beside its place, id and group.

    Args:
        root: The place of its benchmark.
        record_id: Its name in the benchmark.
        group: What it is about, as far as is known of a record that cannot be used; ``read`` may know better.
        where: What to call the record in a message.
        read: Gives the other fields; whatever it raises is the record's ``bad``.
    """
    try:
        with fields_of(where):
            return {"root": root, **_characters({"record_id": record_id, "group": group, **read()})}
    except BadSample as error:
        return {"record_id": escaped(record_id), "root": root, "group": escaped(group), "bad": str(error)}


def _characters(fields: dict[str, object]) -> dict[str, object]:
    """The fields; ValueError where a text among them holds half a character."""
    for name, value in fields.items():
        half = next((text for text in _texts(value) if not encodable(text)), None)
        if half is not None:
            raise ValueError(f"{name} is {brief(half)}, expected whole characters")
    return fields


def _texts(value: object) -> Iterator[str]:
    """Every text in lists and mappings, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple | dict):
        for part in (*value, *value.values()) if isinstance(value, dict) else value:
            yield from _texts(part)


def usable(doc: Mapping[str, Any]) -> None:
    """Raise BadSample for a record that was found unusable when it was read."""
    if "bad" in doc:
        raise BadSample(str(doc["bad"]))


def user_turn(*content: Part) -> Messages:
    """A prompt of one message."""
    return [{"role": "user", "content": list(content)}]


def text(words: str) -> Part:
    return {"type": "text", "text": words}


def image(picture: Image) -> Part:
    return {"type": "image", "url": picture}


def video(path: Path, start: float | None = None, end: float | None = None) -> Part:
    """A video, or its part from ``start`` to ``end`` seconds.

    A part is named twice: start_time and end_time are lmms-eval's words, start and end our adapters'.
    """
    content: Part = {"type": "video", "url": str(path)}
    if start is not None or end is not None:
        content |= {"start_time": start, "end_time": end, "start": start, "end": end}
    return content


def labelled(pictures: Mapping[str, Image]) -> list[Part]:
    """Pictures in turn, each after its label, such as "Page 7"."""
    parts: list[Part] = []
    for label, picture in pictures.items():
        parts += [text(f"{label}:"), image(picture)]
    return parts
