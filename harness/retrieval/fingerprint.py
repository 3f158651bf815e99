"""A fingerprint of benchmark records: of what they ask, which is the same everywhere, and of what they show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from coreheads.adapters.prompt.messages import parse
from coreheads.hashing.contents import json_hash
from coreheads.media.fingerprint import media_hash
from coreheads.regions import Region


def record_hash(
    record_id: str, messages: Sequence[Mapping[str, Any]], query: str | None, regions: Sequence[Region]
) -> str:
    """SHA-256 (hex) over the canonical JSON of what one record asks and where its truth lies.

    A picture counts by its size and a file by its name, not by their bytes: decoders and encoders differ
    between machines, folders differ between users, and the records stay the same. That is what profiles of several
    machines are compared by. What is kept on one machine is kept by ``content_hash``.
    """
    content = {
        "id": record_id,
        "messages": _plain(list(messages)),
        "query": query,
        "regions": [asdict(region) for region in regions],
    }
    return json_hash(content)


def records_hash(hashes: Iterable[str]) -> str:
    """SHA-256 (hex) over the records' hashes; their order does not count."""
    return json_hash(sorted(hashes))


def content_hash(messages: Sequence[Mapping[str, Any]]) -> str:
    """SHA-256 (hex) of everything that messages say and show: texts, and media by their contents.

    Raises:
        UserError: Messages that cannot be used, or a medium that cannot be read.
    """
    chat, sources = parse(messages)
    return json_hash([chat, [[media_hash(source.value), source.start, source.end] for source in sources]])


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        # a text that begins like a path is none
        return {str(key): part if key == "text" else _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, Path):
        return value.name
    if isinstance(value, str):
        return Path(value).name if value.startswith(("/", "file:")) or Path(value).is_absolute() else value
    if value is None or isinstance(value, bool | int | float):
        return value
    size = getattr(value, "size", None)  # a PIL image
    if isinstance(size, tuple):
        return {"width": size[0], "height": size[1]}
    return type(value).__name__
