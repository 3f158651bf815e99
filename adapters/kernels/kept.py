"""Attention over a layer of which keys were evicted, by the KV heads that hold equally many."""

from __future__ import annotations

from torch import Tensor

from coreheads.adapters.generation.work import of_sample
from coreheads.adapters.kernels.dense import full_attention
from coreheads.adapters.kernels.dispatch import masked_attention
from coreheads.adapters.kernels.kept_cache import KeptBlock, KeptStates
from coreheads.adapters.kernels.visibility import Group
from coreheads.adapters.kernels.work_count import causal_pairs, note


def attend_kept(
    query: Tensor, states: KeptStates, groups: tuple[Group, ...], scaling: float, vision: Tensor | None
) -> Tensor:
    """Attention [B, Q, H, D] of new tokens over the keys that are left and each other's.

    Args:
        query: [B, H, Q, D], without padding: it lies before all that was evicted.
        states: What the layer's ``update`` gave.
        groups: The heads by the rules that they are under, which go by the keys' own positions.
        scaling: Factor on the products of queries and keys.
        vision: Bool [B, tokens so far], where the vision tokens are; None where no rule asks.
    """
    blocks = states.layer.blocks
    batch, heads, rows, width = query.shape
    kv_heads = sum(sample == 0 for block in blocks for sample, _ in block.pairs)
    by_kv = query.reshape(batch, kv_heads, -1, rows, width)
    output = query.new_empty(batch, rows, kv_heads, heads // kv_heads, blocks[0].values.shape[2])
    plain = not any(group.rules for group in groups)
    for block in blocks:
        part = by_kv[block.samples, block.heads]
        if plain:
            pairs = part.shape[0] * part.shape[1] * causal_pairs(rows, block.length)
            note("full", pairs, [sample for sample, _ in block.pairs])
            result = full_attention(part, block.keys[:, None], block.values[:, None], scaling)
            output[block.samples, :, block.heads] = result
            continue
        for row, (sample, kv) in enumerate(block.pairs):
            seen = None if vision is None else vision[sample, states.layer.start(sample) :]
            own = _of_kv_head(groups, kv, part.shape[1])
            with of_sample(sample):
                _under_rules(part, block, row, own, scaling, seen, output[sample, :, kv])
    return output.flatten(2, 3)


def _under_rules(
    query: Tensor,
    block: KeptBlock,
    row: int,
    groups: tuple[Group, ...],
    scaling: float,
    vision: Tensor | None,
    into: Tensor,
) -> None:
    """One KV head's query heads [P, repeats, Q, D], whose groups are numbered from 0, to ``into`` [Q, repeats, D]."""
    one = slice(row, row + 1)
    states = block.keys[one, None], block.values[one, None]
    for group in groups:
        members = list(group.heads)
        into[:, members] = masked_attention(query[one, members], *states, scaling, group, vision, block.positions[row])[
            0
        ]


def _of_kv_head(groups: tuple[Group, ...], kv: int, repeats: int) -> tuple[Group, ...]:
    """The groups of the query heads that read one KV head, numbered from 0."""
    own = ((tuple(head - kv * repeats for head in group.heads if head // repeats == kv), group) for group in groups)
    return tuple(Group(heads, group.rules) for heads, group in own if heads)
