"""What a board says over all tasks of a run: a ranking of conditions, and the best one at a speed that is asked for."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from statistics import fmean, geometric_mean

import numpy as np

from coreheads.config.cells import Cell
from coreheads.leaderboard.rows import weighted
from coreheads.report.columns import condition_label, grouped, kv, method
from coreheads.stats.bootstrap import bootstrap_means, mean_ratio_ci
from coreheads.stats.pooling import FEW_DRAWS, Scores
from coreheads.store.board import Best, Interval, Overall, Row
from coreheads.store.folder import RunFolder

POINT = 0.01
"""How much lower than dense a score may be that counts as kept."""
ROUNDING = 1e-9
SPEEDS = (1.5, 2.0, 3.0)
"""The prefill speedups at which the best condition is named."""


def overall(run: RunFolder, rows: Sequence[Row]) -> list[Overall]:
    """The ranking of every model of one run; ``rows``: those of the run, as the board has them.

    Heads that are switched off make nothing faster, and are not ranked.
    """
    lines = []
    for own in grouped(rows, "model").values():
        dense = {row["task"]: row for row in own if row["patch"] == "none"}
        timed = [task for task, row in dense.items() if row["prefill_speedup"] is not None]
        conditions: dict[Hashable, dict[str, Row]] = {}
        for row in (row for row in own if row["patch"] != "ablate"):
            cell = Cell.from_json(run.cells()[row["cells"][0]]["cell"])
            conditions.setdefault(cell.condition, {})[row["task"]] = row
        found = [
            _line(run, list(dense), by_task, dense, timed)
            for by_task in conditions.values()
            if dense.keys() <= by_task.keys()
        ]
        found.sort(key=standing)
        for rank, line in enumerate(found, 1):
            line["rank"] = rank
        lines += found
    return lines


def best(rows: Sequence[Row], ranking: Sequence[Overall]) -> Iterator[Best]:
    """The best condition at every speed: over all tasks, then task by task, for every model that was timed."""
    named: list[tuple[Overall | Row, str, str | None]] = [(line, line["condition"], None) for line in ranking]
    named += [(row, condition_label(row), row["task"]) for row in rows]
    groups: dict[tuple[str, str, str | None], list[tuple[Overall | Row, str]]] = {}
    for line, condition, task in named:
        groups.setdefault((line["run"], line["model"], task), []).append((line, condition))
    for (_, _, task), lines in groups.items():
        if any(line["prefill_speedup"] for line, _ in lines if line["patch"] != "none"):
            yield from (_best(lines, task, at) for at in SPEEDS)


def _line(
    run: RunFolder, tasks: list[str], by_task: dict[str, Row], dense: dict[str, Row], timed: list[str]
) -> Overall:
    rows = [by_task[task] for task in tasks]
    first = rows[0]
    scores: list[list[float]] = []
    changes: list[list[float]] = []
    for task, row in zip(tasks, rows, strict=True):
        base = run.samples(dense[task]["cells"][0]).samples
        draws, same = weighted([run.samples(name).samples for name in row["cells"]], base)
        scores.append(_units(draws))
        pairs = zip(draws, same or (), strict=True)
        changes.append(_units([{key: draw[key] - own[key] for key in draw if key in own} for draw, own in pairs]))
    paired = first["patch"] != "none" and all(changes)
    speeds = [by_task[task] for task in timed] if all(by_task[task]["prefill_speedup"] for task in timed) else []
    speedup, speedup_ci = _speedup(run, speeds)
    return {
        "run": first["run"],
        "model": first["model"],
        "device": first["device"],
        "condition": condition_label(first),
        "method": method(first),
        "tasks": tasks,
        "timed_tasks": timed if speeds else [],
        "patch": first["patch"],
        "selection": first["selection"],
        "n": sum(row["n"] for row in rows),
        "score": fmean(row["score"] for row in rows),
        "score_ci": _interval(scores),
        "delta": fmean(row["delta"] or 0.0 for row in rows) if paired else None,
        "delta_ci": _interval(changes) if paired else None,
        "alike": len(rows) * min(row.get("alike") or 0 for row in rows),
        "prefill_speedup": speedup,
        "prefill_speedup_ci": speedup_ci if first["patch"] != "none" else None,
        "end_to_end_speedup": geometric_mean([row["end_to_end_speedup"] or 1.0 for row in speeds]) if speeds else None,
        "kv": _mean([kv(row) for row in rows]),
        "work": _mean([row["flops_ratio"] for row in rows]),
        "loyalty": _mean([row["loyalty"] for row in rows]),
        "select_ms": _mean([row["select_ms"] for row in speeds]),
        "question": first["question"],
        "rank": 0,
    }


def _units(draws: Sequence[Scores]) -> list[float]:
    """What is drawn anew: samples; of many draws, which vary too, their means."""
    kept = [list(draw.values()) for draw in draws if draw]
    return [fmean(draw) for draw in kept] if len(kept) >= FEW_DRAWS else [value for draw in kept for value in draw]


def _interval(groups: Sequence[Sequence[float]]) -> Interval:
    low, high = bootstrap_means([np.array(group, dtype=np.float64)[:, None] for group in groups])
    return float(low[0]), float(high[0])


def _speedup(run: RunFolder, rows: Sequence[Row]) -> tuple[float | None, Interval | None]:
    if not rows:
        return None, None
    timings = run.timings()
    known = [timings[row["cells"][0]]["times"] for row in rows if row["cells"][0] in timings]
    if len(known) < len(rows):  # the dense model, whose own speedup is 1
        return geometric_mean([row["prefill_speedup"] or 1.0 for row in rows]), None
    mean, low, high = mean_ratio_ci([(times["dense"]["prefill"], times["patched"]["prefill"]) for times in known])
    return mean, (low, high)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def _keeps(line: Overall | Row) -> bool:
    return line["patch"] == "none" or (line["delta"] or 0.0) >= -POINT - ROUNDING


def standing(line: Overall) -> tuple[bool, float, float]:
    """What the ranking sorts by: first what keeps the score, by speed, then the others by score."""
    by_speed, by_score = -(line["prefill_speedup"] or 0.0), -line["score"]
    return (False, by_speed, by_score) if _keeps(line) else (True, by_score, by_speed)


def _best(lines: Sequence[tuple[Overall | Row, str]], task: str | None, at: float) -> Best:
    fast = [pair for pair in lines if pair[0]["patch"] != "none" and (pair[0]["prefill_speedup"] or 0.0) >= at]
    kept = [pair for pair in fast if _keeps(pair[0])]
    chosen = max(kept or fast, key=lambda pair: (pair[0]["score"], pair[0]["prefill_speedup"] or 0.0), default=None)
    line, condition = chosen or (None, None)
    return {
        "run": lines[0][0]["run"],
        "model": lines[0][0]["model"],
        "task": task,
        "at": at,
        "condition": condition,
        "within": bool(kept),
        "score": line and line["score"],
        "delta": line and line["delta"],
        "prefill_speedup": line and line["prefill_speedup"],
    }
