"""Figures in README and docs are those of the boards in ``results/``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
RIVALS = ("refcocog", "vidstg", "mmdocir", "mlvu", "mmlongbench_doc")
"""Columns of the tables over ``results/rivals``."""
LONG = "coreheads_mini_mmlongbench_doc"
SMOL = {"459": "doc_450", "751": "docqa", "775": "slides", "1,043": "doc_1000", "2,065": "doc_2000"}

Rows = list[dict[str, Any]]
Wanted = dict[str, Any]


@cache
def board(folder: str) -> Rows:
    rows: Rows = json.loads((ROOT / "results" / folder / "leaderboard.json").read_text(encoding="utf-8"))["rows"]
    return rows


def found(rows: Rows, wanted: Wanted) -> Rows:
    """Rows of a condition: fields by name, parameters by ``params.name``, ``on`` the keep of what it acts on."""
    wanted = {"budget": None, "preset": None, "on": None} | wanted

    def value(row: dict[str, Any], name: str) -> Any:
        field, _, inner = name.partition(".")
        if field == "on":
            return (row.get("on") or {}).get("params", {}).get("keep")
        return row["params"].get(inner) if inner else row.get(field) or None

    return [row for row in rows if all(value(row, name) == wanted[name] for name in wanted)]


def scores(wanted: Wanted) -> tuple[list[str], float | None]:
    """(score a task as the tables write it, prefill speedup on the long document where it was timed)."""
    rows = {row["task"]: row for row in found(board("rivals"), wanted)}
    of_tasks = [rows.get(f"coreheads_mini_{name}") for name in RIVALS]
    shown = [f"{row['score']:.2f}".removeprefix("0") if row else "cannot" for row in of_tasks]
    return shown, rows[LONG]["prefill_speedup"] if LONG in rows else None


def tables(page: str) -> list[list[list[str]]]:
    """Cells of the rows of every table of a page, without mark-up."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    return [
        [[re.sub(r"[*`]", "", cell).strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
        for block in blocks
    ]


def table(page: str, head: str) -> list[list[str]]:
    (lines,) = (lines for lines in tables(page) if lines[0][0].startswith(head))
    return lines[2:]


def budget(patch: str, share: float, **more: Any) -> Wanted:
    return {"patch": patch, "budget": share, **more}


def hybrid(fraction: float, on: float | None = None) -> Wanted:
    return {"patch": "hybrid", "selection": "top", "fraction": fraction, "on": on}


SHORT: dict[str, list[Wanted]] = {
    "dense": [{"patch": "none"}],
    "hybrid attention, top 5 %": [hybrid(0.05)],
    "hybrid, 10 %, on CDPruner": [hybrid(0.1, 0.5), hybrid(0.1, 0.25)],
    "CDPruner": [budget("cdpruner", 0.5), budget("cdpruner", 0.25)],
    "VidCom2": [budget("vidcom2", 0.5), budget("vidcom2", 0.25)],
    "DART": [budget("dart", 0.5), budget("dart", 0.25)],
    "FastV": [budget("fastv", 0.5)],
    "random tokens": [budget("random", 0.5), budget("random", 0.25)],
    "SnapKV": [budget("snapkv", 0.25, question="seen"), budget("snapkv", 0.25, question="unseen")],
}
"""README's rows over ``results/rivals``; several conditions of a row are parted by strokes."""


def test_readme_says_what_the_rivals_scored() -> None:
    rows = table("README.md", "method (prefill")
    assert len(rows) == len(SHORT)
    for name, *cells in rows:
        (key,) = (key for key in SHORT if name.startswith(key))
        conditions = [scores(wanted) for wanted in SHORT[key]]
        assert cells == [" / ".join(column) for column in zip(*(shown for shown, _ in conditions), strict=True)], name
        said = re.search(r"\(([\d.x /]+)\)$", name)
        speeds = [f"{speed:.1f}x" for _, speed in conditions if speed]
        assert (said[1].split(" / ") if said else ["1.0x"]) == speeds, name


@pytest.mark.parametrize("patch", ["cdpruner", "vidcom2", "evs", "dart", "visionzip", "fastv", "random", "stride"])
def test_rivals_on_budgets(patch: str) -> None:
    cells = next(cells for cells in tables("docs/rivals.md")[0] if cells[0].split(" ")[0] == patch)
    for cell, share in zip(cells[1:], (0.5, 0.25), strict=True):
        shown, speed = scores(budget(patch, share))
        assert cell == f"{' '.join(shown)} ({speed:.2f}x)" if speed else cell.startswith("not asked")


def test_rivals_that_evict_keys() -> None:
    for cells in tables("docs/rivals.md")[1][2:]:
        patches, question = cells[0].split(", "), cells[1]
        for patch in patches:
            wanted = [budget(patch, share, question=question) for share in (0.25, 0.1)]
            assert cells[2:] == [" ".join(scores(condition)[0]) for condition in wanted]


def test_heads_by_other_scores() -> None:
    def mean(select: Callable[[dict[str, Any]], bool]) -> str:
        rows = [row["score"] for row in board("head_scores") if select(row)]
        assert len(rows) == 2
        return f"{sum(rows) / 2:.2f}".removeprefix("0")

    checked = 0
    for names, *cells in table("docs/rivals.md", "score ("):
        several = re.findall(r"[a-z0-9_]{3,}|RAM", names.partition(" (")[0])
        for cell, fraction in zip(cells[:2], (0.05, 0.1), strict=True):
            for name, said in zip(several, cell.split(), strict=True):
                score = None if name == "RAM" else name
                assert said == mean(
                    lambda row, score=score, fraction=fraction: (
                        (row["selection"], row["fraction"], row["head_score"]) == ("top", fraction, score)
                    )
                ), name
                checked += 1
    assert checked == 22


def test_readme_says_what_smol_scored() -> None:
    conditions: list[Wanted] = [
        {"patch": "none"},
        {"patch": "ablate", "selection": "top", "fraction": 0.05, "params.mode": "vision"},
        {"patch": "ablate", "selection": "bottom", "fraction": 0.05, "params.mode": "vision"},
        {"patch": "ablate", "selection": "layer_matched", "fraction": 0.05, "params.mode": "vision"},
        {"patch": "hybrid", "selection": "top", "fraction": 0.1, "params.window": 128},
        {"patch": "hybrid", "selection": "top", "fraction": 0.2, "params.window": 128},
        {"patch": "hybrid", "selection": "none", "params.window": 128},
    ]
    lines = table("README.md", "documents")
    assert len(lines) == len(SMOL)
    for _, tokens, *cells in lines:
        name = f"coreheads_smol_{SMOL[tokens]}"
        here = [[row for row in found(board("smol/board"), wanted) if row["task"] == name] for wanted in conditions]
        assert cells == [f"{of[0]['score']:.2f}" if of else "" for of in here], name


def test_readme_says_what_the_embedded_run_scored() -> None:
    def mean(**wanted: Any) -> str:
        rows = found(board("embedded"), wanted)
        assert len(rows) == 5
        return f"{sum(row['score'] for row in rows) / 5:.2f}".removeprefix("0")

    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    off, random = (mean(patch="ablate", selection=which, fraction=0.05) for which in ("top", "random"))
    assert f"goes from {mean(patch='none')} to {off}, with as many random ones off to {random};" in text
    (row,) = (row for row in found(board("embedded"), hybrid(0.1)) if row["task"] == LONG)
    low, high = row["prefill_speedup_ci"]
    speed = f"{row['prefill_speedup']:.1f}x [{low:.1f}, {high:.1f}]"
    assert f"it is {mean(**hybrid(0.1))}, and prefill of 4,401 tokens {speed}" in text
