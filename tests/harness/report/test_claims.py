"""The paper's statements against boards for which the verdict is known."""

from __future__ import annotations

import math
from itertools import permutations
from pathlib import Path
from statistics import fmean
from typing import Any

import page_boards
import pytest
import small_run
from scipy.stats import spearmanr

from coreheads.cli import main
from coreheads.files import read_json
from coreheads.leaderboard.build import build
from coreheads.report import claims
from coreheads.report.claims import STATEMENTS, pooled
from coreheads.report.head_claims import SCALE
from coreheads.report.markdown import to_markdown

MASS, HALVES, PLACE, DEPTH, TOP, LOW, RANDOM, KEPT, FASTER = STATEMENTS
UNTESTED = "not tested here"


def off(selection: str, change: float, width: float = 0.01, mode: str = "vision", **values: Any) -> dict[str, Any]:
    ends = [change - width, change + width]
    known = {"patch": "ablate", "params": {"mode": mode}, "selection": selection, "fraction": 0.05, "delta": change}
    return page_boards.row(**known | {"delta_ci": ends, "p_value": 0.01} | values)


def hybrid(change: float, speedup: float, width: float = 0.01, **values: Any) -> dict[str, Any]:
    known = {"patch": "hybrid", "params": {}, "selection": "top", "fraction": 0.1, "delta": change}
    known |= {"delta_ci": [change - width, change + width]} | page_boards.speed(speedup)
    return page_boards.row(**known | values)


def summary(
    share: float = 0.9,
    shared: float | None = 0.9,
    depth: float | None = 0.5,
    others: float | None = 0.01,
    **values: Any,
) -> dict[str, Any]:
    top = {"fraction": 0.05, "count": 5, "share": share, "layers": [1], "shared": shared, "depth": depth}
    top |= {"scores": [0.2, 0.3, 0.4, 0.8, 0.9], "others": others}
    found = {"run": "run", "model": "a model", "id": "x", "count": 100, "samples": 64, "top": [top], "tasks": []}
    return found | values


def judged(rows: list[Any], *heads: Any) -> dict[str, Any]:
    return {entry["claim"]: entry for entry in claims.claims(rows, heads)}


@pytest.mark.parametrize(
    ("rows", "heads", "claim", "verdict"),
    [
        ([], [summary(0.9)], MASS, "holds"),
        ([], [summary(0.3)], MASS, "does not"),
        ([page_boards.row()], [], MASS, UNTESTED),
        ([], [summary(shared=0.8)], HALVES, "holds"),
        ([], [summary(shared=0.6)], HALVES, "cannot tell"),
        ([], [summary(shared=0.2)], HALVES, "does not"),
        ([], [summary(shared=None)], HALVES, UNTESTED),
        ([], [summary(others=0.04)], PLACE, "holds"),
        ([], [summary(others=0.05)], PLACE, "does not"),
        ([], [summary(others=None)], PLACE, UNTESTED),
        ([], [summary(depth=0.5)], DEPTH, "holds"),
        ([], [summary(depth=0.1)], DEPTH, "does not"),
        ([], [summary(depth=None)], DEPTH, UNTESTED),
        ([off("top", -0.9)], [], TOP, "holds"),
        ([off("top", -0.02)], [], TOP, "does not"),
        ([off("top", -0.1, 0.05)], [], TOP, "cannot tell"),
        ([off("top", -0.9, delta_ci=None)], [], TOP, "cannot tell"),
        ([off("bottom", -0.9)], [], TOP, UNTESTED),
        ([off("bottom", -0.01)], [], LOW, "holds"),
        ([off("bottom", -0.2)], [], LOW, "does not"),
        ([off("bottom", -0.04, 0.03)], [], LOW, "cannot tell"),
        ([off("random", -0.01)], [], RANDOM, "holds"),
        ([off("random", 0.0, 0.2)], [], RANDOM, "cannot tell"),
        ([off("top", -0.9, on={"patch": "dart", "params": {}})], [], TOP, UNTESTED),
        ([off("top", -0.9, head_score="taylor")], [], TOP, UNTESTED),
        ([hybrid(-0.005, 2.0)], [], KEPT, "holds"),
        ([hybrid(-0.015, 2.0)], [], KEPT, "cannot tell"),
        ([hybrid(-0.3, 2.0)], [], KEPT, "does not"),
        ([off("top", -0.9)], [], KEPT, UNTESTED),
        ([hybrid(0.0, 2.0)], [], FASTER, "holds"),
        ([hybrid(0.0, 0.8)], [], FASTER, "does not"),
        ([hybrid(0.0, 1.02)], [], FASTER, "cannot tell"),
        ([hybrid(0.0, 2.0, prefill_speedup=None)], [], FASTER, UNTESTED),
    ],
)
def test_verdicts(rows: list[Any], heads: list[Any], claim: str, verdict: str) -> None:
    found = judged(rows, *heads)
    assert list(found) == list(STATEMENTS)
    assert found[claim]["verdict"] == verdict
    assert bool(found[claim]["test"]) == (verdict != UNTESTED)


@pytest.mark.parametrize(
    ("depths", "verdict"),
    [
        ([0.3, 0.4, 0.5, 0.6], "holds"),  # one order of 24: p = 0.042
        ([0.3, 0.4, 0.6, 0.5], "cannot tell"),
        ([0.6, 0.5, 0.4, 0.3], "does not"),
        ([0.3, 0.4, 0.5], "cannot tell"),
        ([0.4, 0.4, 0.4, 0.4], "cannot tell"),
        ([0.3, 0.5, 0.4, 0.6, 0.7], "holds"),
    ],
)
def test_depth_against_size_is_judged_over_all_models(depths: list[float], verdict: str) -> None:
    heads = [summary(depth=depth, model=f"m{size}", count=100 * 2**size) for size, depth in enumerate(depths)]
    first, *_ = claims.claims([], heads)
    assert (first["model"], first["claim"]) == ("all models", SCALE)
    if len(depths) > 3 and len({*depths}) > 1:
        orders = [spearmanr(order, range(len(depths))).statistic for order in permutations(depths)]
        exact = fmean(order >= orders[0] - 1e-9 for order in orders)
        assert (first["verdict"] == "holds") == (exact <= 0.05)
        assert f"rank correlation {orders[0]:.2f}, p {exact:.3f}" in first["figures"]
    assert first["verdict"] == verdict


def test_one_model_has_no_scale() -> None:
    assert [entry["claim"] for entry in claims.claims([], [summary()])] == list(STATEMENTS)


def test_hidden_pictures_are_preferred_and_zeroed_heads_named() -> None:
    zeroed, hidden = off("top", -0.9, mode="zero"), off("top", 0.0)
    assert judged([zeroed, hidden])[TOP]["verdict"] == "does not"
    assert "picture hidden" in judged([zeroed, hidden])[TOP]["figures"]
    assert "zeroed" in judged([zeroed])[TOP]["figures"]


def test_tasks_are_pooled_and_the_nearest_share_is_judged() -> None:
    rows = [off("top", -0.8, task="a"), off("top", -0.4, task="b"), off("top", 0.0, fraction=0.2)]
    assert "top 5 % off" in judged(rows)[TOP]["figures"]
    assert "-0.60 [-0.61, -0.59], mean of 2 tasks, largest p 0.010" in judged(rows)[TOP]["figures"]
    speeds = [hybrid(0.0, 2.0, task="a"), hybrid(0.0, 8.0, task="b", timed_tokens=8192)]
    assert "4.00 [" in judged(speeds)[FASTER]["figures"]
    assert "4,096 to 8,192 tokens" in judged(speeds)[FASTER]["figures"]


def test_a_task_under_two_windows_counts_once() -> None:
    rows = [hybrid(-0.01, 2.0, task=task, params={"sink": 16, "window": 128}) for task in ("a task", "another")]
    rows.insert(0, hybrid(-0.5, 9.0, task="a task", params={"sink": 1, "window": 2}))
    found = judged(rows)
    assert "mean of 2 tasks" in found[STATEMENTS[-2]]["figures"]
    assert "-0.01 [" in found[STATEMENTS[-2]]["figures"]
    assert "prefill 2.00 [" in found[STATEMENTS[-1]]["figures"]


def test_pooled_intervals_are_those_of_a_mean_of_independent_estimates() -> None:
    one = pooled([0.5], [[0.4, 0.7]])
    assert (one.low, one.high) == pytest.approx((0.4, 0.7))
    many = pooled([0.0] * 4, [[-0.2, 0.1]] * 4)
    assert (many.low, many.high) == pytest.approx((-0.1, 0.05))
    assert pooled([0.0, 0.0], [[-1, 1], None]).high == math.inf


def test_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = small_run.fake_run(tmp_path / "run")
    board = build([run])
    found = {entry["claim"]: entry["verdict"] for entry in board["claims"]}
    assert {found[name] for name in (MASS, TOP, RANDOM, KEPT, FASTER)} == {"holds"}
    assert {found[HALVES], found[LOW]} == {UNTESTED}
    assert board["heads"][0]["top"][0]["depth"] == pytest.approx(0.8 / 1.7)
    assert "## Claims" in to_markdown(board)
    out = tmp_path / "claims.json"
    for _ in range(2):
        assert main(["claims", str(run.path), "--out", str(out)]) == 0
    assert read_json(out) == {"schema_version": 1, "claims": board["claims"]}
    assert main(["claims", str(run.path), "--out", str(run.path / "manifest.json")]) == 2
    assert " ".join(TOP.split()[:3]) in capsys.readouterr().out
