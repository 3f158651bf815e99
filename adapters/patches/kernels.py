"""Attention of heads under rules, without a queries x keys tensor for whole heads.

Shapes everywhere: query [B, H, Q, D], key and value [B, Hkv, K, D], where query head h reads KV head h // (H / Hkv)
and the Q queries are the last of the K tokens; results are [B, Q, H, D].
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from coreheads.adapters.patches.local import local_attention
from coreheads.adapters.patches.rules import Group, Local, Nothing

ROWS = 128
"""Query rows that share one explicit mask at a time."""


def full_attention(query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
    """Causal attention; the mask is aligned to the last key, as chunked prefill and decoding need."""
    rows, columns = query.shape[2], key.shape[2]
    repeats = query.shape[1] // key.shape[1]
    if rows == 1:
        packed = query.reshape(query.shape[0], key.shape[1], repeats, query.shape[3])
        return scaled_dot_product_attention(packed, key, value, scale=scaling).reshape(query.shape).transpose(1, 2)
    if rows == columns:
        output = scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling, enable_gqa=repeats > 1)
        return output.transpose(1, 2)
    return masked_attention(query, key, value, scaling, Group((), ()), None)


def masked_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float,
    group: Group,
    vision: Tensor | None,
    columns: Tensor | None = None,
) -> Tensor:
    """Attention under any rules, by an explicit mask for ROWS queries at a time; a row that sees nothing gives 0.

    columns: positions of the keys [K] when they are not 0..K-1; the last key is the last query's own.
    """
    batch, heads, _, width = query.shape
    repeats = heads // key.shape[1]
    contiguous = columns is None
    if columns is None:
        columns = torch.arange(key.shape[2], device=query.device)
    count = query.shape[2]
    rows = columns[key.shape[2] - count :]
    output = query.new_empty(batch, count, heads, value.shape[3])
    for start in range(0, count, ROWS):
        stop = min(start + ROWS, count)
        reach = key.shape[2] - count + stop if contiguous else key.shape[2]
        seen = group.visible(rows[start:stop], columns[:reach], vision)
        # The query heads of a KV head are further rows: keys and values need no copies.
        packed = query[:, :, start:stop].reshape(batch, key.shape[1], repeats * (stop - start), width)
        part = scaled_dot_product_attention(
            packed, key[:, :, :reach], value[:, :, :reach], attn_mask=seen.repeat(repeats, 1), scale=scaling
        ).reshape(batch, heads, stop - start, value.shape[3])
        # What SDPA gives for a row without any key is left to its kernels: say it here.
        output[:, start:stop] = torch.where(seen.any(-1)[:, None], part, 0.0).transpose(1, 2)
    return output


def attend_group(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, group: Group, vision: Tensor | None
) -> Tensor:
    """All heads given are under the rules of ``group``."""
    if not group.rules:
        return full_attention(query, key, value, scaling)
    if len(group.rules) == 1:
        rule = group.rules[0]
        if isinstance(rule, Nothing):
            return query.new_zeros(query.shape[0], query.shape[2], query.shape[1], value.shape[3])
        if isinstance(rule, Local):
            return local_attention(query, key, value, scaling, rule.sink, rule.window)
    return masked_attention(query, key, value, scaling, group, vision)


def attend(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, groups: tuple[Group, ...], vision: Tensor | None
) -> Tensor:
    """Every head under the rules of its group; the groups share out the heads 0..H-1."""
    if len(groups) == 1:
        return attend_group(query, key, value, scaling, groups[0], vision)
    heads, repeats = query.shape[1], query.shape[1] // key.shape[1]
    groups = tuple(sorted(groups, key=lambda group: -len(group.heads)))
    first = groups[0]
    cheap = len(first.rules) == 1 and isinstance(first.rules[0], Local | Nothing)
    if cheap or 4 * len(first.heads) >= 3 * heads:
        # Computing it for every head costs less than gathering the many that need it: the others are overwritten.
        output = attend_group(query, key, value, scaling, first, vision)
        groups = groups[1:]
    else:
        output = query.new_empty(query.shape[0], query.shape[2], heads, value.shape[3])
    for group in groups:
        if not group.rules and query.shape[2] == 1:
            _decode(query, key, value, scaling, group.heads, output)
            continue
        chosen = torch.tensor(group.heads, device=query.device)
        source = chosen // repeats
        output[:, :, chosen] = attend_group(query[:, chosen], key[:, source], value[:, source], scaling, group, vision)
    return output


def _decode(query: Tensor, key: Tensor, value: Tensor, scaling: float, heads: tuple[int, ...], output: Tensor) -> None:
    """Write the full attention of some heads for one query, without copying the keys that they read."""
    repeats = query.shape[1] // key.shape[1]
    for kv in sorted({head // repeats for head in heads}):
        mine = [head for head in heads if head // repeats == kv]
        packed = query[:, mine].transpose(1, 2)  # [B, 1, heads, D]: the heads as rows of one KV head
        output[:, :, mine] = scaled_dot_product_attention(
            packed, key[:, kv : kv + 1], value[:, kv : kv + 1], scale=scaling
        )
