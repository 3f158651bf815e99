"""What xattention chooses, against the same in loops, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coreheads.adapters.kernels.visibility import Group
from coreheads.adapters.patches import xattention
from coreheads.adapters.patches.hooks import Step
from coreheads.adapters.patches.xattention import XAttention
from coreheads.errors import UserError


def step_of(tokens: int, seed: int) -> Step:
    made = torch.Generator().manual_seed(seed)
    query, key = (torch.randn(1, heads, tokens, 4, generator=made, dtype=torch.float64) * 2 for heads in (4, 2))
    return Step(0, 0, query, key, key, 0.5, (Group((0, 1, 2, 3), ()),), None)


def by_definition(patch: XAttention, step: Step, head: int) -> list[list[float]]:
    """The sums of a head, product by product."""
    tokens, size, stride = step.key.shape[2], patch.block, patch.stride
    query, key = step.query[0, head].numpy(), step.key[0, head // 2].numpy()
    count = -(-tokens // size)
    sums = [[0.0] * count for _ in range(count)]
    for row in range(-(-tokens // stride)):
        weights = []
        for column in range(row + 1):
            total = 0.0
            for step_in in range(stride):
                i, j = row * stride + stride - 1 - step_in, column * stride + step_in
                total += float(query[i] @ key[j]) * step.scaling if max(i, j) < tokens else 0.0
            weights.append(np.exp(total / stride))
        for column, weight in enumerate(weights):
            sums[row * stride // size][column * stride // size] += weight / sum(weights)
    return sums


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.sampled_from([(4, 2), (6, 3), (4, 4), (3, 1)]), st.floats(0.05, 1.0), st.integers(0, 99))
def test_the_choice_is_the_definition(tokens: int, sizes: tuple[int, int], threshold: float, seed: int) -> None:
    patch, step = XAttention(threshold, sizes[1], sizes[0]), step_of(tokens, seed)
    chosen = patch.blocks(step)
    if tokens <= sizes[0]:
        assert chosen is None
        return
    assert chosen is not None
    assert chosen.columns is None
    for head in range(4):
        sums = by_definition(patch, step, head)
        np.testing.assert_allclose(patch.masses(step)[head].numpy(), sums, atol=1e-12)
        for row, own in enumerate(sums):
            met, held = {row}, 0.0
            for column in sorted(range(row + 1), key=lambda column: -own[column]):
                if held >= threshold * sum(own) - 1e-9:
                    break
                met.add(column)
                held += own[column]
            found = set(chosen.seen[head, row].nonzero()[:, 0].tolist())
            # up to rounding where the threshold is met to the last digit
            assert found == met or abs(held - threshold * sum(own)) < 1e-8


def test_rows_of_tiles_are_scored_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    patch, step = XAttention(0.5, 2, 4), step_of(59, 0)
    whole = patch.masses(step)
    for rows in (1, 7):
        monkeypatch.setattr(xattention, "ROWS", rows)
        torch.testing.assert_close(patch.masses(step), whole, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: XAttention(threshold=0), "XAttention: threshold is 0, expected a number above 0 and up to 1"),
        (lambda: XAttention(stride=0), "stride is 0, expected a whole number of at least 1"),
        (lambda: XAttention(stride=7), "stride is 7, expected a divisor of block, 128"),
        (lambda: XAttention(block=0), "block is 0, expected a whole number of at least 1"),
    ],
)
def test_bad_values_end_in_one_line(make: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        make()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
