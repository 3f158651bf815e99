"""Sink + window attention in blocks of queries: work and memory grow with tokens x window, never tokens squared.

A block of queries meets one slab of keys, [sinks | window before the block | the block itself], and many blocks go
through scaled_dot_product_attention as one batch, with the query heads of a KV head packed as further rows. From the
query at position sink + window on, every slab looks alike, so that all blocks share one small mask; the few queries
before it see all keys before them, which is plain causal attention. Plain torch operations: no compiler is needed.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from coreheads.adapters.kernels.work_count import causal_pairs, note

SLAB_ELEMENTS = {"cpu": 3 << 16, "cuda": 1 << 26}
"""Elements of gathered keys at a time, by device type: what a CPU core's own cache holds, what fills a GPU."""
BLOCKS = 4
"""Blocks at a time, at least: long slabs leave the cache anyway."""


LANES = 16
"""Keys of a slab come in multiples of this: products and softmax take whole vectors, a rest costs as much as one more.
Measured on CPU: 96 keys take 0.84 of the time of 99."""


def block_size(sink: int, window: int) -> int:
    """Queries a block. Short blocks meet fewer keys that they do not see, long ones copy less; measured on CPU."""
    most = min(128, max(32, 1 << (window // 8).bit_length() >> 1))
    return most - (sink + window - 1 + most) % LANES


def block_pairs(tokens: int, sink: int, window: int) -> int:
    """Query-key pairs that ``local_attention`` is given for one head, in a prefill of so many tokens."""
    plain = min(tokens, sink + window)
    block = max(1, min(block_size(sink, window), tokens - plain))
    rest, slab = (tokens - plain) % block, sink + window - 1
    return causal_pairs(plain, plain) + (tokens - plain - rest) * (slab + block) + rest * (slab + rest)


def local_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float,
    sink: int,
    window: int,
    output: Tensor | None = None,
) -> Tensor:
    """Sink + window attention; arguments and result as of ``coreheads.adapters.kernels.window.windowed``."""
    from coreheads.adapters.kernels.dense import full_attention

    batch, heads, rows, _ = query.shape
    before = key.shape[2] - rows
    if output is None:
        output = query.new_empty(batch, rows, heads, value.shape[3])
    plain = min(rows, max(0, sink + window - before))
    if plain:
        reach = before + plain
        note("window", batch * heads * causal_pairs(plain, reach))
        output[:, :plain] = full_attention(query[:, :, :plain], key[:, :, :reach], value[:, :, :reach], scaling)
    block = max(1, min(block_size(sink, window), rows - plain))
    mask = _mask(sink, window, block, heads // key.shape[1], query)
    slab = batch * key.shape[1] * (sink + window + block) * key.shape[3]
    at_once = max(BLOCKS, SLAB_ELEMENTS.get(query.device.type, SLAB_ELEMENTS["cpu"]) // slab)
    # taken once: memory that is asked for anew each time may cost more than what is written to it
    most = min(at_once, max(1, (rows - plain) // block)) * slab
    memory = key.new_empty(most), value.new_empty(most // key.shape[3] * value.shape[3])
    start = plain
    while start < rows:
        count = max(1, min(at_once, (rows - start) // block))
        if rows - start < block:
            block = rows - start
            mask = _mask(sink, window, block, heads // key.shape[1], query)
        stop = start + count * block
        keys = slice(before + start - window + 1, before + stop)
        _blocks(
            query[:, :, start:stop],
            _slabs(key, sink, keys, window - 1 + block, block, memory[0]),
            _slabs(value, sink, keys, window - 1 + block, block, memory[1]),
            mask,
            scaling,
            output[:, start:stop],
        )
        start = stop
    return output


def _blocks(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scaling: float, output: Tensor) -> None:
    """Queries [B, H, count * block, D] against slabs [B, count, Hkv, L, D], written to [B, count * block, H, D]."""
    batch, count, kv_heads, _, width = keys.shape
    heads, block = query.shape[1], query.shape[2] // count
    repeats = heads // kv_heads
    packed = (
        query.view(batch, kv_heads, repeats, count, block, width)
        .permute(0, 3, 1, 2, 4, 5)
        .reshape(batch * count, kv_heads, repeats * block, width)
    )
    note("window", batch * heads * query.shape[2] * keys.shape[3])
    result = scaled_dot_product_attention(
        packed, keys.flatten(0, 1), values.flatten(0, 1), attn_mask=mask, scale=scaling
    )
    output.view(batch, count, block, kv_heads, repeats, -1).copy_(
        result.view(batch, count, kv_heads, repeats, block, -1).permute(0, 1, 4, 2, 3, 5)
    )


def _slabs(states: Tensor, sink: int, tokens: slice, length: int, block: int, memory: Tensor) -> Tensor:
    """[B, Hkv, K, D] -> [B, count, Hkv, sink + length, D]: the sinks, and ``length`` of ``tokens`` every ``block``."""
    windows = states[:, :, tokens].unfold(2, length, block).permute(0, 2, 1, 4, 3)
    shape = (*windows.shape[:3], sink + length, states.shape[3])
    # a backward pass needs what was gathered: nothing may be written over it
    slabs = states.new_empty(shape) if states.requires_grad else memory[: prod(shape)].view(shape)
    slabs[:, :, :, :sink] = states[:, None, :, :sink]
    slabs[:, :, :, sink:] = windows
    return slabs


def _mask(sink: int, window: int, block: int, repeats: int, like: Tensor) -> Tensor | None:
    """Additive [repeats * block, sink + window - 1 + block]: every sink, and the window's diagonal band."""
    if block == 1:
        return None
    rows = torch.arange(block, device=like.device)[:, None]
    tail = torch.arange(window - 1 + block, device=like.device)[None, :]
    band = (tail >= rows) & (tail < rows + window)
    seen = torch.cat([band.new_ones(block, sink), band], dim=1)
    return torch.where(seen, 0.0, float("-inf")).to(like.dtype).repeat(repeats, 1)
