"""Sink + window attention in blocks of queries: work and memory grow with tokens x window, never tokens squared.

A block of queries meets one slab of keys, [sinks | window before the block | the block itself], and all blocks go
through scaled_dot_product_attention as one batch, with the query heads of a KV head packed as further rows. From the
query at position sink + window on, every slab looks alike, so that all blocks share one small mask; the few queries
before it see all keys before them, which is plain causal attention.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

SLAB_ELEMENTS = 1 << 23
"""Elements of gathered keys at a time: bounds the extra memory whatever the prompt's length."""


def block_size(window: int) -> int:
    """Queries a block: the slab's waste is a block, its overhead is a call; measured on CPU."""
    return 64 if window <= 128 else 128


def local_attention(query: Tensor, key: Tensor, value: Tensor, scaling: float, sink: int, window: int) -> Tensor:
    """[B, H, Q, D] queries, the last of the K tokens of key and value [B, Hkv, K, D] -> [B, Q, H, D].

    The query at position i sees keys j <= i with j < sink or i - j < window.
    """
    from coreheads.adapters.patches.kernels import full_attention

    batch, heads, rows, _ = query.shape
    before = key.shape[2] - rows
    plain = min(rows, max(0, sink + window - before))
    if plain == rows:
        return full_attention(query, key, value, scaling)
    output = query.new_empty(batch, rows, heads, value.shape[3])
    if plain:
        reach = before + plain
        output[:, :plain] = full_attention(query[:, :, :plain], key[:, :, :reach], value[:, :, :reach], scaling)
    block = min(block_size(window), rows - plain)
    blocks = (rows - plain) // block
    at_once = max(1, SLAB_ELEMENTS // (batch * key.shape[1] * (sink + window + block) * key.shape[3]))
    start = plain
    for first in range(0, blocks, at_once):
        count = min(at_once, blocks - first)
        _blocks(query, key, value, scaling, sink, window, start, block, count, output)
        start += count * block
    if start < rows:
        _blocks(query, key, value, scaling, sink, window, start, rows - start, 1, output)
    return output


def _blocks(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float,
    sink: int,
    window: int,
    start: int,
    block: int,
    count: int,
    output: Tensor,
) -> None:
    """Write output[:, start : start + count * block], all of whose queries lie at or after position sink + window."""
    batch, heads, rows, width = query.shape
    kv_heads = key.shape[1]
    repeats = heads // kv_heads
    stop = start + count * block
    before = key.shape[2] - rows
    packed = (
        query[:, :, start:stop]
        .reshape(batch, kv_heads, repeats, count, block, width)
        .permute(0, 3, 1, 2, 4, 5)
        .reshape(batch * count, kv_heads, repeats * block, width)
    )
    lowest = before + start - window + 1
    keys = _slabs(key, sink, lowest, window - 1 + block, block, count)
    values = _slabs(value, sink, lowest, window - 1 + block, block, count)
    mask = None if block == 1 else _mask(sink, window, block, repeats, query)
    result = scaled_dot_product_attention(packed, keys, values, attn_mask=mask, scale=scaling)
    output[:, start:stop].view(batch, count, block, kv_heads, repeats, -1).copy_(
        result.view(batch, count, kv_heads, repeats, block, -1).permute(0, 1, 4, 2, 3, 5)
    )


def _slabs(states: Tensor, sink: int, lowest: int, length: int, block: int, count: int) -> Tensor:
    """[B, Hkv, K, D] -> [B * count, Hkv, sink + length, D]: the sinks and ``length`` tokens from lowest + i * block."""
    batch, kv_heads, _, width = states.shape
    slabs = states.new_empty(batch, count, kv_heads, sink + length, width)
    slabs[:, :, :, :sink] = states[:, None, :, :sink]
    last = lowest + length + (count - 1) * block
    windows = states[:, :, lowest:last].unfold(2, length, block)
    slabs[:, :, :, sink:] = windows.permute(0, 2, 1, 4, 3)
    return slabs.view(batch * count, kv_heads, sink + length, width)


def _mask(sink: int, window: int, block: int, repeats: int, like: Tensor) -> Tensor:
    """Additive [repeats * block, sink + window - 1 + block]: every sink, and the window's diagonal band."""
    rows = torch.arange(block, device=like.device)[:, None]
    tail = torch.arange(window - 1 + block, device=like.device)[None, :]
    band = (tail >= rows) & (tail < rows + window)
    seen = torch.cat([band.new_ones(block, sink), band], dim=1)
    return torch.where(seen, 0.0, float("-inf")).to(like.dtype).repeat(repeats, 1)
