from __future__ import annotations

from itertools import product
from math import comb, prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from coreheads.heads import ranking
from coreheads.stats import pooling, significance

numbers = st.floats(-5, 5).map(lambda value: round(value, 2))


def flip_by_hand(differences: list[float]) -> float:
    """The paired permutation test by its definition, over all samples, zeros included."""
    observed = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((-1, 1), repeat=len(differences))
    ]
    return sum(value >= observed - 1e-9 for value in sums) / len(sums)


def test_an_interval_is_that_of_resampled_means() -> None:
    values = np.random.default_rng(1).normal(3, 2, 40)
    low, high = significance.bootstrap_mean_ci(values, seed=5)
    drawn = values[np.random.default_rng(9).integers(0, 40, (20_000, 40))].mean(axis=1)
    assert (low, high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.06)
    assert significance.bootstrap_mean_ci(values, seed=5) == (low, high)
    assert significance.bootstrap_mean_ci(values, seed=6) != (low, high)


@settings(max_examples=60)
@given(st.lists(numbers, min_size=1, max_size=8))
def test_sign_flips_are_enumerated(differences: list[float]) -> None:
    assert significance.paired_p(differences) == pytest.approx(flip_by_hand(differences), abs=1e-9)


@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 5))
def test_binary_scores_get_the_exact_mcnemar_test(better: int, worse: int, same: int) -> None:
    differences = [1.0] * better + [-1.0] * worse + [0.0] * same
    if not differences:
        return
    p = significance.paired_p(differences)
    discordant = better + worse
    tail = sum(comb(discordant, k) for k in range(min(better, worse) + 1)) / 2**discordant
    assert p == pytest.approx(min(1.0, 2 * tail))
    if len(differences) <= 12:
        assert p == pytest.approx(flip_by_hand(differences))


@pytest.mark.parametrize(
    ("better", "worse", "same", "published"),
    [
        (7, 1, 13, 0.0703),  # Bentur et al. 2009, as worked through by Fagerland, Lydersen & Laake 2013, table 1
        (12, 2, 36, 0.0129),  # Armitage & Berry 1994, p. 127: two media for culturing
    ],
)
def test_mcnemar_published_examples(better: int, worse: int, same: int, published: float) -> None:
    differences = [1.0] * better + [-1.0] * worse + [0.0] * same
    assert significance.paired_p(differences) == pytest.approx(published, abs=5e-5)


DARWIN = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
"""Darwin's crossed less self-fertilised maize, in eighths of an inch (Fisher 1935, section 17)."""


def test_sign_flips_of_darwins_maize(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fisher counted 863 of the 32,768 sums that reach the observed one."""
    assert significance.paired_p(DARWIN) == pytest.approx(2 * 863 / 32768, abs=0.01)  # 9,999 drawn
    monkeypatch.setattr(significance, "_FLIPS", 40_000)  # all of them
    assert significance.paired_p(DARWIN) == pytest.approx(2 * 863 / 32768, abs=1e-9)
    assert flip_by_hand(DARWIN) == pytest.approx(2 * 863 / 32768, abs=1e-9)


def test_bootstrap_of_the_mouse_data() -> None:
    """Efron & Tibshirani 1993, chapter 2: the mean of seven survival times has a bootstrap standard error of 23.36."""
    mice = [94, 197, 16, 38, 99, 141, 23]
    low, high = significance.bootstrap_mean_ci(mice, resamples=50_000, level=0.6827)
    assert (high - low) / 2 == pytest.approx(23.36, rel=0.03)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [[1.0, 2.0]]])
def test_unusable_values_are_refused(values: list[object]) -> None:
    with pytest.raises(ValueError, match="expected one or more finite numbers"):
        significance.bootstrap_mean_ci(values)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected one or more finite numbers"):
        significance.paired_p(values)  # type: ignore[arg-type]


def test_one_sample_or_equal_ones_have_no_width() -> None:
    assert significance.bootstrap_mean_ci([0.3]) == (0.3, 0.3)
    assert significance.bootstrap_mean_ci([1.0] * 50) == (1.0, 1.0)
    assert significance.paired_p([0.25]) == 1.0
    assert significance.paired_p([0.25, 0.0, -0.5]) == 1.0


def test_paired_delta() -> None:
    rng = np.random.default_rng(0)
    dense = rng.integers(0, 2, 200).astype(float)
    patched = np.where(rng.random(200) < 0.3, 0.0, dense)
    delta, low, high, p = significance.paired_delta(patched, dense)
    assert delta == pytest.approx(patched.mean() - dense.mean())
    assert low < delta < high < 0
    assert 0 < p < 1e-6
    assert significance.paired_delta(dense, dense) == (0.0, 0.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="differ in number: 200 and 199"):
        significance.paired_delta(dense, dense[1:])


def test_pairing_is_what_makes_the_interval_narrow() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(0, 10, 100)
    _, low, high, _ = significance.paired_delta(base + 0.1 + rng.normal(0, 0.01, 100), base)
    assert 0.09 < low < high < 0.11


@given(st.integers(1, 5000))
def test_what_none_of_n_showed(n: int) -> None:
    """The exact bound of scipy; 3 / n, the rule of three, is a little more; n samples at the bound miss it 1 in 20."""
    bound = significance.none_of(n)
    exact = binomtest(0, n, alternative="less").proportion_ci(0.95, method="exact")
    assert bound == pytest.approx(exact.high, rel=1e-9)
    assert bound <= min(1, 3 / n)
    assert (1 - bound) ** n == pytest.approx(0.05)
    assert significance.none_of(n + 1) < bound < significance.none_of(n, 0.99)


def test_none_of_known_values() -> None:
    shares = [round(100 * significance.none_of(n), 1) for n in (1, 8, 32, 64, 128, 224)]
    assert shares == [95.0, 31.2, 8.9, 4.6, 2.3, 1.3]
    with pytest.raises(ValueError, match="n is 0, expected at least 1"):
        significance.none_of(0)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.data())
def test_no_mix_of_groups_hides_more_than_the_bound(sizes: list[int], data: st.DataObject) -> None:
    """Whatever share each group has: where a mean of groups is above the bound, samples without one are rarer than
    1 in 20."""
    groups = {f"{group}-{i}": str(group) for group, size in enumerate(sizes) for i in range(size)}
    bound = significance.none_of(pooling.alike(groups))
    shares = data.draw(st.lists(st.floats(0, 1), min_size=len(sizes), max_size=len(sizes)))
    unseen = prod((1 - share) ** size for share, size in zip(shares, sizes, strict=True))
    assert sum(shares) / len(shares) <= bound + 1e-12 or unseen < 0.05 + 1e-12
    assert pooling.alike(dict.fromkeys(groups)) == sum(sizes)


def test_holm_known_values() -> None:
    # the example of Wikipedia's article on the method: at 0.05 the first and the last are rejected
    adjusted = significance.holm([0.01, 0.04, 0.03, 0.005])
    assert adjusted == pytest.approx([0.03, 0.06, 0.06, 0.02])
    # sorted: 0.01 * 4, 0.02 * 3, 0.03 * 2, 0.04 * 1, each at least the one before
    assert significance.holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert significance.holm([None, 0.5, None, 0.9]) == [None, 1.0, None, 1.0]
    assert significance.holm([]) == []


@settings(max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=10), st.floats(0.01, 0.2))
def test_holm_rejects_as_the_step_down_procedure_does(p_values: list[float], alpha: float) -> None:
    order = np.argsort(p_values, kind="stable")
    rejected = set()
    for step, place in enumerate(order):
        if (len(p_values) - step) * p_values[place] > alpha:
            break
        rejected.add(int(place))
    adjusted = significance.holm(p_values)
    assert {place for place, p in enumerate(adjusted) if p is not None and p <= alpha} == rejected


def test_spearman_known_values() -> None:
    assert ranking.spearman([1, 2, 3, 4], [10, 20, 30, 40]) == 1
    assert ranking.spearman([1, 2, 3, 4], [4, 3, 2, 1]) == -1
    # without ties 1 - 6 sum d^2 / (n (n^2 - 1)): d = 1, -1, 0, 0
    assert ranking.spearman([1, 2, 3, 4], [2, 1, 3, 4]) == pytest.approx(0.8)
    with pytest.raises(ValueError, match="3 with 2"):
        ranking.spearman([1, 2, 3], [1, 2])


def test_jaccard() -> None:
    assert ranking.jaccard(frozenset({(0, 0), (0, 1)}), frozenset({(0, 1), (0, 2)})) == pytest.approx(1 / 3)
    assert ranking.jaccard(frozenset(), frozenset()) == 1


def test_split_half_is_high_for_signal_and_about_zero_for_noise() -> None:
    rng = np.random.default_rng(0)
    signal = rng.gamma(1, 1, 96) + rng.normal(0, 0.02, (40, 96))
    noise = rng.normal(0, 1, (40, 96))
    assert (ranking.split_half_correlation([signal]) or 0) > 0.97
    assert abs(ranking.split_half_correlation([noise], top=96) or 0) < 0.15
    # leading heads of pure noise were picked for being high in the two halves together, never above chance
    assert (ranking.split_half_correlation([noise]) or 0) < 0.1


def test_split_half_of_a_tiny_case_by_hand() -> None:
    # two samples: each half is one of them, whichever way they are split
    values = np.array([[3.0, 2.0, 1.0, 0.0], [2.0, 3.0, 1.0, 0.0]])
    assert ranking.split_half_correlation([values], top=3) == pytest.approx(ranking.spearman([3, 2, 1], [2, 3, 1]))


def test_split_half_says_when_it_cannot_tell() -> None:
    assert ranking.split_half_correlation([]) is None
    assert ranking.split_half_correlation([np.ones((5, 4)), np.ones((1, 4))]) is None
    assert ranking.split_half_correlation([np.ones((6, 4))]) is None


def test_split_half_weighs_tasks_alike() -> None:
    rng = np.random.default_rng(0)
    task = rng.gamma(1, 1, (8, 30))
    many = np.concatenate([task] * 40)
    assert ranking.split_half_correlation([task, many]) is not None
    leading = ranking.order((task.mean(axis=0) + many.mean(axis=0)) / 2)
    assert list(leading) == list(ranking.order(task.mean(axis=0)))
