"""The gate catches what is planted, whatever the noise, and lets honest runs pass."""

from __future__ import annotations

from typing import Any

import gate_cases as cases
import pytest

from coreheads import check_accuracy
from coreheads.baseline import Baseline, CellTolerances, SpeedRecord
from coreheads.check import compare

HYBRID = "m__pages__hybrid__top__0.1"
SEEDS = range(20)


pytestmark = pytest.mark.usefixtures("little_garbage")


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


def test_fewer_than_one_false_alarm_in_a_hundred(board: Baseline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over 1,000 honest runs. The intervals, which decide nothing, are left out: they take most of the time."""
    monkeypatch.setattr(check_accuracy, "paired_delta", lambda *_: (0.0, 0.0, 0.0, 1.0))
    alarms = sum(bool(compare(cases.again(board, seed), board).failed) for seed in range(1000))
    assert alarms < 10


def test_alarms_are_as_rare_as_promised_at_the_tolerated_noise(
    board: Baseline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where as many answers tip as ``noise`` allows and no drop is tolerated, at most ``alpha`` of the runs fail."""
    monkeypatch.setattr(check_accuracy, "paired_delta", lambda *_: (0.0, 0.0, 0.0, 1.0))
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
    rare = board.model_copy(update={"tolerances": board.tolerances.model_copy(update={"alpha": 0.001})})
    found = failed(cases.lost(board, 2.4, "hybrid"), rare)
    assert found == {("accuracy", "m__all__hybrid__top__0.1 (together)")}


def test_a_near_tie_is_shown_and_passes(board: Baseline) -> None:
    def tip(cell: Any) -> dict[str, Any]:
        right = [key for key, (score, _, _) in cell.samples.items() if score == 1][:10]
        return {"samples": {**cell.samples, **dict.fromkeys(right, (0.0, "other", 0.01))}}

    report = compare(cases.changed(board, HYBRID, tip), board)
    assert not report.failed
    assert len(report.worse) == 10
    assert all(change.near_tie for change in report.worse)
    finding = next(finding for finding in report.findings if finding.name == HYBRID and finding.kind == "accuracy")
    assert "10 more near-ties" in finding.text
    # with the margin gone they count
    wide = board.model_copy(update={"tolerances": board.tolerances.model_copy(update={"near_tie": 0.001})})
    assert ("accuracy", HYBRID) in failed(cases.changed(board, HYBRID, tip), wide)


@pytest.mark.parametrize("layer", range(cases.LAYERS))
@pytest.mark.parametrize("seed", range(3))
def test_a_ranking_shuffled_in_one_layer(board: Baseline, layer: int, seed: int) -> None:
    found = failed(cases.shuffled(cases.again(board, seed), layer, seed), board)
    assert ("ranking", f"m layer {layer}") in found
    assert {kind for kind, _ in found} == {"ranking"}


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
    assert not failed(cases.changed(board, HYBRID, lambda _: {"speed": noisy}), old)


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
    old = cases.changed(board, HYBRID, lambda _: {"aggregates": {"f1": 0.8}})
    same = cases.changed(board, HYBRID, lambda _: {"aggregates": {"f1": 0.7}})
    assert not failed(same, old)  # no sample got worse: not a loss of answers
    now = cases.changed(cases.lost(board, 1.0, HYBRID), HYBRID, lambda _: {"aggregates": {"f1": 0.7}})
    assert failed(now, old) == {("accuracy", f"{HYBRID}: f1")}


def test_tolerances_of_cells_by_pattern(board: Baseline) -> None:
    own = {"*__hybrid__*": CellTolerances(score_drop=0.1), "m__all__hybrid*": CellTolerances(score_drop=0.1)}
    kind = board.model_copy(update={"tolerances": board.tolerances.model_copy(update={"cells": own})})
    now = cases.lost(board, 5, "hybrid")
    assert failed(now, board)
    assert not failed(now, kind)
    assert kind.tolerances.of(HYBRID).score_drop == 0.1
    assert kind.tolerances.of("m__pages__none").score_drop == 0.02
