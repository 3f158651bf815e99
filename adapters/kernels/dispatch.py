"""Attention of heads under rules, without a queries x keys tensor for whole heads.

Shapes everywhere: query [B, H, Q, D], key and value [B, Hkv, K, D], where query head h reads KV head h // (H / Hkv)
and the Q queries are the last of the K tokens; results are [B, Q, H, D].
"""

from __future__ import annotations

from torch import Tensor

from coreheads.adapters.kernels.dense import full_attention, masked
from coreheads.adapters.kernels.gqa import by_kv_head, clear, index, put, runs, take
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
    output = _local(query, key, value, scaling, groups[0])
    repeats = query.shape[1] // key.shape[1]
    for group in groups[is_local(groups[0]) :]:
        if group.rules == (Nothing(),):
            clear(output, group.heads)
        elif not group.rules:
            _full(query, key, value, scaling, group.heads, output)
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


def _local(query: Tensor, key: Tensor, value: Tensor, scaling: float, group: Group) -> Tensor:
    """An output for all heads, with those of ``group`` written where sink + window is its rule; others may be too."""
    repeats = query.shape[1] // key.shape[1]
    rule = group.rules[0] if is_local(group) else None
    if isinstance(rule, Local) and query.device.type != "cpu":
        # on a GPU one call on all heads is faster than several on some
        return windowed(query, key, value, scaling, rule.sink, rule.window)
    output = query.new_empty(query.shape[0], query.shape[2], query.shape[1], value.shape[3])
    if isinstance(rule, Local):
        for first, last in runs(by_kv_head(group.heads, repeats)):
            heads = slice(first * repeats, last * repeats)
            states = query[:, heads], key[:, first:last], value[:, first:last]
            windowed(*states, scaling, rule.sink, rule.window, output[:, :, heads])
    return output


def _full(query: Tensor, key: Tensor, value: Tensor, scaling: float, heads: tuple[int, ...], output: Tensor) -> None:
    """Write the full attention of some heads to ``output``."""
    note("full", query.shape[0] * len(heads) * causal_pairs(query.shape[2], key.shape[2]))
    readers = by_kv_head(heads, query.shape[1] // key.shape[1])
    if query.device.type == "cpu" or query.shape[2] == 1:
        # one KV head after the other: no key is copied
        for kv, members in readers.items():
            states = key[:, kv : kv + 1], value[:, kv : kv + 1]
            put(output, members, full_attention(take(query, members), *states, scaling))
        return
    # a GPU wants all of them at once, and the copies of these few keys are small
    source = index(tuple(kv for kv, members in readers.items() for _ in members), key.device)
    put(output, heads, full_attention(take(query, heads), key[:, source], value[:, source], scaling))


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
