"""Which query heads read which KV head, under grouped-query attention: query head h reads KV head h // repeats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from torch import Tensor


def by_kv_head(heads: Iterable[int], repeats: int) -> dict[int, list[int]]:
    """The query heads that read each KV head, both ascending."""
    readers: dict[int, list[int]] = {}
    for head in sorted(heads):
        readers.setdefault(head // repeats, []).append(head)
    return readers


def runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Ascending numbers as stretches (first, after the last) without a gap: what can be sliced, and not gathered."""
    first = last = None
    for number in sorted(numbers):
        if first is None or last is None:
            first = number
        elif number != last + 1:
            yield first, last + 1
            first = number
        last = number
    if first is not None and last is not None:
        yield first, last + 1


def take(states: Tensor, heads: Sequence[int]) -> Tensor:
    """``states`` [B, heads, ...] of ascending ``heads``: a view where they follow each other, else a copy."""
    if heads[-1] - heads[0] + 1 == len(heads):
        return states[:, heads[0] : heads[-1] + 1]
    return states[:, list(heads)]


def put(output: Tensor, heads: Sequence[int], part: Tensor) -> None:
    """Write ``part`` [B, Q, len(heads), D] to the ascending ``heads`` of ``output`` [B, Q, H, D]."""
    if heads[-1] - heads[0] + 1 == len(heads):
        output[:, :, heads[0] : heads[-1] + 1] = part
    else:
        output[:, :, list(heads)] = part
