"""Attention over an evicting cache: what its layers hold, and the tokens of this forward call."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from coreheads.adapters.kernels.dense import attend_last
from coreheads.adapters.kernels.dispatch import attend, is_local, masked_attention
from coreheads.adapters.kernels.evicting_cache import EvictingLayer, RaggedStates, alike
from coreheads.adapters.kernels.gqa import by_kv_head, clear, put, take
from coreheads.adapters.kernels.visibility import Group, Local, Nothing


def attend_ragged(
    query: Tensor,
    states: RaggedStates,
    groups: tuple[Group, ...],
    starts: Sequence[int],
    scaling: float,
    vision: Tensor | None,
) -> Tensor:
    """Attention [B, Q, H, D] over what an evicting layer holds, 0 at padding; the layer then keeps the new tokens.

    Args:
        query: [B, H, Q, D].
        states: What the layer's ``update`` gave.
        groups: The heads by the rules that they are under.
        starts: Tokens of left padding of each sample.
        scaling: Factor on the products of queries and keys.
        vision: Bool [B, tokens so far], where the vision tokens are; None where no rule asks.

    Raises:
        ValueError: If a head reads a short KV head without the cache's own sink + window rule.
    """
    layer, rows = states.layer, query.shape[2]
    repeats = query.shape[1] // states.keys.shape[1]
    wide = [kv * repeats + i for kv in layer.full for i in range(repeats)]
    narrow = [kv * repeats + i for kv in layer.short for i in range(repeats)]
    inside = _among(groups, narrow)
    own = Local(layer.sink, layer.window)
    if any(own not in group.rules and Nothing() not in group.rules for group in inside):
        raise ValueError("the cache evicts what active patches need: make it with the Hybrid whose block it is used in")
    if layer.seen == rows and not any(starts):
        # The prefill of a batch without padding: nothing lies before these tokens, and nothing is put together.
        output = _each(query, states.keys, states.values, groups, scaling, vision, slice(None), 0)
        layer.store(states.keys, states.values, starts)
        return output
    output = query.new_zeros(query.shape[0], rows, query.shape[1], query.shape[3])
    simple = all(is_local(group) or not group.rules or group.rules == (Nothing(),) for group in groups)
    if rows == 1 and simple:
        layer.store(states.keys, states.values, starts)
    for samples, start in alike(starts):
        real = min(rows, layer.seen - start)
        if real <= 0:
            continue
        new_key, new_value = (t[samples, :, -real:] for t in (states.keys, states.values))
        part, into = query[samples, :, -real:], output[samples, -real:]
        if layer.seen - start == real:
            # Nothing lies before these tokens: attention as without a cache.
            into.copy_(_each(part, new_key, new_value, groups, scaling, vision, samples, start))
            continue
        if wide:
            key, value = (t[samples, :, start : layer.seen] for t in (layer.keys, layer.values))
            wide_groups = _among(groups, wide)
            if rows == 1 and simple:
                _decode_wide(take(part, wide), key, value, scaling, wide_groups, wide, into)
            else:
                put(into, wide, _each(take(part, wide), key, value, wide_groups, scaling, vision, samples, start))
        if not narrow:
            continue
        if rows == 1 and simple:
            if all(group.rules == (Nothing(),) for group in inside):
                continue
            held = layer.kept(start)
            kept = layer.short_keys[samples, :, :held], layer.short_values[samples, :, :held]
            put(into, narrow, attend_last(take(part, narrow), *kept, scaling))
            for group in inside:
                if group.rules == (Nothing(),):
                    clear(into, [narrow[index] for index in group.heads])
            continue
        before = layer.ordered(samples, start, rows)
        key, value = (
            torch.cat([old, take(new, layer.short)], 2) for old, new in zip(before, (new_key, new_value), strict=True)
        )
        part = take(part, narrow)
        if simple and len(inside) == 1:
            # Between the sinks and the window nothing is seen: left out, the order of the rest is the same pattern.
            result = attend(part, key, value, scaling, inside, None)
        else:
            result = _by_position(part, key, value, inside, scaling, vision, layer, samples, start)
        put(into, narrow, result)
    if not (rows == 1 and simple):
        layer.store(states.keys, states.values, starts)
    return output


def _each(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    groups: tuple[Group, ...],
    scaling: float,
    vision: Tensor | None,
    samples: slice,
    start: int,
) -> Tensor:
    """``attend``, sample by sample where the samples' vision tokens may differ."""
    if vision is None:
        return attend(query, key, value, scaling, groups, None)
    parts = [
        attend(query[i : i + 1], key[i : i + 1], value[i : i + 1], scaling, groups, seen[start:])
        for i, seen in enumerate(vision[samples])
    ]
    return torch.cat(parts)


def _decode_wide(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, groups: tuple[Group, ...], wide: list[int], into: Tensor
) -> None:
    """One query of the heads ``wide``, which ``groups`` number by their index in it, against KV heads that keep all."""
    everything = attend_last(query, key, value, scaling)
    for group in groups:
        rule = group.rules[0] if group.rules else None
        if isinstance(rule, Nothing):
            clear(everything, group.heads)
        if not isinstance(rule, Local) or key.shape[2] <= rule.sink + rule.window:
            continue
        readers = by_kv_head(group.heads, query.shape[1] // key.shape[1])
        near, near_value = (
            torch.cat([t[:, :, : rule.sink], t[:, :, key.shape[2] - rule.window :]], 2) for t in (key, value)
        )
        local = attend_last(query, near, near_value, scaling)
        for heads in readers.values():
            put(everything, heads, take(local.transpose(1, 2), heads).transpose(1, 2))
    put(into, wide, everything)


def _by_position(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    groups: tuple[Group, ...],
    scaling: float,
    vision: Tensor | None,
    layer: EvictingLayer,
    samples: slice,
    start: int,
) -> Tensor:
    """Short KV heads under further rules, which go by the keys' own positions."""
    positions = layer.positions(start, query.shape[2], query.device)
    repeats = query.shape[1] // key.shape[1]
    output = query.new_empty(query.shape[0], query.shape[2], query.shape[1], value.shape[3])
    for group in groups:
        source = [head // repeats for head in group.heads]
        for i in range(query.shape[0]):
            one = slice(i, i + 1)
            seen = None if vision is None else vision[samples][i, start:]
            states = take(query[one], group.heads), key[one][:, source], value[one][:, source]
            put(output[one], group.heads, masked_attention(*states, scaling, group, seen, positions))
    return output


def _among(groups: tuple[Group, ...], heads: list[int]) -> tuple[Group, ...]:
    """The groups of some heads only, numbered by their index in ``heads``."""
    index_of = {head: index for index, head in enumerate(heads)}
    inside = ((tuple(index_of[head] for head in group.heads if head in index_of), group.rules) for group in groups)
    return tuple(Group(members, rules) for members, rules in inside if members)
