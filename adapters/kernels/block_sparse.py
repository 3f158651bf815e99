"""Attention of a whole prompt in which a block of queries meets the keys that were chosen for it, and no others.

The chosen keys are gathered, for one head and one block of queries after the other, and attended to by one call of
scaled_dot_product_attention; the block's own keys stand last, where the mask is causal. FlexAttention does the same on
a GPU (``flex``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from coreheads.adapters.kernels import autotune, flex
from coreheads.adapters.kernels.gqa import take
from coreheads.adapters.kernels.key_blocks import KeyBlocks
from coreheads.adapters.kernels.visibility import Group, Nothing
from coreheads.adapters.kernels.work_count import note


def block_sparse(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float,
    groups: tuple[Group, ...],
    chosen: KeyBlocks,
    vision: Tensor | None,
) -> Tensor:
    """Attention [1, n, H, D] of a prompt of n tokens; a row that sees nothing is 0.

    Args:
        query: [1, H, n, D].
        key: [1, Hkv, n, D].
        value: [1, Hkv, n, D].
        scaling: Factor on the products of queries and keys.
        groups: The heads by rules: of the chosen keys a query sees those that its head's rules let it see.
        chosen: The keys for each head and block of queries.
        vision: Bool [n], where the vision tokens are; None where no rule asks.
    """
    chosen = chosen.to(query.device)
    if not any(group.rules for group in groups):
        return autotune.run("blocks", block_kernels(query.device.type), query, key, value, scaling, chosen)
    output = query.new_zeros(1, query.shape[2], query.shape[1], value.shape[3])
    repeats = query.shape[1] // key.shape[1]
    for group in groups:
        if Nothing() in group.rules:
            continue
        source = [head // repeats for head in group.heads]
        states = take(query, group.heads), key[:, source], value[:, source]
        output[:, :, list(group.heads)] = _ruled(*states, scaling, group, chosen.of(group.heads), vision)
    return output


def block_kernels(device: str) -> Mapping[str, autotune.Kernel]:
    """The candidates, the reference first."""
    return {"gathered": gathered, "flex": flex.block_sparse} if device in autotune.GPUS else {"gathered": gathered}


def gathered(query: Tensor, key: Tensor, value: Tensor, scaling: float, chosen: KeyBlocks) -> Tensor:
    """As ``block_sparse`` for heads without rules."""
    size, (heads, rows, width), more = chosen.size, query.shape[1:], -query.shape[2] % chosen.size
    # keys and values side by side: what is chosen is gathered once
    both = pad(torch.cat([key[0], value[0]], 2), (0, 0, 0, more))
    output = query.new_empty(heads, rows, value.shape[3])
    # what stands behind the diagonal of a block is hidden; the same columns end every block's mask
    mask = torch.zeros(size, rows + more, dtype=query.dtype, device=query.device)
    mask[:, -size:] = torch.full((size, size), float("-inf"), dtype=query.dtype, device=query.device).triu(1)
    memory = torch.empty_like(both[0])
    for head in range(heads):
        states = both[head * len(both) // heads]
        for block, (blocks, columns) in enumerate(_lists(chosen, head)):
            start, stop = block * size, min(rows, block * size + size)
            count = len(columns) + len(blocks) * size
            near = states[:count] if len(blocks) == block + 1 else _gather(states, blocks, columns, size, memory)
            note("blocks", (stop - start) * count)
            output[head, start:stop] = scaled_dot_product_attention(
                query[:, head : head + 1, start:stop],
                near[None, None, :, :width],
                near[None, None, :, width:],
                attn_mask=mask[: stop - start, -count:],
                scale=scaling,
            )[0, 0]
    return output[None].transpose(1, 2)


def _lists(chosen: KeyBlocks, head: int) -> Iterator[tuple[Tensor, Tensor]]:
    """For each block of queries of a head the blocks of keys, ascending, and the single keys of earlier blocks."""
    seen = chosen.seen[head]
    blocks = torch.split(seen.nonzero()[:, 1], seen.sum(1).tolist())
    single = chosen.single(head)
    home = single // chosen.size
    apart = ~seen[:, home] & (home < torch.arange(len(seen), device=seen.device)[:, None])
    columns = torch.split(single[apart.nonzero()[:, 1]], apart.sum(1).tolist())
    return zip(blocks, columns, strict=True)


def _gather(states: Tensor, blocks: Tensor, columns: Tensor, size: int, memory: Tensor) -> Tensor:
    """Single rows of [padded n, width], then blocks of them."""
    whole = states.view(-1, size * states.shape[1])
    if states.requires_grad:
        # a backward pass needs what was gathered: nothing may be written over it
        return torch.cat([states[columns], whole[blocks].view(-1, states.shape[1])])
    single, stop = len(columns), len(columns) + len(blocks) * size
    torch.index_select(states, 0, columns, out=memory[:single])
    torch.index_select(whole, 0, blocks, out=memory[single:stop].view(len(blocks), -1))
    return memory[:stop]


def _ruled(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float,
    group: Group,
    chosen: KeyBlocks,
    vision: Tensor | None,
) -> Tensor:
    """As ``gathered`` for heads, with a KV head each, that are under a group's rules: of the chosen keys those are
    gathered that some query of the block sees."""
    rows, size = query.shape[2], chosen.size
    at = torch.arange(rows, device=query.device)
    output = query.new_zeros(query.shape[1], rows, value.shape[3])
    for head in range(query.shape[1]):
        for block, (blocks, columns) in enumerate(_lists(chosen, head)):
            near = at[block * size : block * size + size]
            among = (blocks[:, None] * size + torch.arange(size, device=at.device)).flatten()
            places = torch.cat([columns, among[among < rows]])
            seen = group.visible(near, places, vision)
            places, seen = places[seen.any(0)], seen[:, seen.any(0)]
            if not len(places):
                continue
            note("blocks", seen.numel())
            found = scaled_dot_product_attention(
                query[:, head : head + 1, near],
                key[:, head : head + 1, places],
                value[:, head : head + 1, places],
                attn_mask=seen,
                scale=scaling,
            )[0, 0]
            output[head, near] = torch.where(seen.any(1)[:, None], found, 0.0)
    return output[None].transpose(1, 2)
