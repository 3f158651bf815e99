"""What records say and what they point to, by its contents: the same wherever it lies, another when it has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from coreheads.errors import UserError
from coreheads.hashing.contents import file_hash, json_hash
from coreheads.tasks.reading.documents import Doc, fields_of, usable
from coreheads.tasks.reading.parquet import parquet_picture

PLACES = ("root", "family", "file", "offset", "parquet", "row", "rows")
"""Fields that say where a record's contents lie, or for which model it is written: not what it is."""


SAID = 16
"""Characters of a fingerprint that stand for what a record says; the others stand for what it points to."""


@dataclass(frozen=True)
class Cell:
    """A picture in a parquet file."""

    path: Path
    row: int
    column: str


Content = Path | Cell | str
"""A file, a picture in a parquet file, or a text."""


def fingerprints(docs: Iterable[Doc], media: Callable[[Doc], Iterable[Content]]) -> dict[str, str | None]:
    """What each record is, by its id; None where it, or something that it points to, cannot be read.

    Args:
        docs: Records.
        media: What one points to.
    """
    known: dict[Content, str] = {}

    def digest(content: Content) -> str:
        if content not in known:
            known[content] = _digest(content)
        return known[content]

    def fingerprint(doc: Doc) -> str | None:
        own = {name: value for name, value in doc.items() if name not in PLACES}
        try:
            usable(doc)
            with fields_of(""):
                shown = [digest(content) for content in media(doc)]
                return json_hash(own)[:SAID] + json_hash(shown)[:16]
        except UserError:
            return None

    return {str(doc["record_id"]): fingerprint(doc) for doc in docs}


def _digest(content: Content) -> str:
    if isinstance(content, Path):
        return file_hash(content)
    if isinstance(content, Cell):
        return hashlib.sha256(parquet_picture(content.path, content.row, content.column)).hexdigest()
    return json_hash(content)
