"""Which top heads stand clear of the rest, and what two halves of the samples have in common."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from coreheads.heads import ranking
from coreheads.stats.bootstrap import bootstrap_means

Floats = npt.NDArray[np.float64]

# few different values, so that ties are common
scores = arrays(np.float64, st.integers(1, 40), elements=st.integers(0, 8).map(float))


def clear_count(mean: Floats, low: Floats, high: Floats) -> int | None:
    found = ranking.clear_top(mean, low, high)
    return found and found["count"]


def by_hand(mean: Floats, low: Floats, high: Floats) -> int | None:
    """The rule by its definition, cut by cut."""
    ranked = sorted(range(len(mean)), key=lambda head: (-mean[head], head))
    clear = [
        k
        for k in range(1, len(mean))
        if k <= max(1, int(0.2 * len(mean))) and min(low[h] for h in ranked[:k]) > max(high[h] for h in ranked[k:])
    ]
    return max(clear, default=None)


@settings(max_examples=150)
@given(scores, st.data())
def test_a_cut_is_clear_where_all_intervals_before_it_lie_above_all_behind(mean: Floats, data: st.DataObject) -> None:
    widths = arrays(np.float64, len(mean), elements=st.sampled_from([0.0, 0.25, 0.5, 2.0]))
    low, high = mean - data.draw(widths), mean + data.draw(widths)
    count = clear_count(mean, low, high)
    assert count == by_hand(mean, low, high)
    # the choice depends on no unit, and on no order of the heads
    assert clear_count(3 * mean + 1, 3 * low + 1, 3 * high + 1) == count
    mixed = np.random.default_rng(0).permutation(len(mean))
    assert clear_count(mean[mixed], low[mixed], high[mixed]) == count
    # wider intervals never make a cut clear that was not
    wider = clear_count(mean, low - 0.3, high + 0.3)
    assert wider is None or (count is not None and wider <= count)


@settings(max_examples=50)
@given(st.integers(1, 10), st.floats(0.01, 0.2), st.integers(0, 5))
def test_separate_groups_are_found_exactly(count: int, half_width: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mean = rng.uniform(0, 0.1, 50)
    mean[rng.permutation(50)[:count]] += 0.6
    # the others' means are apart by far less than an interval is wide
    mean[mean < 0.5] *= half_width
    found = ranking.clear_top(mean, mean - half_width, mean + half_width)
    assert found is not None
    assert found["count"] == count
    assert found["low"] == pytest.approx(np.sort(mean)[-count] - half_width)
    assert found["high"] == pytest.approx(np.sort(mean)[-count - 1] + half_width)


def test_where_no_cut_is_clear() -> None:
    smooth = np.linspace(1, 0, 30)
    assert clear_count(smooth, smooth - 0.1, smooth + 0.1) is None
    equal = np.ones(30)
    assert clear_count(equal, equal, equal) is None
    touching = np.array([2.0, *[0.0] * 9])
    assert clear_count(touching, touching - 1, touching + 1) is None
    assert clear_count(np.ones(1), np.ones(1), np.ones(1)) is None
    dead = np.array([*np.linspace(1, 0.5, 20), *[0.0] * 10])  # a cut far down parts readers from heads that do nothing
    assert clear_count(dead, dead - 0.1, dead + 0.1) is None
    # one head of the rest whose interval is wide hides the cut: cautious
    four = np.array([*[0.9] * 4, *[0.01] * 26])
    high = four + 0.01
    assert clear_count(four, four - 0.01, high) == 4
    high[20] = 0.95
    assert clear_count(four, four - 0.01, high) is None


def heavy_tailed(samples: int, rng: np.random.Generator) -> Floats:
    """270 heads whose means fall as those of a pretrained model: eight high ones, then without a step."""
    first = [0.85, 0.80, 0.68, 0.61, 0.57, 0.53, 0.45, 0.40, 0.23, 0.22, 0.20, 0.18, 0.16, 0.15]
    tail = np.interp(np.arange(14, 270), [14, 20, 26, 53, 80, 134, 269], [0.14, 0.065, 0.042, 0.021, 0.013, 5e-3, 5e-4])
    mean = np.concatenate([first, tail])
    weight = 4.2  # beta distributions whose deviation is 0.44 sqrt(m (1 - m))
    return rng.beta(mean * weight, (1 - mean) * weight, (samples, len(mean)))


def four_equal(samples: int, rng: np.random.Generator) -> Floats:
    values = rng.beta(0.1, 8, (samples, 96))
    values[:, :4] = rng.beta(30, 1, (samples, 4))
    return values


@pytest.mark.parametrize("seed", range(3))
def test_another_sample_finds_the_same_clear_heads(seed: int) -> None:
    for made, samples, expected in ((heavy_tailed, 96, 8), (four_equal, 64, 4)):
        rng = np.random.default_rng(seed)
        values, other = made(samples, rng), made(samples, rng)
        found = ranking.clear_top(values.mean(axis=0), *bootstrap_means([values], seed))
        assert found is not None
        assert found["count"] == expected
        first, second = (set(ranking.order(v.mean(axis=0))[:expected].tolist()) for v in (values, other))
        assert first == second
        shares = ranking.split_half_shared([values], seed=seed)
        assert shares is not None
        assert shares[expected - 1] > 0.99


@pytest.mark.parametrize("samples", [4, 16, 64])
def test_noise_has_no_clear_top(samples: int) -> None:
    for seed in range(5):
        values = np.random.default_rng(seed).beta(0.1, 8, (samples, 96))
        assert clear_count(values.mean(axis=0), *bootstrap_means([values], seed)) is None


def test_shares_of_halves_by_hand() -> None:
    # two samples: each half is one of them, whichever way they are split
    values = np.array([[3.0, 2.0, 1.0, 0.0], [2.0, 3.0, 1.0, 0.0]])
    assert ranking.split_half_shared([values]) == [0, 1, 1, 1]
    assert ranking.split_half_shared([]) is None
    assert ranking.split_half_shared([np.ones((5, 4)), np.ones((1, 4))]) is None


def test_equal_heads_are_shared_by_lot() -> None:
    core = np.concatenate([np.ones((10, 4)), np.zeros((10, 16))], axis=1)
    shares = ranking.split_half_shared([core], splits=2000)
    assert shares is not None
    assert shares[3] == 1
    assert shares[1] == pytest.approx(2 / 4, abs=0.03)
    # of the six behind the core, six of sixteen
    assert shares[9] == pytest.approx((4 + 6 * 6 / 16) / 10, abs=0.03)
    assert shares[-1] == 1


@settings(max_examples=25)
@given(arrays(np.float64, st.tuples(st.integers(2, 6), st.integers(1, 8)), elements=st.integers(0, 3).map(float)))
def test_shares_are_shares_whatever_the_scores(values: Floats) -> None:
    shares = ranking.split_half_shared([values, values], splits=10, seed=3)
    assert shares is not None
    assert len(shares) == values.shape[1]
    assert all(0 <= share <= 1 for share in shares)
    assert shares[-1] == 1
    in_common = [share * (place + 1) for place, share in enumerate(shares)]
    assert in_common == sorted(in_common)
    assert ranking.split_half_shared([values, values], splits=10, seed=3) == shares
