from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreheads import agreement, statistics

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
    low, high = statistics.bootstrap_mean_ci(values, seed=5)
    drawn = values[np.random.default_rng(9).integers(0, 40, (20_000, 40))].mean(axis=1)
    assert (low, high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.06)
    assert statistics.bootstrap_mean_ci(values, seed=5) == (low, high)
    assert statistics.bootstrap_mean_ci(values, seed=6) != (low, high)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        low, high = statistics.bootstrap_mean_ci(rng.exponential(1.0, 60), seed=1, resamples=400)
        hits += low <= 1.0 <= high
    assert 0.88 <= hits / 300 <= 0.98


def test_columns_share_the_draws_of_single_ones() -> None:
    values = np.random.default_rng(2).random((25, 7))
    low, high = statistics.bootstrap_means([values], seed=4)
    for column in range(7):
        assert statistics.bootstrap_mean_ci(values[:, column], seed=4) == pytest.approx((low[column], high[column]))


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(2).random((25, 3))
    whole = statistics.bootstrap_means([values], seed=4)
    monkeypatch.setattr(statistics, "_CHUNK", 60)
    np.testing.assert_allclose(statistics.bootstrap_means([values], seed=4), whole)


def test_strata_weigh_the_same_and_vary_only_within() -> None:
    many, few = np.zeros((500, 1)), np.ones((3, 1))
    low, high = statistics.bootstrap_means([many, few])
    assert low[0] == high[0] == 0.5


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [[1.0, 2.0]]])
def test_unusable_values_are_refused(values: list[object]) -> None:
    with pytest.raises(ValueError, match="expected one or more finite numbers"):
        statistics.bootstrap_mean_ci(values)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one sample"):
        statistics.bootstrap_means([np.zeros((0, 3))])


@settings(max_examples=60)
@given(st.lists(numbers, min_size=1, max_size=8))
def test_sign_flips_are_enumerated(differences: list[float]) -> None:
    assert statistics.sign_flip_p(differences) == pytest.approx(flip_by_hand(differences), abs=1e-9)


@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 5))
def test_binary_scores_get_the_exact_mcnemar_test(better: int, worse: int, same: int) -> None:
    differences = [1.0] * better + [-1.0] * worse + [0.0] * same
    if not differences:
        return
    p = statistics.sign_flip_p(differences)
    discordant = better + worse
    tail = sum(comb(discordant, k) for k in range(min(better, worse) + 1)) / 2**discordant
    assert p == pytest.approx(min(1.0, 2 * tail))
    if len(differences) <= 12:
        assert p == pytest.approx(flip_by_hand(differences))


def test_mcnemar_known_value() -> None:
    # 10 discordant pairs, 1 against 9: 2 * (1 + 10) / 1024
    assert statistics.sign_flip_p([1.0] * 9 + [-1.0]) == pytest.approx(22 / 1024)


def test_sampled_flips_agree_with_enumerated_ones() -> None:
    differences = np.random.default_rng(3).normal(0.4, 1, 14)
    exact = statistics.sign_flip_p(differences)
    longer = np.concatenate([differences, [1e-9, -2e-9]])  # two more than are enumerated, of no weight
    assert statistics.sign_flip_p(longer) == pytest.approx(exact, abs=0.02)
    assert statistics.sign_flip_p(longer) == statistics.sign_flip_p(longer)


def test_p_values_are_even_where_nothing_is_there() -> None:
    rng = np.random.default_rng(0)
    found = [statistics.sign_flip_p(rng.normal(0, 1, 30), draws=500) for _ in range(200)]
    assert 0.01 < np.mean(np.array(found) < 0.05) < 0.1
    assert 0.4 < np.mean(found) < 0.6


def test_paired_delta() -> None:
    rng = np.random.default_rng(0)
    dense = rng.integers(0, 2, 200).astype(float)
    patched = np.where(rng.random(200) < 0.3, 0.0, dense)
    delta, low, high, p = statistics.paired_delta(patched, dense)
    assert delta == pytest.approx(patched.mean() - dense.mean())
    assert low < delta < high < 0
    assert 0 < p < 1e-6
    assert statistics.paired_delta(dense, dense) == (0.0, 0.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="differ in number: 200 and 199"):
        statistics.paired_delta(dense, dense[1:])


def test_pairing_is_what_makes_the_interval_narrow() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(0, 10, 100)
    _, low, high, _ = statistics.paired_delta(base + 0.1 + rng.normal(0, 0.01, 100), base)
    assert 0.09 < low < high < 0.11


def test_holm_known_values() -> None:
    # sorted: 0.01 * 4, 0.02 * 3, 0.03 * 2, 0.04 * 1, each at least the one before
    assert statistics.holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert statistics.holm([None, 0.5, None, 0.9]) == [None, 1.0, None, 1.0]
    assert statistics.holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10), st.floats(0.01, 0.2))
def test_holm_rejects_as_the_step_down_procedure_does(p_values: list[float], alpha: float) -> None:
    order = np.argsort(p_values, kind="stable")
    rejected = set()
    for step, place in enumerate(order):
        if (len(p_values) - step) * p_values[place] > alpha:
            break
        rejected.add(int(place))
    adjusted = statistics.holm(p_values)
    assert {place for place, p in enumerate(adjusted) if p is not None and p <= alpha} == rejected


def test_ratio_of_medians() -> None:
    rng = np.random.default_rng(0)
    moment = rng.uniform(1, 3, 15)  # the machine is slow now and then, for both
    dense, patched = 2.0 * moment, moment * rng.uniform(0.99, 1.01, 15)
    ratio, low, high = statistics.ratio_of_medians_ci(dense, patched)
    assert ratio == np.median(dense) / np.median(patched)
    assert low <= ratio <= high
    assert 1.8 < low < high < 2.2
    assert statistics.ratio_of_medians_ci([4.0], [2.0]) == (2.0, 2.0, 2.0)
    with pytest.raises(ValueError, match="above 0"):
        statistics.ratio_of_medians_ci([1.0], [0.0])
    with pytest.raises(ValueError, match="differ in number"):
        statistics.ratio_of_medians_ci([1.0], [1.0, 2.0])


few = st.integers(0, 6).map(float)


@settings(max_examples=60)
@given(st.lists(st.tuples(few, few), min_size=2, max_size=15))
def test_spearman_is_that_of_scipy(pairs: list[tuple[float, float]]) -> None:
    stats = pytest.importorskip("scipy.stats")
    first, second = map(list, zip(*pairs, strict=True))
    found = agreement.spearman(first, second)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(stats.spearmanr(first, second).statistic)


def test_spearman_known_values() -> None:
    assert agreement.spearman([1, 2, 3, 4], [10, 20, 30, 40]) == 1
    assert agreement.spearman([1, 2, 3, 4], [4, 3, 2, 1]) == -1
    # without ties 1 - 6 sum d^2 / (n (n^2 - 1)): d = 1, -1, 0, 0
    assert agreement.spearman([1, 2, 3, 4], [2, 1, 3, 4]) == pytest.approx(0.8)
    assert list(agreement.average_ranks([5, 1, 5, 9])) == [2.5, 1, 2.5, 4]
    with pytest.raises(ValueError, match="3 with 2"):
        agreement.spearman([1, 2, 3], [1, 2])


def test_jaccard() -> None:
    assert agreement.jaccard(frozenset({(0, 0), (0, 1)}), frozenset({(0, 1), (0, 2)})) == pytest.approx(1 / 3)
    assert agreement.jaccard(frozenset(), frozenset()) == 1


def test_split_half_is_high_for_signal_and_about_zero_for_noise() -> None:
    rng = np.random.default_rng(0)
    signal = rng.gamma(1, 1, 96) + rng.normal(0, 0.02, (40, 96))
    noise = rng.normal(0, 1, (40, 96))
    assert (agreement.split_half_correlation([signal]) or 0) > 0.97
    assert abs(agreement.split_half_correlation([noise], top=96) or 0) < 0.15
    # leading heads of pure noise were picked for being high in the two halves together, never above chance
    assert (agreement.split_half_correlation([noise]) or 0) < 0.1


def test_split_half_of_a_tiny_case_by_hand() -> None:
    # two samples: each half is one of them, whichever way they are split
    values = np.array([[3.0, 2.0, 1.0, 0.0], [2.0, 3.0, 1.0, 0.0]])
    assert agreement.split_half_correlation([values], top=3) == pytest.approx(agreement.spearman([3, 2, 1], [2, 3, 1]))


def test_split_half_says_when_it_cannot_tell() -> None:
    assert agreement.split_half_correlation([]) is None
    assert agreement.split_half_correlation([np.ones((5, 4)), np.ones((1, 4))]) is None
    assert agreement.split_half_correlation([np.ones((6, 4))]) is None


def test_split_half_weighs_tasks_alike() -> None:
    rng = np.random.default_rng(0)
    task = rng.gamma(1, 1, (8, 30))
    many = np.concatenate([task] * 40)
    assert agreement.split_half_correlation([task, many]) is not None
    leading = agreement.order((task.mean(axis=0) + many.mean(axis=0)) / 2)
    assert list(leading) == list(agreement.order(task.mean(axis=0)))
