"""What vertical_slash chooses, against the same in loops; how many pairs it is given; and what it refuses."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from block_cases import literal
from hypothesis import given, settings
from hypothesis import strategies as st

from coreheads.adapters.kernels.block_sparse import block_sparse
from coreheads.adapters.kernels.visibility import Group
from coreheads.adapters.kernels.work_count import causal_pairs, counted
from coreheads.adapters.patches.hooks import Step
from coreheads.adapters.patches.vertical_slash import VerticalSlash
from coreheads.errors import UserError


def step_of(tokens: int, seed: int, kv_heads: int = 1, repeats: int = 2, alike: bool = False) -> Step:
    made = torch.Generator().manual_seed(seed)
    make = lambda heads: torch.randn(1, heads, tokens, 4, generator=made, dtype=torch.float64)  # noqa: E731
    query, key = make(kv_heads * repeats) * (0 if alike else 2), make(kv_heads)
    groups = (Group(tuple(range(kv_heads * repeats)), ()),)
    return Step(0, 0, query, key, make(kv_heads), 0.5, groups, None)


def masses(step: Step, head: int, observers: int) -> tuple[list[float], list[float]]:
    """By key and by distance, pair by pair."""
    tokens = step.key.shape[2]
    query, key = step.query[0, head].numpy(), step.key[0, head // (step.query.shape[1] // step.key.shape[1])].numpy()
    keys, distances = [0.0] * tokens, [0.0] * tokens
    for i in range(tokens - observers, tokens):
        weights = np.exp(key[: i + 1] @ query[i] * step.scaling)
        for j, weight in enumerate(weights / weights.sum()):
            keys[j] += weight
            distances[i - j] += weight
    return keys, distances


def chosen_by_definition(patch: VerticalSlash, step: Step, head: int) -> np.ndarray:
    """Bool [n, n] of what a head sees, causality aside within its own block."""
    tokens, size = step.key.shape[2], patch.block
    count, free = -(-tokens // size), (tokens - patch.observers) // size
    keys, distances = masses(step, head, patch.observers)

    def given_pairs(seen: set[tuple[int, int]], single: set[int]) -> int:
        total = 0
        for b in range(count):
            rows = min(tokens, (b + 1) * size) - b * size
            blocks = {k for k in range(b + 1) if (b, k) in seen}
            total += rows * (len(blocks) * size + sum(j // size < b and j // size not in blocks for j in single))
        return total

    def slash(far: int) -> set[tuple[int, int]]:
        return {(b, b - far) for b in range(free) if b >= far}

    of_slash = [
        sum(mass * max(Fraction(0), 1 - abs(Fraction(o, size) - far)) for o, mass in enumerate(distances))
        for far in range(count)
    ]
    budget = int(patch.keep * causal_pairs(tokens, tokens))
    seen = {(b, k) for b in range(free, count) for k in range(b + 1)} | slash(0) | slash(1)
    left = budget - given_pairs(seen, set(range(patch.sink)))
    spent = 0
    for far in sorted(range(2, count), key=lambda far: -of_slash[far]):
        more = given_pairs(seen | slash(far), set()) - given_pairs(seen, set())
        spent += more
        if spent > (1 - patch.vertical) * left:
            break
        seen |= slash(far)
    single: set[int] = set()
    for j in [*range(patch.sink), *sorted(range(patch.sink, tokens), key=lambda j: -keys[j])]:
        if given_pairs(seen, single | {j}) > budget and j >= patch.sink:
            break
        single.add(j)
    table = np.zeros((tokens, tokens), bool)
    for i in range(tokens):
        for j in range(i + 1):
            table[i, j] = (i // size, j // size) in seen or j in single or i // size == j // size
    return table


@settings(max_examples=25, deadline=None)
@given(
    tokens=st.integers(20, 60),
    keep=st.floats(0.3, 0.95),
    vertical=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    observers=st.integers(1, 6),
    sink=st.integers(0, 5),
    block=st.sampled_from([2, 3, 4]),
    seed=st.integers(0, 99),
)
def test_the_choice_is_the_definition(
    tokens: int, keep: float, vertical: float, observers: int, sink: int, block: int, seed: int
) -> None:
    patch, step = VerticalSlash(keep, vertical, observers, sink, block), step_of(tokens, seed)
    chosen = patch.blocks(step)
    dense = causal_pairs(tokens, tokens)
    if chosen is None:
        assert patch.head_pairs(tokens) == dense
        return
    with counted() as work:
        block_sparse(step.query, step.key, step.value, 0.5, step.groups, chosen, None)
    most = patch.head_pairs(tokens)
    assert work["blocks"] <= 2 * most
    assert work["blocks"] > 2 * (min(most, int(keep * dense)) - tokens) or vertical == 0
    for head in range(2):
        wanted = chosen_by_definition(patch, step, head)
        assert np.array_equal(literal(chosen, head, tokens), wanted)


def test_of_equal_masses_the_nearer_and_the_earlier_are_met() -> None:
    patch, step = VerticalSlash(0.5, 0.5, 1, 0, 4), step_of(64, 0, alike=True)
    chosen = patch.blocks(step)
    assert chosen is not None
    assert chosen.columns is not None
    first = [chosen.columns[head].nonzero()[:, 0].tolist() for head in range(2)]
    assert first[0] == first[1] == list(range(len(first[0])))
    assert first[0]
    far = chosen.seen[0, 14].flip(0)[1:]  # the fifteenth block, from its own on; the last is full
    assert far.tolist() == sorted(far.tolist(), reverse=True)


@pytest.mark.parametrize("tokens", [1024, 2000, 4096])
@pytest.mark.parametrize("keep", [0.25, 0.5, 0.75])
def test_the_budget_is_met_on_long_prompts(tokens: int, keep: float) -> None:
    patch, step = VerticalSlash(keep), step_of(tokens, 1)
    chosen, dense = patch.blocks(step), causal_pairs(tokens, tokens)
    assert chosen is not None
    with counted() as work:
        block_sparse(step.query, step.key, step.value, 0.5, step.groups, chosen, None)
    given_pairs, most = work["blocks"] / 2, patch.head_pairs(tokens)
    assert most - tokens < given_pairs <= most
    assert most == int(keep * dense) or (tokens, keep) == (1024, 0.25)


def test_a_short_prompt_and_all_pairs_are_full_attention() -> None:
    assert VerticalSlash().blocks(step_of(190, 0)) is None
    assert VerticalSlash(keep=1.0).blocks(step_of(600, 0)) is None
    assert VerticalSlash(keep=1).head_pairs(600) == 600 * 601 // 2
    assert [VerticalSlash().head_pairs(tokens) for tokens in (0, 1, 63, 100)] == [0, 1, 2016, 5050]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VerticalSlash(keep=0), "VerticalSlash: keep is 0, expected a number above 0 and up to 1"),
        (lambda: VerticalSlash(keep=True), "keep is True"),
        (lambda: VerticalSlash(vertical=1.5), "vertical is 1.5, expected a number from 0 to 1"),
        (lambda: VerticalSlash(observers=0), "observers is 0, expected a whole number of at least 1"),
        (lambda: VerticalSlash(sink=-1), "sink is -1, expected a whole number of at least 0"),
        (lambda: VerticalSlash(block=0), "block is 0, expected a whole number of at least 1"),
    ],
)
def test_bad_values_end_in_one_line(make: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        make()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
