from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from profile_samples import make_profile

from coreheads.errors import UserError
from coreheads.heads import selections
from coreheads.heads.selections import KINDS, select
from coreheads.heads.types import by_layer

shapes = st.tuples(st.integers(1, 8), st.integers(1, 12))
scores = shapes.flatmap(lambda shape: arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])))
fractions = st.floats(0.001, 1.0)


def ranked_by_hand(values: np.ndarray) -> list[tuple[int, int]]:
    cells = [(layer, head) for layer in range(values.shape[0]) for head in range(values.shape[1])]
    return sorted(cells, key=lambda cell: (-values[cell], cell))


@given(scores, fractions)
def test_top_and_bottom_are_the_two_ends_of_one_order(values: np.ndarray, fraction: float) -> None:
    ranking = ranked_by_hand(values)
    count = max(1, round(fraction * values.size))
    assert selections.top(values, fraction) == frozenset(ranking[:count])
    assert selections.bottom(values, fraction) == frozenset(ranking[-count:])
    if 2 * count <= values.size:
        assert not selections.top(values, fraction) & selections.bottom(values, fraction)


@given(shapes, fractions, st.integers(0, 5))
def test_random_has_the_size_and_is_decided_by_the_seed(shape: tuple[int, int], fraction: float, seed: int) -> None:
    heads = selections.random(shape, fraction, seed)
    assert len(heads) == max(1, round(fraction * shape[0] * shape[1]))
    assert heads <= selections.every(shape)
    assert heads == selections.random(shape, fraction, seed)


@given(shapes, fractions, st.integers(0, 5), st.integers(0, 5))
def test_layer_matched_counts_and_avoids(shape: tuple[int, int], fraction: float, seed: int, drawn: int) -> None:
    heads = selections.random(shape, fraction, drawn)
    matched = selections.layer_matched(shape, heads, seed)
    assert matched == selections.layer_matched(shape, heads, seed)
    wanted, got = by_layer(heads), by_layer(matched)
    assert {layer: len(found) for layer, found in wanted.items()} == {layer: len(found) for layer, found in got.items()}
    for layer, found in wanted.items():
        if 2 * len(found) <= shape[1]:
            assert not set(found) & set(got[layer])


def test_random_is_uniform_over_all_heads() -> None:
    counts = np.zeros((3, 4))
    for seed in range(600):
        for head in selections.random((3, 4), 0.25, seed):
            counts[head] += 1
    assert np.abs(counts / 600 - 0.25).max() < 0.08


def test_random_draws_differ_by_seed() -> None:
    assert len({selections.random((6, 16), 0.05, seed) for seed in range(10)}) == 10


def test_the_count_rule() -> None:
    counts = [selections.head_count(fraction, 96) for fraction in (0.025, 0.05, 0.1, 0.001, 1, 1.0)]
    assert counts == [2, 5, 10, 1, 96, 96]


@pytest.mark.parametrize("fraction", [0, 0.0, -0.1, 1.01, 2, float("nan"), float("inf"), True, "0.05", None])
def test_a_fraction_outside_its_range_is_named(fraction: object) -> None:
    with pytest.raises(UserError, match="fraction is"):
        selections.head_count(fraction, 96)  # type: ignore[arg-type]


def test_equal_scores_go_by_index() -> None:
    flat = np.full((2, 4), 0.5)
    assert selections.top(flat, 0.25) == {(0, 0), (0, 1)}
    assert selections.bottom(flat, 0.25) == {(1, 2), (1, 3)}


def test_explicit_reads_names_and_pairs() -> None:
    assert selections.explicit(["L0H1"], (3, 12)) == {(0, 1)}
    assert selections.explicit(["L2H5", "l0h11", [1, 3], (0, 0)], (3, 12)) == {(2, 5), (0, 11), (1, 3), (0, 0)}


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ([], "heads is empty"),
        (["L3H0"], "head L3H0 does not exist"),
        ([(0, 12)], "head L0H12 does not exist"),
        ([(-1, 0)], "does not exist"),
        (["2:5"], "head '2:5' is not understood"),
        ([(1, 2, 3)], "is not understood"),
        ([(1, 2.0)], "is not understood"),
        ([(True, 0)], "is not understood"),
        ([7], "head 7 is not understood"),
    ],
)
def test_explicit_names_what_is_wrong(heads: list[object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        selections.explicit(heads, (3, 12))


def test_every_kind_selects() -> None:
    profile = make_profile(np.arange(24).reshape(4, 6))
    mean, shape = profile.mean, profile.shape
    assert select(None, mean, shape) == select("none", mean, shape) == frozenset()
    assert select("all", mean, shape) == selections.every((4, 6))
    assert select("top", mean, shape, 0.125) == profile.top(0.125) == {(3, 5), (3, 4), (3, 3)}
    assert select("bottom", mean, shape, 0.125) == profile.bottom(0.125) == {(0, 0), (0, 1), (0, 2)}
    assert select("random", mean, shape, 0.125, seed=3) == profile.random(0.125, seed=3)
    assert select("layer_matched", mean, shape, 0.125, seed=3) == {(3, 0), (3, 1), (3, 2)}
    assert select("explicit", mean, shape, heads=((1, 1),)) == {(1, 1)}


def test_what_needs_no_profile_does_without() -> None:
    assert select("none", None, (4, 6)) == frozenset()
    assert len(select("all", None, (4, 6))) == 24
    assert select("random", None, (4, 6), 0.1, 5) == selections.random((4, 6), 0.1, 5)
    for kind in ("top", "bottom", "layer_matched"):
        with pytest.raises(UserError, match=f"selection {kind} needs a head profile"):
            select(kind, None, (4, 6), 0.1)


def test_what_a_selection_lacks_is_named() -> None:
    with pytest.raises(UserError, match=f"selection is 'best', expected one of {', '.join(KINDS)}"):
        select("best", None, (4, 6))
    with pytest.raises(UserError, match="selection top has no fraction"):
        select("top", np.zeros((4, 6)), (4, 6))
    with pytest.raises(UserError, match="fraction is 2"):
        select("random", None, (4, 6), 2)
    with pytest.raises(UserError, match="heads is empty"):
        select("explicit", None, (4, 6))
    with pytest.raises(UserError, match="L5H0"):
        select("explicit", None, (4, 6), heads=((5, 0),))


@settings(max_examples=30)
@given(scores, fractions, st.integers(0, 3))
def test_layer_matched_matches_the_top(values: np.ndarray, fraction: float, seed: int) -> None:
    profile = make_profile(values)
    drawn = select("layer_matched", profile.mean, profile.shape, fraction, seed)
    counts = {layer: len(heads) for layer, heads in by_layer(drawn).items()}
    assert counts == {layer: len(heads) for layer, heads in by_layer(profile.top(fraction)).items()}
