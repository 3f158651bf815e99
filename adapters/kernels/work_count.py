"""How many query-key pairs the attention kernels were given, counted where they are called.

A mask that hides pairs but does not skip them saves nothing: a benchmark that counts can tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from coreheads.adapters.generation.work import note_pairs

_COUNTS: ContextVar[dict[str, int] | None] = ContextVar("attention work", default=None)


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """Pairs over all heads and samples by kind, of what runs inside the block: ``full`` (causal attention), ``window``
    (sink + window), ``masked`` (explicit masks), ``blocks`` (chosen keys)."""
    counts = {"full": 0, "window": 0, "masked": 0, "blocks": 0}
    token = _COUNTS.set(counts)
    try:
        yield counts
    finally:
        _COUNTS.reset(token)


def note(kind: str, pairs: int, samples: Sequence[int] | None = None) -> None:
    """Add to the count, where one is kept; ``samples``: whose pairs they are, in equal parts, by default all's."""
    counts = _COUNTS.get()
    if counts is not None:
        counts[kind] += pairs
    note_pairs(pairs, samples)


def causal_pairs(rows: int, columns: int) -> int:
    """Visible pairs of one head when the ``rows`` queries are the last of the ``columns`` tokens."""
    return rows * columns - rows * (rows - 1) // 2
