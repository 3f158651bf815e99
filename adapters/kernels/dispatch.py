"""Attention of heads under rules, without a queries x keys tensor for whole heads.

Shapes everywhere: query [B, H, Q, D], key and value [B, Hkv, K, D], where query head h reads KV head h // (H / Hkv)
and the Q queries are the last of the K tokens; results are [B, Q, H, D].
"""

from __future__ import annotations

from torch import Tensor

from coreheads.adapters.kernels.by_head import full_heads, hybrid, windowed_heads
from coreheads.adapters.kernels.dense import full_attention, masked
from coreheads.adapters.kernels.gqa import clear, index, put, take
from coreheads.adapters.kernels.paged import paged_attention
from coreheads.adapters.kernels.visibility import Group, Local, Nothing, OwnPage
from coreheads.adapters.kernels.window import windowed
from coreheads.adapters.kernels.work_count import causal_pairs, note


def attend(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, groups: tuple[Group, ...], vision: Tensor | None
) -> Tensor:
    """Attention of heads under rules; a row that sees nothing is 0.

    Args:
        query: [B, H, Q, D].
        key: [B, Hkv, K, D].
        value: [B, Hkv, K, D].
        scaling: Factor on the products of queries and keys.
        groups: The heads 0..H-1, shared out by the rules that they are under.
        vision: Bool [K], where the vision tokens are; None where no rule asks.
    """
    if len(groups) == 1:
        return attend_group(query, key, value, scaling, groups[0], vision)
    # Local heads first: an implementation may compute others with them, which are overwritten.
    groups = tuple(sorted(groups, key=lambda group: not is_local(group)))
    rule = groups[0].rules[0] if is_local(groups[0]) else None
    if isinstance(rule, Local) and len(groups) == 2 and not groups[1].rules:
        return hybrid(query, key, value, scaling, groups[1].heads, rule.sink, rule.window)
    output = query.new_empty(query.shape[0], query.shape[2], query.shape[1], value.shape[3])
    if isinstance(rule, Local):
        windowed_heads(query, key, value, scaling, groups[0].heads, rule.sink, rule.window, output)
    repeats = query.shape[1] // key.shape[1]
    for group in groups[rule is not None :]:
        if group.rules == (Nothing(),):
            clear(output, group.heads)
        elif not group.rules:
            full_heads(query, key, value, scaling, group.heads, output)
        else:
            source = index(tuple(head // repeats for head in group.heads), key.device)
            states = key[:, source], value[:, source]
            put(output, group.heads, attend_group(take(query, group.heads), *states, scaling, group, vision))
    return output


def is_local(group: Group) -> bool:
    """Whether sink + window is the group's only rule."""
    return len(group.rules) == 1 and isinstance(group.rules[0], Local)


def attend_group(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, group: Group, vision: Tensor | None
) -> Tensor:
    """As ``attend``, with all heads of ``query`` under the rules of ``group``."""
    if not group.rules:
        note("full", query.shape[0] * query.shape[1] * causal_pairs(query.shape[2], key.shape[2]))
        return full_attention(query, key, value, scaling)
    if len(group.rules) == 1:
        rule = group.rules[0]
        if isinstance(rule, Nothing):
            return query.new_zeros(query.shape[0], query.shape[2], query.shape[1], value.shape[3])
        if isinstance(rule, Local):
            return windowed(query, key, value, scaling, rule.sink, rule.window)
        if isinstance(rule, OwnPage) and vision is not None:
            return paged_attention(query, key, value, scaling, rule.sink, vision)
    return masked_attention(query, key, value, scaling, group, vision)


def masked_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float,
    group: Group,
    vision: Tensor | None,
    columns: Tensor | None = None,
) -> Tensor:
    """As ``attend_group`` for any rules, by an explicit mask; ``columns``: see ``coreheads.adapters.kernels.dense``."""

    def visible(rows: Tensor, keys: Tensor) -> Tensor:
        note("masked", query.shape[0] * query.shape[1] * len(rows) * len(keys))
        return group.visible(rows, keys, vision)

    return masked(query, key, value, scaling, visible, columns)
