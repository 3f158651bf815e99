"""Heads that read everything beside heads with sink + window: every candidate of every device against a dense mask."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from patches_oracle import (
    HEADS,
    LAYERS,
    dense,
    hybrid_rule,
    logits,
    oracle,
    prompt,
    states,
    tiny_model,
    window_mask,
)
from torch import Tensor
from torch._dynamo.testing import CompileCounter
from torch.nn.attention.flex_attention import create_mask, flex_attention
from transformers import DynamicCache

from coreheads import Hybrid
from coreheads.adapters.generation.chunked_prefill import chunked_prefill
from coreheads.adapters.kernels import autotune, by_head, flex
from coreheads.adapters.kernels.dispatch import attend
from coreheads.adapters.kernels.visibility import Local, group_heads
from coreheads.adapters.kernels.work_count import causal_pairs, counted

CANDIDATES = dict(by_head.hybrid_kernels("cuda", True))
shapes = st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3))  # batch, KV heads, query heads each


def masks(heads: set[int], count: int, rows: int, columns: int, sink: int, width: int) -> Tensor:
    """Bool [heads, rows, columns]."""
    near, every = (window_mask(rows, columns, *pattern) for pattern in ((sink, width), (columns, columns)))
    return torch.stack([every if head in heads else near for head in range(count)])


def expected(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, heads: Iterable[int], sink: int, width: int
) -> Tensor:
    batch, count, rows, _ = query.shape
    seen = masks(set(heads), count, rows, key.shape[2], sink, width)
    return dense(query, key, value, seen.expand(batch, -1, -1, -1), scaling)


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flex, "_compiled", lambda: flex_attention)  # compiling takes half a minute here


@pytest.mark.parametrize("name", CANDIDATES)
@settings(max_examples=10, deadline=None)
@given(shapes, st.integers(2, 300), st.integers(0, 200), st.integers(0, 150), st.integers(1, 200), st.data())
def test_every_candidate_is_the_masked_attention(
    name: str, shape: tuple[int, int, int], rows: int, before: int, sink: int, width: int, data: st.DataObject
) -> None:
    made = [tensor.float() for tensor in states(*shape, rows, rows + before)]
    heads = tuple(sorted(data.draw(st.sets(st.integers(0, shape[1] * shape[2] - 1), min_size=1))))
    output = CANDIDATES[name](*made, 0.3, heads, sink, width)
    torch.testing.assert_close(output.double(), expected(*made, 0.3, heads, sink, width), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", CANDIDATES)
@settings(max_examples=3, deadline=None)
@given(
    st.sets(st.tuples(st.integers(0, LAYERS - 1), st.integers(0, HEADS - 1)), max_size=10),
    st.integers(0, 6),
    st.integers(1, 50),
    st.integers(15, 40),
)
def test_a_model_of_padded_prompts_in_pieces(
    name: str, heads: set[tuple[int, int]], sink: int, width: int, piece: int
) -> None:
    model = tiny_model(0, 4)
    inputs = prompt(["where is the red-star?", "what digit is by the blue-bar? (A) 3 (B) 7"], [2, 1])
    with oracle(model, hybrid_rule(heads, sink, width)):
        wanted = logits(model, inputs)
    patch = Hybrid(heads, sink=sink, window=width)
    real = inputs["attention_mask"].bool()
    with pytest.MonkeyPatch.context() as patched, patch(model):
        patched.setattr(by_head, "hybrid_kernels", lambda device, whole: {"passes": CANDIDATES[name]})
        torch.testing.assert_close(logits(model, inputs)[real], wanted[real], atol=1e-6, rtol=0)
        with chunked_prefill(model, piece):
            for cache in (DynamicCache(), patch.cache(model)):
                output = logits(model, inputs, use_cache=True, past_key_values=cache, logits_to_keep=1)
                torch.testing.assert_close(output[:, -1], wanted[:, -1], atol=1e-6, rtol=0)


def walked(mask: Any, heads: int) -> Tensor:
    """Bool [heads, filled rows, filled columns]: what a kernel that goes by the lists of blocks lets queries see."""
    lengths, size = mask.seq_lengths, flex.BLOCK
    asked = create_mask(mask.mask_mod, None, heads, *lengths, device="cpu")[0]
    seen = torch.zeros_like(asked)
    for counts, lists, whole in (
        (mask.kv_num_blocks, mask.kv_indices, False),
        (mask.full_kv_num_blocks, mask.full_kv_indices, True),
    ):
        for head, row in np.ndindex(*counts.shape[1:]):
            for block in lists[0, head, row, : counts[0, head, row]].tolist():
                place = head, slice(row * size, row * size + size), slice(block * size, block * size + size)
                assert not seen[place].any(), "no block is met twice"
                seen[place] = True if whole else asked[place]
    return seen


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 500),
    st.integers(0, 300),
    st.integers(0, 200),
    st.integers(1, 400),
    st.sets(st.integers(0, 2), min_size=1),
)
def test_listed_blocks_show_what_is_to_be_seen(rows: int, before: int, sink: int, width: int, heads: set[int]) -> None:
    columns, more = rows + before, -rows % flex.step(rows)
    made = flex.head_mask(tuple(sorted(heads)), 3, rows, columns, sink, width, torch.device("cpu"), more)
    assert made.seq_lengths == (rows + more, columns + more)
    seen = walked(made, 3)
    assert torch.equal(seen[:, :rows, :columns], masks(heads, 3, rows, columns, sink, width))
    assert not seen[:, :rows, columns:].any()
    # what was filled in meets keys only where it shares a block with queries
    assert not seen[:, -(-rows // flex.BLOCK) * flex.BLOCK :].any()


def test_the_lists_take_little_memory_and_short_ones_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    made = flex.head_mask((1, 2), 8, 1000, 3000, 4, 64, cpu, 0)
    assert flex.head_mask((1, 2), 8, 1000, 3000, 4, 64, cpu, 0) is made
    assert flex.head_mask((1, 3), 8, 1000, 3000, 4, 64, cpu, 0) is not made
    assert (
        sum(part.nbytes for part in (made.kv_indices, made.full_kv_indices)) == 8 * 8 * 8 * 24
    )  # bytes, heads, blocks
    assert made.q_indices is None
    monkeypatch.setattr(flex, "KEPT", 8 * 8 * 24 - 1)
    assert flex.head_mask((1, 2), 8, 1000, 3000, 4, 64, cpu, 0) is not made


def test_layers_share_what_was_compiled() -> None:
    compiled = CompileCounter()
    attention = torch.compile(flex_attention, backend=compiled, dynamic=False)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(flex, "_compiled", lambda: attention)
        for heads in ((0,), (1, 3), (0, 1, 2), (0,)):
            for rows in (600, 590):
                given = *(tensor.float() for tensor in states(1, 2, 2, rows, rows)), 0.3, heads, 5, 40
                output = by_head.by_one_call(*given).double()
                torch.testing.assert_close(output, expected(*given), atol=1e-5, rtol=0)
    assert compiled.frame_count == 1


def test_beyond_so_many_shapes_two_passes_compute_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flex, "_SHAPES", set())
    monkeypatch.setattr(flex, "SHAPES", 0)
    monkeypatch.setattr(flex, "_compiled", None)
    given = *states(1, 2, 2, 200, 200), 0.3, (1,), 5, 40
    torch.testing.assert_close(by_head.by_one_call(*given), expected(*given), atol=1e-10, rtol=0)


@pytest.mark.parametrize(
    ("heads", "readers"), [((0, 1, 2, 3), 8), ((0, 1, 2, 4, 5, 6, 7), 8), ((5,), 12), (tuple(range(8)), 4)]
)
def test_kv_heads_that_are_read_whole_get_no_windowed_pass(heads: tuple[int, ...], readers: int) -> None:
    """Of 12 heads, four to a KV head."""
    query, key, value = states(1, 3, 4, 700, 700)

    with counted() as each:
        by_head.windowed(query, key, value, 0.3, 5, 40)
    with counted() as all_heads:
        by_head.passes(query, key, value, 0.3, heads, 5, 40)
    with counted() as fewer:
        by_head.skipping(query, key, value, 0.3, heads, 5, 40)
    assert all_heads["window"] == each["window"]
    assert fewer["window"] * 12 == each["window"] * readers
    assert fewer["full"] == all_heads["full"] == len(heads) * causal_pairs(700, 700)
    with counted() as one_call:
        by_head.by_one_call(*(part.float() for part in (query, key, value)), 0.3, heads, 5, 40)
    own = int(window_mask(700, 700, 5, 40).sum()) * (12 - len(heads))
    assert own <= one_call["window"] <= own + (12 - len(heads)) * 700 * 3 * flex.BLOCK
    assert one_call["full"] == len(heads) * (1 + 2 + 3 + 4 + 5 + 6) * flex.BLOCK**2


def test_a_layer_is_given_to_the_fastest(gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    query, key, value = (tensor.float() for tensor in states(1, 2, 2, 200, 200))
    assert list(by_head.hybrid_kernels("cuda", False)) == ["passes", "flex"]
    assert list(by_head.hybrid_kernels("cuda", True)) == ["passes", "skipping", "flex"]
    assert by_head.hybrid_kernels("mps", True) == {"passes": by_head.passes}
    assert by_head.hybrid_kernels("cpu", True) == {"passes": by_head.skipping}
    monkeypatch.setattr(by_head, "hybrid_kernels", lambda device, whole: CANDIDATES)
    for heads in ((0,), (1,), (0, 1), (0, 2)):
        local = {head: Local(5, 40) for head in range(4) if head not in heads}
        output = attend(query, key, value, 0.3, group_heads(4, [local]), None)
        wanted = expected(query, key, value, 0.3, heads, 5, 40)
        torch.testing.assert_close(output.double(), wanted, atol=1e-5, rtol=0)
    measured = [result for name, result in autotune.choices().items() if name.startswith("hybrid")]
    assert len(measured) == 3  # one head; two that are all readers of a KV head; two that are not
    for result in measured:
        assert set(result.seconds) == set(CANDIDATES)
        assert result.failed == {}
