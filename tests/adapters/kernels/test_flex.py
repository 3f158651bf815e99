"""FlexAttention with computed block masks, by the same code on a CPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from patches_oracle import dense, states, window_mask
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from coreheads.adapters.kernels import flex
from coreheads.adapters.kernels.work_count import counted


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 500), st.integers(0, 300), st.integers(0, 200), st.integers(1, 400))
def test_block_masks_are_those_found_by_asking_every_pair(rows: int, before: int, sink: int, width: int) -> None:
    columns, cpu = rows + before, torch.device("cpu")
    made = flex.block_mask(rows, columns, sink, width, cpu)
    searched = create_block_mask(made.mask_mod, None, None, rows, columns, device="cpu")
    assert torch.equal(made.to_dense(), searched.to_dense())
    assert torch.equal(whole_blocks(made), whole_blocks(searched))
    touched = window_mask(rows, columns, sink, width)
    padded = (
        torch.nn.functional.pad(touched, (0, -columns % 128, 0, -rows % 128)).unfold(0, 128, 128).unfold(1, 128, 128)
    )
    assert flex.blocks(rows, columns, sink, width) == int(padded.any(-1).any(-1).sum())


def whole_blocks(mask: Any) -> torch.Tensor:
    listed, counts = mask.full_kv_indices[0, 0], mask.full_kv_num_blocks[0, 0]
    found = torch.zeros(listed.shape, dtype=torch.bool)
    for row, count in enumerate(counts.tolist()):
        found[row, listed[row, :count].long()] = True
    return found


@pytest.mark.parametrize(("rows", "columns", "sink", "width"), [(300, 300, 5, 40), (130, 333, 129, 70)])
def test_flex_attention_with_such_a_mask(
    rows: int, columns: int, sink: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flex, "_compiled", lambda: flex_attention)  # compiling takes half a minute here
    query, key, value = (tensor.float() for tensor in states(1, 2, 2, rows, columns))
    mask = window_mask(rows, columns, sink, width).expand(1, 4, -1, -1)
    with counted() as work:
        output = flex.windowed(query, key, value, 0.3, sink, width)
    torch.testing.assert_close(output.double(), dense(query, key, value, mask, 0.3), atol=1e-5, rtol=0)
    assert work["window"] == 4 * 128**2 * flex.blocks(rows, columns, sink, width)


def test_prompts_of_any_length_share_a_few_compiled_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    met: set[torch.Size] = set()

    def compiled(query: torch.Tensor, *given: Any, **more: Any) -> torch.Tensor:
        met.add(query.shape)
        return flex_attention(query, *given, **more)

    monkeypatch.setattr(flex, "_compiled", lambda: compiled)
    monkeypatch.setattr(flex, "_SHAPES", set())
    monkeypatch.setattr(flex, "SHAPES", 2)
    for rows in (130, 256, 131, 300, 600, 601, 200):
        query, key, value = (tensor.float() for tensor in states(1, 1, 2, rows, rows))
        mask = window_mask(rows, rows, 5, 40).expand(1, 2, -1, -1)
        output = flex.windowed(query, key, value, 0.3, 5, 40)
        assert output.shape == (1, rows, 2, 8)
        torch.testing.assert_close(output.double(), dense(query, key, value, mask, 0.3), atol=1e-5, rtol=0)
    # a third one is not compiled, but computed in blocks
    assert {size[2] for size in met} == {256, 384}


@given(st.integers(1, 1 << 18))
def test_few_lengths_are_compiled_for_and_little_is_filled_in(rows: int) -> None:
    filled = rows + -rows % flex.step(rows)
    assert filled % 128 == 0
    assert filled - rows < max(128, rows / 16)
    assert filled == rows or rows & (rows - 1) or rows < 128, "powers of two are taken as they are"
    assert len({n + -n % flex.step(n) for n in range(1 << 17, 1 << 18, 999)}) <= 17
