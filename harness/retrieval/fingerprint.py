"""A fingerprint of benchmark records: two profiles with one hash were made from the same questions and truth."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from coreheads.regions import Region


def record_hash(
    record_id: str, messages: Sequence[Mapping[str, Any]], query: str | None, regions: Sequence[Region]
) -> str:
    """SHA-256 (hex) over the canonical JSON of what one record asks and where its truth lies.

    A picture counts by its size and a file by its name, not by their bytes: decoders and encoders differ
    between machines, folders differ between users, and the records stay the same.
    """
    content = {
        "id": record_id,
        "messages": _plain(list(messages)),
        "query": query,
        "regions": [asdict(region) for region in regions],
    }
    return _sha256(content)


def records_hash(hashes: Iterable[str]) -> str:
    """SHA-256 (hex) over the records' hashes; their order does not count."""
    return _sha256(sorted(hashes))


def _sha256(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
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
