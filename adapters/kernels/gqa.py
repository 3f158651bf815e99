"""Which query heads read which KV head, under grouped-query attention: query head h reads KV head h // repeats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby

import torch
from torch import Tensor


def by_kv_head(heads: Iterable[int], repeats: int) -> dict[int, list[int]]:
    """The query heads that read each KV head, both ascending."""
    return {kv: list(readers) for kv, readers in groupby(sorted(heads), lambda head: head // repeats)}


def read_by(heads: Iterable[int], repeats: int) -> list[int]:
    """The KV heads whose readers are all among ``heads``, ascending."""
    return [kv for kv, readers in by_kv_head(heads, repeats).items() if len(readers) == repeats]


def runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Ascending numbers as stretches (first, after the last) without a gap: what can be sliced, and not gathered."""
    for _, run in groupby(enumerate(sorted(numbers)), lambda pair: pair[1] - pair[0]):
        stretch = [number for _, number in run]
        yield stretch[0], stretch[-1] + 1


@lru_cache(maxsize=4096)
def index(heads: tuple[int, ...], device: torch.device) -> Tensor:
    """The heads as a tensor for indexing, made once: on a GPU each would be another copy to the device."""
    with torch.inference_mode(False):  # gradients may need it later
        return torch.tensor(heads, dtype=torch.long, device=device)


def take(states: Tensor, heads: Sequence[int]) -> Tensor:
    """``states`` [B, heads, ...] of ascending ``heads``: a view where they follow each other, else a copy."""
    if heads[-1] - heads[0] + 1 == len(heads):
        return states[:, heads[0] : heads[-1] + 1]
    return states[:, index(tuple(heads), states.device)]


def put(output: Tensor, heads: Sequence[int], part: Tensor) -> None:
    """Write ``part`` [B, Q, len(heads), D] to the ascending ``heads`` of ``output`` [B, Q, H, D]."""
    if heads[-1] - heads[0] + 1 == len(heads):
        output[:, :, heads[0] : heads[-1] + 1] = part
    else:
        output[:, :, index(tuple(heads), output.device)] = part


def clear(output: Tensor, heads: Sequence[int]) -> None:
    """Write 0 to these heads of ``output`` [B, Q, H, D]."""
    output.index_fill_(2, index(tuple(heads), output.device), 0)
