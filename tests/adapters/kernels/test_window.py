"""Sink + window attention as two passes merged: the masked attention, and no more work than its pattern has."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from flash_reference import reference, rounding
from hypothesis import given, settings
from hypothesis import strategies as st
from patches_oracle import dense, states, window_mask

from coreheads.adapters.kernels import window
from coreheads.adapters.kernels.local import local_attention
from coreheads.adapters.kernels.work_count import causal_pairs, counted

shapes = st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3))  # batch, KV heads, query heads each


@settings(max_examples=25, deadline=None)
@given(shapes, st.integers(2, 300), st.integers(0, 60), st.integers(0, 40), st.integers(1, 140))
def test_two_passes_merged_are_the_masked_one(
    shape: tuple[int, int, int], rows: int, before: int, sink: int, width: int
) -> None:
    query, key, value = states(*shape, rows, rows + before)
    mask = window_mask(rows, rows + before, sink, width).expand(shape[0], query.shape[1], -1, -1)
    output = window.merged(reference, query, key, value, 0.3, sink, width)
    torch.testing.assert_close(output, dense(query, key, value, mask, 0.3), atol=1e-10, rtol=0)


def test_merged_parts_piece_by_piece_and_with_weights_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "MERGED_ROWS", 7)
    query, key, value = states(1, 2, 2, 90, 90)
    query[:, :, 40:] *= 300  # one part then outweighs the other by hundreds of orders of magnitude
    mask = window_mask(90, 90, 5, 11).expand(1, 4, -1, -1)
    output = window.merged(reference, query, key, value, 1.0, 5, 11)
    torch.testing.assert_close(output, dense(query, key, value, mask, 1.0), atol=1e-9, rtol=0)


@pytest.mark.parametrize(("rows", "before", "sink", "width"), [(700, 0, 32, 128), (600, 300, 128, 256)])
def test_rounded_parts_merge_to_little_more_than_the_rounding_of_one_pass(
    rows: int, before: int, sink: int, width: int
) -> None:
    torch.manual_seed(3)
    query, key, value = (
        torch.randn(1, 2, length, 64).bfloat16() for length in (rows, rows + before, rows + before)
    )  # fmt: skip

    def error(output: torch.Tensor, visible: torch.Tensor) -> float:
        expected = dense(query.double(), key.double(), value.double(), visible.expand(1, 2, -1, -1), 0.125)
        return float((output - expected).square().mean().sqrt() / expected.square().mean().sqrt())

    merged = error(
        window.merged(rounding, query, key, value, 0.125, sink, width), window_mask(rows, rows + before, sink, width)
    )
    of_dense = error(rounding(query, key, value, 0.125, (-1, 0))[0], window_mask(rows, rows + before, 0, rows + before))
    assert 1e-3 < of_dense < 3e-3
    assert of_dense < merged < 1.25 * of_dense


def test_a_merge_that_cannot_be_compiled_still_merges(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler(*_: Any, **__: Any) -> Any:
        def fails(*_: Any) -> torch.Tensor:
            raise RuntimeError("no C compiler")

        return fails

    parts = [torch.randn(1, 9, 2, 8), torch.randn(1, 9, 2), torch.randn(1, 9, 2, 8), torch.randn(1, 9, 2)]
    expected = window.merge(*(part.clone() for part in parts))
    monkeypatch.setattr(torch, "compile", no_compiler)
    window._fastest_merge.cache_clear()
    with pytest.warns(UserWarning, match="torch.compile does not work on cpu"):
        merge = window._fastest_merge(torch.device("cpu"))
    torch.testing.assert_close(merge(*parts), expected)
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    window._fastest_merge.cache_clear()
    assert window._fastest_merge(torch.device("cpu")) is window._merge
    window._fastest_merge.cache_clear()


def test_work_is_counted_and_linear(gpu: None) -> None:
    """Twice the length is twice the work for windows, four times for full attention."""
    for kernel in (local_attention, partial(window.merged, reference)):
        found = []
        for rows in (1000, 2000):
            query, key, value = states(1, 2, 2, rows, rows)
            with counted() as work:
                kernel(query, key, value, 0.3, 4, 64)
            found.append(work["window"])
        assert found[0] >= int(window_mask(1000, 1000, 4, 64).sum()) * 4
        assert 1.9 < found[1] / found[0] < 2.2
        assert found[1] < 0.1 * 4 * causal_pairs(2000, 2000)
