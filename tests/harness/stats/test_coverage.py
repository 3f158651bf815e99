"""How often a board's intervals hold the truth, over simulated boards whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from coreheads.stats import pooling

pytestmark = pytest.mark.slow  # thousands of simulated boards

BOARDS, SAMPLES, DRAWS, A_DRAW = 2000, 128, 10, 8
RIGHT, BROKEN, MENDED = 0.7, 0.1, 0.05
"""How often the dense model is right, and how often the patch breaks a right answer and mends a wrong one."""


@pytest.fixture(scope="module")
def covered() -> dict[str, float]:
    """Share of the boards whose interval holds the truth: of the score, of the change, of a random control's score."""
    rng = np.random.default_rng(0)
    change = -BROKEN * RIGHT + MENDED * (1 - RIGHT)
    hits = {"score": 0, "change": 0, "control": 0}
    for board in range(BOARDS):
        dense = rng.random(SAMPLES) < RIGHT
        luck = rng.random(SAMPLES)
        patched = np.where(dense, luck >= BROKEN, luck < MENDED)
        scores = [{str(index): float(value) for index, value in enumerate(values)} for values in (dense, patched)]
        low, high = pooling.mean_score(scores[:1], seed=board)[1]
        hits["score"] += low <= RIGHT <= high
        delta = pooling.paired_with(scores[1:], scores[:1], seed=board)
        assert delta is not None
        hits["change"] += delta[1] <= change <= delta[2]
        heads = np.clip(RIGHT + rng.normal(0, 0.1, DRAWS), 0, 1)  # some draws hit heads that matter
        answers = rng.random((DRAWS, A_DRAW)) < heads[:, None]
        draws = [
            {f"{number}/{index}": float(value) for index, value in enumerate(draw)}
            for number, draw in enumerate(answers)
        ]
        low, high = pooling.mean_score(draws, seed=board)[1]
        hits["control"] += low <= RIGHT <= high
    return {name: count / BOARDS for name, count in hits.items()}


@pytest.mark.parametrize("interval", ["score", "change", "control"])
def test_ninety_five_percent_are_about_that(covered: dict[str, float], interval: str) -> None:
    assert 0.93 <= covered[interval] <= 0.97


def test_draws_that_share_their_samples_are_not_taken_for_independent() -> None:
    """Ten draws on the same 64 samples, whose difficulty they share: a t over the draws would miss that."""
    rng = np.random.default_rng(1)
    hits = 0
    for board in range(300):
        difficulty = rng.random(64)
        heads = rng.normal(0, 0.05, DRAWS)
        draws = [
            {str(index): float(value < RIGHT + shift) for index, value in enumerate(difficulty)} for shift in heads
        ]
        low, high = pooling.mean_score(draws, seed=board)[1]
        hits += low <= RIGHT <= high
    assert 0.92 <= hits / 300 <= 0.995
