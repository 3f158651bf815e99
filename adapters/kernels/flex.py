"""Sink + window attention by torch's FlexAttention, with block masks computed and not searched.

Asking a mask function about every pair of tokens takes tokens x tokens; which blocks of 128 x 128 the pattern touches
follows from their corners.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention
from torch.nn.functional import pad

from coreheads.adapters.kernels.local import local_attention
from coreheads.adapters.kernels.work_count import note

BLOCK = 128
SHAPES = 128
"""Shapes that may be compiled. Beyond as many, dynamo would run the function uncompiled, with all scores at once."""
STEPS = 16
"""Lengths from one power of two to the next that are compiled for: each takes seconds."""

_SHAPES: set[tuple[object, ...]] = set()


def windowed(query: Tensor, key: Tensor, value: Tensor, scaling: float, sink: int, window: int) -> Tensor:
    """Sink + window attention; arguments and result as of ``coreheads.adapters.kernels.window.windowed``.

    Lengths are filled up to one of a few, so that prompts of any length share what was compiled: what is filled in
    stands behind the last token, where no query looks. Where too many shapes were met, blocks are gathered instead.
    """
    rows = query.shape[2]
    more = -rows % step(rows)
    lengths = rows + more, key.shape[2] + more
    shape = (query.device, query.dtype, query.shape[:2], key.shape[1], lengths, sink, window)
    if shape not in _SHAPES and len(_SHAPES) >= SHAPES:
        return local_attention(query, key, value, scaling, sink, window)
    _SHAPES.add(shape)
    if more:
        query, key, value = (pad(states, (0, 0, 0, more)) for states in (query, key, value))
    mask = block_mask(query.shape[2], key.shape[2], sink, window, query.device)
    note("window", query.shape[0] * query.shape[1] * blocks(query.shape[2], key.shape[2], sink, window) * BLOCK**2)
    with torch._dynamo.config.patch(recompile_limit=SHAPES):
        output: Tensor = _compiled()(
            query, key, value, block_mask=mask, scale=scaling, enable_gqa=query.shape[1] != key.shape[1]
        )
    return output[:, :, :rows].transpose(1, 2)


def step(rows: int) -> int:
    """What the number of rows is filled up to a multiple of: at most a sixteenth of it, and no less than a block."""
    return max(BLOCK, (1 << rows.bit_length() >> 1) // STEPS)


@cache
def _compiled() -> Any:
    return torch.compile(flex_attention, dynamic=False)


@lru_cache(maxsize=8)
def block_mask(rows: int, columns: int, sink: int, window: int, device: torch.device) -> BlockMask:
    """The blocks of queries x keys that hold a visible pair, and those of them in which every pair is visible."""
    before = columns - rows
    top = torch.arange(0, rows, BLOCK, device=device)[:, None] + before
    bottom = (top + BLOCK - 1).clamp(max=columns - 1)
    left = torch.arange(0, columns, BLOCK, device=device)[None, :]
    right = left + BLOCK - 1
    touched = (left <= bottom) & ((left < sink) | (right > top - window))
    inside = (right <= top) & ((right < sink) | (left.clamp(min=sink) > bottom - window))
    # a block that reaches over an edge is left to the mask function
    whole = inside & (top + BLOCK <= columns) & (right < columns)
    return BlockMask.from_kv_blocks(
        *_listed(touched & ~whole), *_listed(whole),
        BLOCK_SIZE=BLOCK, mask_mod=_visible(before, sink, window), seq_lengths=(rows, columns),
    )  # fmt: skip


@lru_cache(maxsize=64)
def blocks(rows: int, columns: int, sink: int, window: int) -> int:
    """How many blocks of queries x keys the mask lets through."""
    mask = block_mask(rows, columns, sink, window, torch.device("cpu"))
    assert mask.full_kv_num_blocks is not None
    return int(mask.kv_num_blocks.sum() + mask.full_kv_num_blocks.sum())


def _listed(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Bool [query blocks, key blocks] -> how many a row has [1, 1, rows], and which, those first [1, 1, rows, n]."""
    order = blocks.to(torch.int8).argsort(dim=1, descending=True, stable=True).to(torch.int32)
    return blocks.sum(1, dtype=torch.int32)[None, None], order[None, None].contiguous()


def _visible(before: int, sink: int, window: int) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    def visible(batch: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
        position = row + before
        return (column <= position) & ((column < sink) | (position - column < window))

    return visible
