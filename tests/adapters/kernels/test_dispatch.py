"""The attention kernels against a dense float64 reference, over shapes, rules and chunkings."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from patches_oracle import dense, states, window_mask

from coreheads.adapters.kernels.dense import full_attention
from coreheads.adapters.kernels.dispatch import attend
from coreheads.adapters.kernels.evicting_cache import EvictingLayer
from coreheads.adapters.kernels.local import local_attention
from coreheads.adapters.kernels.ragged import attend_ragged
from coreheads.adapters.kernels.visibility import Group, Local, Nothing, NoVision, group_heads

quick = settings(max_examples=25, deadline=None)
shapes = st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3))  # batch, KV heads, query heads each


@quick
@given(shapes, st.integers(1, 400), st.integers(0, 60), st.integers(0, 9), st.integers(1, 140))
def test_local_attention_is_the_masked_one(
    shape: tuple[int, int, int], rows: int, before: int, sink: int, window: int
) -> None:
    query, key, value = states(*shape, rows, rows + before)
    expected_mask = window_mask(rows, rows + before, sink, window)
    expected = dense(query, key, value, expected_mask.expand(shape[0], query.shape[1], -1, -1), 0.3)
    torch.testing.assert_close(local_attention(query, key, value, 0.3, sink, window), expected, atol=1e-10, rtol=0)


def test_local_attention_gathers_long_prompts_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    query, key, value = states(1, 2, 2, 700, 700)
    whole = local_attention(query, key, value, 0.3, 4, 16)
    monkeypatch.setattr("coreheads.adapters.kernels.local.SLAB_ELEMENTS", {"cpu": 1})
    torch.testing.assert_close(local_attention(query, key, value, 0.3, 4, 16), whole, atol=1e-12, rtol=0)


def test_local_attention_piece_by_piece_has_the_gradients_of_the_masked_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coreheads.adapters.kernels.local.SLAB_ELEMENTS", {"cpu": 1})
    inputs = [part.requires_grad_() for part in states(1, 2, 2, 700, 700)]
    expected = dense(*inputs, window_mask(700, 700, 4, 16).expand(1, 4, -1, -1), 0.3)
    weights = torch.randn(expected.shape, dtype=expected.dtype)
    wanted = torch.autograd.grad((expected * weights).sum(), inputs)
    gradients = torch.autograd.grad((local_attention(*inputs, 0.3, 4, 16) * weights).sum(), inputs)
    torch.testing.assert_close(gradients, wanted, atol=1e-10, rtol=0)


@quick
@given(shapes, st.integers(1, 300), st.integers(0, 150))
def test_full_attention_is_causal_from_the_last_key(shape: tuple[int, int, int], rows: int, before: int) -> None:
    query, key, value = states(*shape, rows, rows + before)
    mask = torch.ones(rows, rows + before, dtype=torch.bool).tril(before)
    expected = dense(query, key, value, mask.expand(shape[0], query.shape[1], -1, -1), 0.3)
    torch.testing.assert_close(full_attention(query, key, value, 0.3), expected, atol=1e-10, rtol=0)


@st.composite
def laid_rules(draw: st.DrawFn) -> tuple[tuple[int, int], list[dict[int, object]]]:
    kv_heads, repeats = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    rules = st.sampled_from([Local(2, 5), Local(0, 9), Local(7, 1), NoVision("text"), NoVision("all"), Nothing()])
    heads = st.integers(0, kv_heads * repeats - 1)
    return (kv_heads, repeats), draw(st.lists(st.dictionaries(heads, rules, max_size=6), max_size=3))


def rule_masks(laid: list[dict[int, object]], heads: int, length: int, vision: torch.Tensor) -> torch.Tensor:
    masks = torch.ones(length, length, dtype=torch.bool).tril().repeat(heads, 1, 1)
    for mapping in laid:
        for head, rule in mapping.items():
            if isinstance(rule, Local):
                masks[head] &= window_mask(length, length, rule.sink, rule.window)
            elif isinstance(rule, Nothing):
                masks[head] = False
            else:
                assert isinstance(rule, NoVision)
                blind = ~vision if rule.scope == "text" else torch.ones_like(vision)
                masks[head] &= ~(blind[:, None] & vision[None, :])
    return masks


@quick
@given(laid_rules(), st.integers(1, 170), st.integers(0, 2**31), st.data())
def test_heads_under_any_rules_in_chunks_and_evicted(
    made: tuple[tuple[int, int], list[dict[int, object]]], length: int, seed: int, data: st.DataObject
) -> None:
    (kv_heads, repeats), laid = made
    heads = kv_heads * repeats
    query, key, value = states(1, kv_heads, repeats, length, length, seed)
    vision = torch.rand(length, generator=torch.Generator().manual_seed(seed)) < 0.5
    expected = dense(query, key, value, rule_masks(laid, heads, length, vision)[None], 0.3)
    groups = group_heads(heads, laid)  # type: ignore[arg-type]
    assert sorted(head for group in groups for head in group.heads) == list(range(heads))
    output = attend(query, key, value, 0.3, groups, vision)
    torch.testing.assert_close(output, expected, atol=1e-10, rtol=0)

    cuts = sorted({0, length, *data.draw(st.lists(st.integers(1, length), max_size=3))})
    pieces = [
        attend(query[:, :, a:b], key[:, :, :b], value[:, :, :b], 0.3, groups, vision[:b]) for a, b in pairwise(cuts)
    ]
    torch.testing.assert_close(torch.cat(pieces, 1), expected, atol=1e-10, rtol=0)


@quick
@given(shapes, st.integers(1, 60), st.integers(0, 6), st.integers(1, 12), st.integers(0, 9), st.data())
def test_evicting_layer_gives_what_all_keys_give(
    shape: tuple[int, int, int], length: int, sink: int, window: int, padding: int, data: st.DataObject
) -> None:
    batch, kv_heads, repeats = shape
    heads = kv_heads * repeats
    selected = data.draw(st.sets(st.integers(0, heads - 1)))
    groups = group_heads(heads, [{h: Local(sink, window) for h in range(heads) if h not in selected}])
    starts = [padding if sample == batch - 1 else 0 for sample in range(batch)]
    total = length + padding
    query, key, value = states(batch, kv_heads, repeats, total, total)
    mask = torch.zeros(batch, heads, total, total, dtype=torch.bool)
    for sample, start in enumerate(starts):
        real = total - start
        for head in range(heads):
            mask[sample, head, start:, start:] = window_mask(
                real, real, real if head in selected else sink, real if head in selected else window
            )
    expected = dense(query, key, value, mask, 0.3)
    full = sorted({head // repeats for head in selected})
    layer = EvictingLayer(full, kv_heads, sink, window)
    cuts = sorted({0, total, *data.draw(st.lists(st.integers(1, total), max_size=4))})
    for a, b in pairwise(cuts):
        kept, _ = layer.update(key[:, :, a:b], value[:, :, a:b])
        output = attend_ragged(query[:, :, a:b], kept, groups, starts, 0.3, None)
        torch.testing.assert_close(output, expected[:, a:b], atol=1e-10, rtol=0)
        assert layer.short_keys.shape[2] <= sink + window
        assert layer.get_seq_length() == b


def test_groups_of_two_rules_hold_both() -> None:
    both = group_heads(2, [{0: Local(0, 4), 1: Nothing()}, {0: NoVision("all"), 1: Local(0, 4)}])
    assert both == (Group((0,), (Local(0, 4), NoVision("all"))), Group((1,), (Nothing(),)))
    with pytest.raises(ValueError, match="does not know which tokens are vision"):
        attend(*states(1, 2, 1, 3, 3), 1.0, both, None)
