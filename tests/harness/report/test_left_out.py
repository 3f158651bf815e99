"""What is left out alike is one line."""

from __future__ import annotations

import pytest

from coreheads.report.left_out import sentences
from coreheads.store.board import LeftOut


def entry(what: str, reason: str, run: str = "r") -> LeftOut:
    return {"run": run, "what": what, "reason": reason}


def test_budgets_and_tasks_of_a_method_share_a_line() -> None:
    found = [
        entry(f"m on {task}: hybrid: top full, {budget} % of the work", f"cannot: 0.{budget}1 at least")
        for task in ("one", "two")
        for budget in (50, 25)
    ]
    assert sentences(found) == [
        "hybrid: top full on one, two (m, run r; 4 entries): for example cannot: 0.501 at least"
    ]


def test_methods_with_the_same_tasks_and_reason_share_a_line() -> None:
    found = [entry(f"m on one: {name}, 50 % of the cache", "not finished") for name in ("snapkv", "h2o")]
    found += [entry("m on one: random (5 draws)", "not finished"), entry("m on two: h2o", "not finished", "other")]
    assert sentences(found) == [
        "snapkv, h2o, random on one (m, run r; 3 entries): not finished",
        "m on two: h2o (run other): not finished",
    ]


def test_many_tasks_are_counted() -> None:
    (line,) = sentences([entry(f"m on task {number}: dart", "not finished") for number in range(9)])
    assert line == "dart on 9 tasks (m, run r; 9 entries): not finished"


@pytest.mark.parametrize("what", ["m on t: dart (keep 0.25)", "something else"])
def test_one_alone_is_said_in_full(what: str) -> None:
    assert sentences([entry(what, "why")]) == [f"{what} (run r): why"]
