"""What files hold, as a short text: neither a name nor a size nor a time stands for contents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, TypedDict

from coreheads.errors import UserError
from coreheads.limits import MIB

BLOCK, BLOCKS = 64 << 10, 4096
"""Bytes of a block, and how many of them stand for a file that is not read whole."""

WHOLE_BYTES = BLOCK * BLOCKS
"""A file that is larger is not read whole, unless its caller says so."""


class CheckpointFingerprint(TypedDict):
    """SHA-256 (hex) of what the files of a checkpoint hold, see ``coreheads.adapters.checkpoints.fingerprint``."""

    weights: str
    settings: str
    """config.json, generation_config.json and Python files."""
    processor: str
    """Tokenizer, picture and video processor, chat template."""


def changed_parts(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Which parts of a fingerprint are not what they were; a part that one of them lacks says nothing."""
    return [name for name in before if name in after and before[name] != after[name]]


def file_hash(path: Path, whole: int = WHOLE_BYTES, at: Iterable[int] = ()) -> str:
    """SHA-256 (hex) of a file's size and bytes.

    Of a file of more than ``whole`` bytes (and than 256 MiB) count its size, 4096 blocks of 64 KiB that are evenly
    spaced from its first byte to its last one, and the blocks that begin at the bytes ``at``: what changes between
    them is not seen.

    Raises:
        UserError: It is missing or cannot be read.
    """
    try:
        now = stamp(path)
        if not path.is_file():
            raise ValueError("expected a file")  # a pipe may never end
        return _hashed(path.absolute(), now, whole, tuple(at))
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None


def stamp(path: Path) -> tuple[int, ...]:
    """Another one when the file was written to or replaced meanwhile: for what a process keeps in memory of it.

    OSError where there is none.
    """
    about = path.stat()
    return about.st_size, about.st_ino, about.st_mtime_ns, about.st_ctime_ns


def json_hash(value: Any) -> str:
    """SHA-256 (hex) of JSON values; the order of an object's names does not count."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@lru_cache(maxsize=4096)
def _hashed(path: Path, now: tuple[int, ...], whole: int, at: tuple[int, ...]) -> str:
    size = now[0]
    content = hashlib.sha256(f"{size} ".encode())
    with path.open("rb") as stream:
        for part in _whole(stream) if size <= max(whole, WHOLE_BYTES) else _blocks(stream, size, at):
            content.update(part)
    return content.hexdigest()


def _whole(stream: BinaryIO) -> Iterator[bytes]:
    while part := stream.read(MIB):
        yield part


def _blocks(stream: BinaryIO, size: int, at: Iterable[int]) -> Iterator[bytes]:
    spaced = {(size - BLOCK) * number // (BLOCKS - 1) for number in range(BLOCKS)}
    for start in sorted(spaced | set(at)):
        stream.seek(start)
        yield stream.read(BLOCK)
