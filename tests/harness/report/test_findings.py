"""What a board says of its head profiles, also of one that an older version wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import numpy as np
from profile_samples import make_profile

from coreheads.heads.profile import HeadProfile
from coreheads.report.findings import dependence, heads_sentences
from coreheads.report.markdown import to_markdown
from coreheads.store.board import HeadsSummary, Row

ROOT = Path(__file__).parents[3]


def summary(profile: HeadProfile, *fractions: float) -> HeadsSummary:
    return {
        "run": "run",
        "model": "m",
        "id": "m",
        "count": profile.count,
        "samples": 10,
        "tasks": [],
        "split_half": 0.4,
        "clear": profile.clear_top(),
        "top": [
            {
                "fraction": fraction,
                "count": len(profile.top(fraction)),
                "share": 0.5,
                "layers": [0],
                "heads": [],
                "shared": profile.shared(len(profile.top(fraction))),
            }
            for fraction in fractions
        ],
    }


def four_of_forty(shares: list[float] | None = None) -> HeadProfile:
    mean = np.full((4, 10), 0.01)
    mean[1, :4] = 0.9
    return make_profile(mean, split_half_shared=shares)


def test_fractions_behind_the_clear_cut_are_named() -> None:
    shares = [0.5, 0.5, 0.75, 1.0, *[0.7] * 35, 1.0]
    said = heads_sentences(summary(four_of_forty(shares), 0.05, 0.1, 0.25, 1.0))
    assert said[0].endswith("layer 0; two halves of the samples have 1.0 of these 2 in common (by chance 0.1).")
    assert said[4].endswith("the order of the first 20 heads with a rank correlation of 0.40.")
    assert said[5:] == [
        "m: the first 4 heads stand clear of the rest: RAM of at least 0.890 at the lower end of every 95 % interval, "
        "of at most 0.020 at the upper end of any other head's; two halves of the samples have 4.0 of these 4 in "
        "common (by chance 0.4).",
        "m: behind the first 4 another sample may choose other heads in part: 6 of 10 in the top 25 % (3.0 in common, "
        "by chance 1.0).",
    ]


def test_one_head_no_head_and_unknown_shares() -> None:
    said = heads_sentences(summary(four_of_forty(), 0.1, 0.25))
    assert said[-1] == "m: behind the first 4 another sample may choose other heads in part: 6 of 10 in the top 25 %."
    assert not any("in common" in sentence for sentence in said)
    assert len(heads_sentences(summary(four_of_forty(), 0.1))) == 3
    one = np.full((4, 10), 0.01)
    one[0, 0] = 0.9
    assert "m: the first head stands clear of the rest: RAM of at least 0.890 at the lower end of its 95 %" in "".join(
        heads_sentences(summary(make_profile(one), 0.05))
    )
    said = heads_sentences(summary(make_profile(np.full((4, 10), 0.1)), 0.05))
    assert said[-1].startswith("m: no top k within the first 20 % of heads stands clear of the rest")


def test_a_board_of_an_older_version_is_read() -> None:
    board = json.loads((ROOT / "results" / "embedded" / "leaderboard.json").read_text())
    for newer in ("claims", "overall", "best", "comparisons"):
        board.pop(newer, None)
    for of_model in board["heads"]:
        of_model.pop("clear", None)
        for entry in of_model["top"]:
            entry.pop("shared", None)
    text = to_markdown(board)
    assert "of all retrieval attention mass" in text
    assert "in common" not in text


def test_what_the_score_depends_on_is_compared_on_the_same_tasks() -> None:
    def row(task: str, patch: str, score: float, **more: object) -> Row:
        values = {"model": "m", "task": task, "patch": patch, "score": score, "params": {}, "selection": None}
        return cast(Row, {**values, "fraction": None, **more})

    def off(task: str, selection: str, score: float, **params: str) -> Row:
        return row(task, "ablate", score, selection=selection, fraction=0.05, params=params)

    rows = [row("a", "none", 1.0), row("b", "none", 0.5)]
    rows += [off("a", "top", 0.1), off("b", "top", 0.1), off("a", "random", 0.9)]
    assert dependence(rows) == [
        "m: with the top 5 % of heads off the score goes from 1.00 to 0.10; with as many random heads off it is 0.90 "
        "(mean of 1 task)."
    ]
    seen = [off("b", "top", 0.0, mode="vision"), off("b", "random", 0.4, mode="vision")]
    assert dependence([*rows, *seen]) == [
        "m: with the picture hidden from the top 5 % of heads the score goes from 0.50 to 0.00; with it hidden from "
        "as many random ones it is 0.40 (mean of 1 task)."
    ]
    assert dependence(rows[:4]) == []
