"""Sink + window attention, the same beside heads that read everything, and chosen key blocks, by torch's FlexAttention,
with block masks computed and not searched.

Asking a mask function about every pair of tokens takes tokens x tokens; which blocks of 128 x 128 the window touches
follows from their corners.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from math import lcm
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention
from torch.nn.functional import pad

from coreheads.adapters.kernels.gqa import index
from coreheads.adapters.kernels.key_blocks import KeyBlocks
from coreheads.adapters.kernels.local import local_attention
from coreheads.adapters.kernels.work_count import note

BLOCK = 128
SHAPES = 128
"""Shapes that may be compiled. Beyond as many, dynamo would run the function uncompiled, with all scores at once."""
STEPS = 16
"""Lengths from one power of two to the next that are compiled for: each takes seconds."""

KEPT = 1 << 20
"""Blocks of queries x keys x heads up to which a mask by head is kept: 64 of them take half a GiB at most."""

_SHAPES: set[tuple[object, ...]] = set()


def windowed(query: Tensor, key: Tensor, value: Tensor, scaling: float, sink: int, window: int) -> Tensor:
    """Sink + window attention; arguments and result as of ``coreheads.adapters.kernels.window.windowed``.

    Where too many shapes were met, blocks are gathered instead.
    """
    computed = hybrid(query, key, value, scaling, (), sink, window)
    return local_attention(query, key, value, scaling, sink, window) if computed is None else computed


def hybrid(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, heads: tuple[int, ...], sink: int, window: int
) -> Tensor | None:
    """Full attention of ``heads``, sink + window of all others, in one call; None where too many shapes were met.

    Arguments and result as of ``coreheads.adapters.kernels.by_head.hybrid``, ``heads`` may be none. Lengths are filled
    up to one of a few, so that prompts of any length, and heads of any layer, share what was compiled: what is filled
    in stands behind the last token, where no query looks.
    """
    rows, columns = query.shape[2], key.shape[2]
    more = -rows % step(rows)
    lengths = rows + more, columns + more
    shape = (query.device, query.dtype, query.shape[:2], key.shape[1], lengths, bool(heads), sink, window)
    if shape not in _SHAPES and len(_SHAPES) >= SHAPES:
        return None
    _SHAPES.add(shape)
    if more:
        query, key, value = (pad(states, (0, 0, 0, more)) for states in (query, key, value))
    pattern = rows, columns, sink, window, query.device, more
    mask = head_mask(heads, query.shape[1], *pattern) if heads else block_mask(*pattern)
    pairs = query.shape[0] * BLOCK**2
    note("full", pairs * len(heads) * blocks(rows, columns, 0, columns))
    note("window", pairs * (query.shape[1] - len(heads)) * blocks(rows, columns, sink, window))
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
def block_mask(rows: int, columns: int, sink: int, window: int, device: torch.device, more: int = 0) -> BlockMask:
    """The blocks of queries x keys that hold a visible pair, and those of them in which every pair is visible.

    ``more`` queries and keys stand behind them; blocks of nothing else meet no keys.
    """
    lengths = rows + more, columns + more
    touched, whole = _corners(*lengths, columns - rows, sink, window, device)
    met = (torch.arange(len(touched), device=device) * BLOCK < rows)[:, None]
    return BlockMask.from_kv_blocks(
        *_listed((touched & ~whole & met)[None, None]), *_listed((whole & met)[None, None]),
        BLOCK_SIZE=BLOCK, mask_mod=_visible(columns - rows, sink, window), seq_lengths=lengths,
    )  # fmt: skip


def head_mask(
    heads: tuple[int, ...], count: int, rows: int, columns: int, sink: int, window: int, device: torch.device, more: int
) -> BlockMask:
    """The same of ``count`` heads, of which those of ``heads`` see everything before them.

    It takes 8 bytes a block of each head: a quarter of the queries' own at 128k tokens. Short prompts' are kept, by the
    layers' patterns.
    """
    size = count * -(-(rows + more) // BLOCK) * -(-(columns + more) // BLOCK)
    make = _head_mask if size <= KEPT else _head_mask.__wrapped__
    return make(heads, count, rows, columns, sink, window, device, more)


@lru_cache(maxsize=64)
def _head_mask(
    heads: tuple[int, ...], count: int, rows: int, columns: int, sink: int, window: int, device: torch.device, more: int
) -> BlockMask:
    near = block_mask(rows, columns, sink, window, device, more)
    every = block_mask(rows, columns, 0, columns + more, device, more)
    full = torch.zeros(count, dtype=torch.bool, device=device)
    full[index(heads, device)] = True
    before, seen = columns - rows, near.mask_mod

    def visible(batch: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
        return (full[head] & (column <= row + before)) | seen(batch, head, row, column)

    numbers, places, full_numbers, full_places = (
        torch.where(full.view(1, -1, *[1] * (own.dim() - 2)), own, other)
        for own, other in zip(_lists(every), _lists(near), strict=True)
    )
    return BlockMask.from_kv_blocks(
        numbers, places, full_numbers, full_places,
        BLOCK_SIZE=BLOCK, mask_mod=visible, seq_lengths=near.seq_lengths, compute_q_blocks=False,
    )  # fmt: skip


def _lists(mask: BlockMask) -> tuple[Tensor, ...]:
    assert mask.full_kv_num_blocks is not None
    assert mask.full_kv_indices is not None
    return mask.kv_num_blocks, mask.kv_indices, mask.full_kv_num_blocks, mask.full_kv_indices


@lru_cache(maxsize=64)
def blocks(rows: int, columns: int, sink: int, window: int) -> int:
    """How many blocks of queries x keys the mask lets through."""
    touched, _ = _corners(rows, columns, columns - rows, sink, window, torch.device("cpu"))
    return int(touched.sum())


def _corners(
    rows: int, columns: int, before: int, sink: int, window: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Bool [query blocks, key blocks] twice: those with a visible pair, and those in which all are visible."""
    top = torch.arange(0, rows, BLOCK, device=device)[:, None] + before
    bottom = (top + BLOCK - 1).clamp(max=columns - 1)
    left = torch.arange(0, columns, BLOCK, device=device)[None, :]
    right = left + BLOCK - 1
    touched = (left <= bottom) & ((left < sink) | (right > top - window))
    inside = (right <= top) & ((right < sink) | (left.clamp(min=sink) > bottom - window))
    # a block that reaches over an edge is left to the mask function
    return touched, inside & (top + BLOCK <= columns) & (right < columns)


def _listed(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Bool [..., query blocks, key blocks] -> how many a row has [..., rows], and which, those first [..., rows, n]."""
    order = blocks.to(torch.int8).argsort(dim=-1, descending=True, stable=True).to(torch.int32)
    return blocks.sum(-1, dtype=torch.int32), order.contiguous()


def _visible(before: int, sink: int, window: int) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    def visible(batch: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
        position = row + before
        return (column <= position) & ((column < sink) | (position - column < window))

    return visible


def block_sparse(query: Tensor, key: Tensor, value: Tensor, scaling: float, chosen: KeyBlocks) -> Tensor:
    """A whole prompt's attention to chosen keys; as ``coreheads.adapters.kernels.block_sparse.gathered``.

    Single keys are gathered behind the prompt's, for every head, so that a block of them is a block like any other.
    Lengths are filled up as in ``windowed``.
    """
    (heads, rows), size = query.shape[1:3], chosen.size
    singles = [chosen.single(head) for head in range(heads)]
    more, most = -rows % lcm(size, step(rows)), max(map(len, singles))
    most += -most % lcm(size, step(max(1, most)))
    # where each stands; what fills up stands behind everything
    places = torch.full((heads, most), rows + more, device=query.device)
    for head, single in enumerate(singles):
        places[head, : len(single)] = single
    query, key, value = (pad(states, (0, 0, 0, more)) if more else states for states in (query, key, value))
    if most:
        source = torch.arange(heads, device=query.device) // (heads // key.shape[1])
        at = places.clamp(max=rows - 1)[None, :, :, None]
        key, value = (
            torch.cat([own, own.gather(2, at.expand(-1, -1, -1, own.shape[3]))], 2)
            for own in (key[:, source], value[:, source])
        )
    mask = chosen_mask(chosen, places, rows + more)
    assert mask.full_kv_num_blocks is not None
    note("blocks", int(mask.kv_num_blocks.sum() + mask.full_kv_num_blocks.sum()) * size**2)
    with torch._dynamo.config.patch(recompile_limit=SHAPES):
        output: Tensor = _compiled()(
            query, key, value, block_mask=mask, scale=scaling, enable_gqa=heads != key.shape[1]
        )
    return output[:, :, :rows].transpose(1, 2)


def chosen_mask(chosen: KeyBlocks, places: Tensor, length: int) -> BlockMask:
    """The blocks of ``length`` queries x as many keys, and the single keys that stand at ``places`` [heads, S]."""
    size, own = chosen.size, length // chosen.size
    more = own - chosen.seen.shape[1]
    seen = pad(chosen.seen, (0, more, 0, more))
    diagonal = torch.eye(own, dtype=torch.bool, device=seen.device)
    first = places.view(len(places), -1, size)[:, :, 0]
    ends = torch.arange(1, own + 1, device=seen.device) * size
    whole = pad(seen & ~diagonal, (0, first.shape[1]))
    partly = torch.cat([seen & diagonal, first[:, None] < ends[:, None]], 2)

    def visible(batch: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
        single = places[head, (column - length).clamp(min=0)] if places.shape[1] else column
        place = torch.where(column < length, column, single)
        # a single key is met as such where its block is not
        met = seen[head, row // size, (place // size).clamp(max=own - 1)] == (column < length)
        return met & (place <= row)

    return BlockMask.from_kv_blocks(
        *_listed(partly[None]), *_listed(whole[None]),
        BLOCK_SIZE=size, mask_mod=visible, seq_lengths=(length, length + places.shape[1]),
    )  # fmt: skip
