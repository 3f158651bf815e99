"""Attention to chosen keys by both engines, against a masked dense reference, and the pairs that they are given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from block_cases import drawn, literal
from hypothesis import given, settings
from hypothesis import strategies as st
from patches_oracle import dense, states
from torch.nn.attention.flex_attention import create_mask, flex_attention

from coreheads.adapters.kernels import flex
from coreheads.adapters.kernels.block_sparse import block_sparse
from coreheads.adapters.kernels.dense import full_attention
from coreheads.adapters.kernels.key_blocks import KeyBlocks
from coreheads.adapters.kernels.visibility import Group, Local, Nothing, NoVision
from coreheads.adapters.kernels.work_count import counted

SHAPES = [(1, 1), (2, 3)]


def expected(found: tuple[torch.Tensor, ...], chosen: KeyBlocks, groups: tuple[Group, ...], vision: Any) -> Any:
    query, key, value = found
    tokens = query.shape[2]
    at = torch.arange(tokens)
    allowed = torch.zeros(1, query.shape[1], tokens, tokens, dtype=torch.bool)
    for group in groups:
        for head in group.heads:
            allowed[0, head] = group.visible(at, at, vision) & torch.from_numpy(literal(chosen, head, tokens))
    return dense(query, key, value, allowed, 0.3)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 70), st.integers(1, 17), st.sampled_from(SHAPES), st.floats(0, 1), st.booleans(), st.integers(0, 99)
)
def test_it_is_masked_attention(
    tokens: int, size: int, heads: tuple[int, int], share: float, columns: bool, seed: int
) -> None:
    found = states(1, *heads, tokens, tokens, seed)
    every = heads[0] * heads[1]
    chosen = drawn(every, tokens, size, seed, share, columns)
    groups = (Group(tuple(range(every)), ()),)
    wanted = expected(found, chosen, groups, None)
    with counted() as work:
        output = block_sparse(*found, 0.3, groups, chosen, None)
    torch.testing.assert_close(output, wanted, atol=1e-12, rtol=0)
    single = tuple(part.float() for part in found)
    torch.testing.assert_close(block_sparse(*single, 0.3, groups, chosen, None).double(), wanted, atol=1e-5, rtol=0)
    assert work == {"full": 0, "window": 0, "masked": 0, "blocks": pairs(chosen, tokens)}


def pairs(chosen: KeyBlocks, tokens: int) -> int:
    """Of the mask, but that a block's own keys and later ones in it are given as a square."""
    total = 0
    for head in range(len(chosen.seen)):
        table = literal(chosen, head, tokens)
        for start in range(0, tokens, chosen.size):
            rows = table[start : start + chosen.size]
            assert all(np.array_equal(row[:start], rows[0, :start]) for row in rows)
            total += len(rows) * (int(rows[0, :start].sum()) + chosen.size)
    return total


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 50), st.integers(1, 9), st.floats(0, 1), st.integers(0, 99))
def test_rules_of_heads_hold_besides(tokens: int, size: int, share: float, seed: int) -> None:
    found = states(1, 2, 3, tokens, tokens, seed)
    chosen = drawn(6, tokens, size, seed, share)
    vision = torch.rand(tokens, generator=torch.Generator().manual_seed(seed)) < 0.6
    groups = (
        *(Group((0, 2), (Local(2, 5),)), Group((1,), (Nothing(),)), Group((3,), ())),
        *(Group((4,), (NoVision("all"),)), Group((5,), (Local(0, 3), NoVision("text")))),
    )
    with counted() as work:
        output = block_sparse(*found, 0.3, groups, chosen, vision)
    torch.testing.assert_close(output, expected(found, chosen, groups, vision), atol=1e-12, rtol=0)
    assert work["blocks"] <= pairs(chosen, tokens)


def test_every_block_is_full_attention() -> None:
    found = states(1, 2, 3, 70, 70)
    every = KeyBlocks(16, torch.ones(6, 5, 5, dtype=torch.bool), torch.zeros(6, 70, dtype=torch.bool))
    output = block_sparse(*found, 0.3, (Group(tuple(range(6)), ()),), every, None)
    torch.testing.assert_close(output, full_attention(*found, 0.3), atol=1e-12, rtol=0)


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize(("tokens", "size", "heads"), [(300, 64, (2, 2)), (130, 128, (1, 3)), (257, 32, (2, 1))])
def test_flex_attention_is_the_same(
    tokens: int, size: int, heads: tuple[int, int], columns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flex, "_compiled", lambda: flex_attention)
    found = tuple(part.float() for part in states(1, *heads, tokens, tokens))
    every = heads[0] * heads[1]
    chosen = drawn(every, tokens, size, 3, 0.3, columns)
    groups = (Group(tuple(range(every)), ()),)
    with counted() as work:
        output = flex.block_sparse(*found, 0.3, chosen)
    torch.testing.assert_close(output.double(), expected(found, chosen, groups, None), atol=1e-5, rtol=0)
    assert work["blocks"] >= pairs(chosen, tokens)
    assert work["blocks"] % size**2 == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 90), st.integers(0, 40), st.sampled_from([4, 16]), st.integers(0, 99))
def test_the_listed_blocks_are_those_with_a_visible_pair(tokens: int, more: int, size: int, seed: int) -> None:
    length, most = -(-(tokens + more) // size) * size, -(-tokens // size) * size
    chosen = drawn(2, tokens, size, seed)
    places = torch.full((2, most), length)
    for head in range(2):
        places[head, : len(chosen.single(head))] = chosen.single(head)
    made = flex.chosen_mask(chosen, places, length)
    pair = create_mask(made.mask_mod, None, 2, length, length + most, device="cpu")[0]
    tiles = pair.unfold(1, size, size).unfold(2, size, size)
    listed = made.to_dense()[0].bool()
    assert not (tiles.any(-1).any(-1) & ~listed).any()
    assert made.full_kv_num_blocks is not None
    assert made.full_kv_indices is not None
    for head, row in np.ndindex(2, length // size):
        whole = made.full_kv_indices[0, head, row, : made.full_kv_num_blocks[0, head, row]].long()
        assert bool(tiles[head, row, whole].all())


def test_gradients_flow() -> None:
    found = [part.requires_grad_() for part in states(1, 1, 2, 20, 20)]
    chosen = drawn(2, 20, 4, 0)
    groups = (Group((0, 1), ()),)
    block_sparse(*found, 0.3, groups, chosen, None).square().sum().backward()
    own = [part.grad for part in found]
    again = [part.detach().requires_grad_() for part in found]
    repeated = tuple(part if part.shape[1] == 2 else part.repeat_interleave(2, 1) for part in again)
    allowed = torch.from_numpy(np.stack([literal(chosen, head, 20) for head in range(2)]))
    scores = (repeated[0] @ repeated[1].transpose(2, 3) * 0.3).masked_fill(~allowed, float("-inf"))
    (torch.softmax(scores, -1) @ repeated[2]).square().sum().backward()
    for mine, part in zip(own, again, strict=True):
        torch.testing.assert_close(mine, part.grad, atol=1e-10, rtol=0)


def test_a_wrong_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"key blocks of 4 tokens: seen is torch.bool \[1, 2, 3\], expected bool"):
        KeyBlocks(4, torch.ones(1, 2, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="for the blocks of 9 tokens"):
        KeyBlocks(4, torch.ones(1, 2, 2, dtype=torch.bool), torch.ones(1, 9, dtype=torch.bool))
