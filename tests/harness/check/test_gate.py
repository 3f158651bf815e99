"""The gate catches what is planted, whatever the noise, and lets honest runs pass."""

from __future__ import annotations

from typing import Any

import gate_cases as cases
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreheads.check import accuracy
from coreheads.check.baseline import Baseline, CellRecord, SpeedRecord
from coreheads.check.compare import compare
from coreheads.check.tolerances import CellTolerances

HYBRID = "m__pages__hybrid__top__0.1"
SEEDS = range(20)


@pytest.fixture(scope="module")
def board() -> Baseline:
    return cases.board()


def failed(now: Baseline, board: Baseline) -> set[tuple[str, str]]:
    return {(finding.kind, finding.name) for finding in compare(now, board).failed}


@pytest.mark.parametrize("seed", SEEDS)
def test_twenty_honest_runs_are_green(board: Baseline, seed: int) -> None:
    report = compare(cases.again(board, seed), board)
    assert not report.failed
    assert "no regression" in report.verdict


def test_honest_runs_do_tip_answers(board: Baseline) -> None:
    """Otherwise the test above would show nothing."""
    worse = [change for seed in SEEDS for change in compare(cases.again(board, seed), board).worse]
    assert sum(change.near_tie for change in worse) > 20
    assert sum(not change.near_tie for change in worse) > 3


@pytest.mark.slow
def test_fewer_than_one_false_alarm_in_a_hundred(board: Baseline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over 1,000 honest runs. The intervals, which decide nothing, are left out: they take most of the time."""
    monkeypatch.setattr(accuracy, "paired_delta", lambda *_: (0.0, 0.0, 0.0, 1.0))
    alarms = sum(bool(compare(cases.again(board, seed), board).failed) for seed in range(1000))
    assert alarms < 10


@pytest.mark.slow
def test_alarms_are_as_rare_as_promised_at_the_tolerated_noise(
    board: Baseline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where as many answers tip as ``noise`` allows and no drop is tolerated, at most ``alpha`` of the runs fail."""
    monkeypatch.setattr(accuracy, "paired_delta", lambda *_: (0.0, 0.0, 0.0, 1.0))
    strict = board.model_copy(
        update={"tolerances": board.tolerances.model_copy(update={"score_drop": 0.0, "noise": 0.0005})}
    )
    runs = [compare(cases.again(strict, seed), strict) for seed in range(300)]
    alarms = sum(any(finding.kind == "accuracy" for finding in run.failed) for run in runs)
    assert alarms / 300 < 0.02


@pytest.mark.parametrize("seed", SEEDS)
def test_three_points_lost_in_one_cell(board: Baseline, seed: int) -> None:
    found = failed(cases.lost(cases.again(board, seed), 3.2, HYBRID), board)
    assert ("accuracy", HYBRID) in found


def test_three_points_lost_everywhere(board: Baseline) -> None:
    found = failed(cases.lost(board, 3.2), board)
    together = {name for kind, name in found if "(together)" in name}
    assert "m__all__none (together)" in together
    assert "m__all__hybrid__top__0.1 (together)" in together
    assert not any("ablate__top" in name for _, name in found)


def test_a_loss_spread_thin_over_tasks_is_seen_together(board: Baseline) -> None:
    """Three of 128 samples on each task are too few to tell where alarms must be rare; nine of 384 are not."""
    rare = board.model_copy(update={"tolerances": board.tolerances.model_copy(update={"alpha": 0.0001})})
    found = failed(cases.lost(board, 2.4, "hybrid"), rare)
    assert found == {("accuracy", "m__all__hybrid__top__0.1 (together)")}


def close_calls(board: Baseline, right: int, wrong: int) -> tuple[Baseline, Baseline]:
    """The board with so many near-ties among the right and the wrong answers of a cell, and with all of them tipped."""
    samples = dict(board.cells[HYBRID].samples)
    keys = [key for key, sample in samples.items() if sample[0] == 1][:right]
    keys += [key for key, sample in samples.items() if sample[0] == 0][:wrong]
    before = {**samples, **{key: (*samples[key][:2], 0.01) for key in keys}}
    now = {**before, **{key: (1 - samples[key][0], "other", 1.0) for key in keys}}
    first = cases.changed(board, HYBRID, lambda _: {"samples": before})
    return first, cases.changed(board, HYBRID, lambda _: {"samples": now})


def test_near_ties_are_shown_and_pass(board: Baseline) -> None:
    before, now = close_calls(board, 6, 3)
    report = compare(now, before)
    assert not report.failed
    assert len(report.worse) == 6
    assert all(change.near_tie for change in report.worse)
    finding = next(finding for finding in report.findings if finding.name == HYBRID and finding.kind == "accuracy")
    assert "9 more near-ties" in finding.text
    strict = before.model_copy(update={"tolerances": before.tolerances.model_copy(update={"near_tie": 0.001})})
    assert ("accuracy", HYBRID) in failed(now, strict)  # they count where they are none


def test_near_ties_that_only_get_worse_count(board: Baseline) -> None:
    before, now = close_calls(board, 12, 0)
    assert ("accuracy", HYBRID) in failed(now, before)


@pytest.mark.parametrize("margin", [0.0, 5.0])
def test_a_model_that_collapsed(board: Baseline, margin: float) -> None:
    """Its own logits do not make its wrong answers near-ties."""
    now = board
    for name in board.cells:
        now = cases.changed(now, name, lambda cell: {"samples": dict.fromkeys(cell.samples, (0.0, "nonsense", margin))})
    names = {name for _, name in failed(now, board)}
    assert {name for name in board.cells if "none" in name or "hybrid" in name} <= names


@pytest.mark.parametrize("layer", range(cases.LAYERS))
@pytest.mark.parametrize("seed", range(3))
def test_a_ranking_shuffled_in_one_layer(board: Baseline, layer: int, seed: int) -> None:
    found = failed(cases.shuffled(cases.again(board, seed), layer, seed), board)
    assert ("ranking", f"m layer {layer}") in found
    assert {kind for kind, _ in found} == {"ranking"}


@pytest.mark.parametrize("layer", range(cases.LAYERS))
def test_a_shuffled_layer_of_a_noisy_profile_on_the_same_samples(board: Baseline, layer: int) -> None:
    """Samples differ so much that intervals are wider than the means; asked again, they give the same means."""
    before = cases.wide(board)
    for seed in range(10):
        assert not failed(cases.rounded(before, seed), before)
        assert ("ranking", f"m layer {layer}") in failed(
            cases.shuffled(cases.rounded(before, seed), layer, seed), before
        )


def test_heads_that_are_nearly_equal_may_change_places_at_the_cut(board: Baseline) -> None:
    """The sixth and the seventh head differ by less than their intervals: either may be the last of the top 5 %."""
    mean = [[0.01 + 0.0001 * head for head in range(cases.HEADS)] for _ in range(cases.LAYERS)]
    mean[0][:5], mean[1][0], mean[1][1] = [0.9, 0.8, 0.7, 0.6, 0.5], 0.3000, 0.2999
    before = cases.with_heads(board, mean, 0.002)
    mean[1][0], mean[1][1] = 0.2999, 0.3000
    assert not failed(cases.with_heads(board, mean, 0.002), before)
    mean[1][0] = mean[0][4] = mean[0][3] = 0.001  # these are gone
    assert ("ranking", "m top heads") in failed(cases.with_heads(board, mean, 0.002), before)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_patch_that_runs_dense(board: Baseline, seed: int) -> None:
    slow = SpeedRecord(speedup=1.0, low=0.95, high=1.05)
    now = cases.changed(cases.again(board, seed), HYBRID, lambda _: {"speed": slow, "kv_bytes_ratio": 1.0})
    assert failed(now, board) == {("speed", HYBRID), ("memory", HYBRID)}
    again = cases.changed(cases.again(board, seed), HYBRID, lambda _: {"speed": slow})
    assert failed(again, board) == {("speed", HYBRID)}


@pytest.mark.parametrize("gain", [1.1, 1.3, 1.6])
def test_even_a_small_gain_must_not_vanish(board: Baseline, gain: float) -> None:
    old = cases.changed(
        board, HYBRID, lambda _: {"speed": SpeedRecord(speedup=gain, low=gain - 0.04, high=gain + 0.04)}
    )
    dense = SpeedRecord(speedup=1.0, low=0.97, high=1.03)
    assert ("speed", HYBRID) in failed(cases.changed(board, HYBRID, lambda _: {"speed": dense}), old)
    noisy = SpeedRecord(speedup=1.0, low=0.6, high=1.7)
    report = compare(cases.changed(board, HYBRID, lambda _: {"speed": noisy}), old)
    assert not report.failed
    (unclear,) = report.unclear
    assert "cannot tell: the run's interval is [0.60, 1.70]" in unclear.text


@pytest.mark.parametrize(
    ("speedup", "low", "high"), [(1.9, 1.04, 2.62), (1.5, 0.98, 2.2), (0.9, 0.4, 2.0), (2.6, 1.5, 9)]
)
def test_a_baseline_of_a_busy_machine_cannot_tell(board: Baseline, speedup: float, low: float, high: float) -> None:
    """It says so and counts it, whatever the run's speed is."""
    old = cases.changed(board, HYBRID, lambda _: {"speed": SpeedRecord(speedup=speedup, low=low, high=high)})
    dense = cases.changed(board, HYBRID, lambda _: {"speed": SpeedRecord(speedup=1.0, low=0.95, high=1.05)})
    for now in (dense, board):
        report = compare(now, old)
        slow = any(finding.kind == "speed" for finding in report.failed)
        assert slow or [finding.name for finding in report.unclear] == [HYBRID]
        if not slow:
            assert f"the baseline's interval is [{low:.2f}, {high:.2f}]" in report.unclear[0].text
            assert "; 1 cannot be told; " in report.verdict
            assert report.unclear[0] in report.shown


@given(st.floats(0.5, 10), st.floats(0.1, 1), st.floats(1, 3))
def test_no_baseline_lets_a_dense_run_pass_without_a_word(speedup: float, below: float, above: float) -> None:
    """Where there was a gain that must be kept, a run that is as slow as dense fails, or cannot be told from it."""
    old = SpeedRecord(speedup=speedup, low=below * speedup, high=above * speedup)
    cell = CellRecord(condition="c", metric="m", samples={"r": (1.0, "a", None)}, speed=old)
    before = Baseline(cells={"c": cell})
    now = Baseline(cells={"c": cell.model_copy(update={"speed": SpeedRecord(speedup=1, low=0.99, high=1.01)})})
    report = compare(now, before)
    if speedup > 1.15:
        assert report.failed or report.unclear


@pytest.mark.parametrize("seed", SEEDS)
def test_honest_runs_can_be_told(board: Baseline, seed: int) -> None:
    assert not compare(cases.again(board, seed), board).unclear


def test_a_changed_scorer(board: Baseline) -> None:
    """The same answers with other scores: found though the mean hardly moves, and though it rises."""

    def otherwise(cell: Any) -> dict[str, Any]:
        keys = list(cell.samples)[:2]
        return {
            "samples": {**cell.samples, **{key: (1.0 - cell.samples[key][0], *cell.samples[key][1:]) for key in keys}}
        }

    assert ("scorer", HYBRID) in failed(cases.changed(board, HYBRID, otherwise), board)
    assert failed(cases.changed(board, HYBRID, lambda _: {"metric": "f1"}), board) == {("scorer", HYBRID)}
    assert failed(cases.changed(board, HYBRID, lambda _: {"variant": "an LLM"}), board) == {("scorer", HYBRID)}


def test_what_is_missing(board: Baseline) -> None:
    cells = {name: cell for name, cell in board.cells.items() if name != HYBRID}
    gone = board.model_copy(update={"cells": cells})
    assert failed(gone, board) == {("accuracy", HYBRID)}
    report = compare(gone, board, {HYBRID: "out of memory with one prompt"})
    assert report.failed[0].text == "the cell is missing: out of memory with one prompt"
    fewer = cases.changed(board, HYBRID, lambda cell: {"samples": dict(list(cell.samples.items())[3:])})
    report = compare(fewer, board, unscored={HYBRID: {"r0": "its picture is broken"}})
    assert [finding.text for finding in report.failed] == ["3 of 128 samples are missing, as r0: its picture is broken"]
    assert failed(board.model_copy(update={"heads": {}}), board) == {("ranking", "m heads")}
    untimed = cases.changed(board, HYBRID, lambda _: {"speed": None, "kv_bytes_ratio": None})
    assert failed(untimed, board) == {("speed", HYBRID), ("memory", HYBRID)}
    assert not failed(board, untimed)  # beyond the baseline nothing is judged


def test_the_score_of_the_whole_set_counts(board: Baseline) -> None:
    """Where more samples got worse than rounding explains; one that tips may move it further than its mean."""
    old = cases.changed(board, HYBRID, lambda _: {"aggregates": {"f1": 0.8}})
    one = cases.changed(cases.lost(board, 0.8, HYBRID), HYBRID, lambda _: {"aggregates": {"f1": 0.7}})
    assert not failed(one, old)
    now = cases.changed(cases.lost(board, 4.0, HYBRID), HYBRID, lambda _: {"aggregates": {"f1": 0.7}})
    assert ("accuracy", f"{HYBRID}: f1") in failed(now, old)


def test_tolerances_of_cells_by_pattern(board: Baseline) -> None:
    own = {"*__hybrid__*": CellTolerances(score_drop=0.1), "m__all__hybrid*": CellTolerances(score_drop=0.1)}
    kind = board.model_copy(update={"tolerances": board.tolerances.model_copy(update={"cells": own})})
    now = cases.lost(board, 5, "hybrid")
    assert failed(now, board)
    assert not failed(now, kind)
    assert kind.tolerances.of(HYBRID).score_drop == 0.1
    assert kind.tolerances.of("m__pages__none").score_drop == 0.02
