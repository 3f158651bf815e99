"""From stored cells to leaderboard rows: scores, deltas against dense, speed. Reads a run folder, computes no model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from statistics import median
from typing import Any, cast

from coreheads.config.cells import Cell
from coreheads.heads.selections import KINDS
from coreheads.leaderboard.counts import budget_of, loyalty
from coreheads.stats import pooling
from coreheads.stats.significance import holm
from coreheads.store.board import Row, Speed
from coreheads.store.folder import RunFolder
from coreheads.store.schema import CellRecord, SampleRecord
from coreheads.timing.speedup import dense_speed, measured_together, patched_speed

Samples = Mapping[str, SampleRecord]
Tops = dict[tuple[str | None, float | None], list[list[int]]]
"""The top heads by head score and fraction; by RAM or else the first score where the score is None."""


ENOUGH_REPEATS = 10
"""Of a timing, from which on its interval means what it says."""


def build_rows(run: RunFolder) -> list[Row]:
    """The leaderboard rows of one run, in the order of its configuration; only finished cells count.

    ``delta`` is against the dense row of the same model and task, paired by sample; ``p_value`` is corrected
    (Holm) within a model and task.
    """
    tables: dict[tuple[str, str], dict[tuple[Any, ...], list[CellRecord]]] = defaultdict(lambda: defaultdict(list))
    for record in sorted(run.cells().values(), key=partial(_place, run)):
        if record["n"]:  # else a draw of which no sample could be scored
            cell = Cell.from_json(record["cell"])
            tables[cell.model, cell.task][cell.condition].append(record)
    return [row for conditions in tables.values() for row in _task_rows(run, list(conditions.values()))]


def _place(run: RunFolder, record: CellRecord) -> tuple[int, int, int]:
    """Where a cell stands by the configuration, whichever was finished first: by model, task and draw."""
    cell = record["cell"]
    models = [model["name"] for model in run.config["models"]]
    tasks = (run.config.get("evaluate") or {}).get("tasks") or []
    task = tasks.index(cell["task"]) if cell["task"] in tasks else len(tasks)
    return models.index(cell["model"]), task, cell["draw"] or 0


def _task_rows(run: RunFolder, groups: Sequence[list[CellRecord]]) -> list[Row]:
    """The rows of one model and task; ``groups``: the draws of each condition."""
    samples = [[run.samples(record["name"]).samples for record in group] for group in groups]
    pairs = list(zip(groups, samples, strict=True))
    dense = next((draws[0] for group, draws in pairs if group[0]["cell"]["patch"] == "none"), None)
    tops: Tops = {}
    for first in (group[0] for group in groups if group[0]["cell"]["selection"] == "top"):
        score, fraction = first["cell"].get("head_score"), first["cell"]["fraction"]
        tops[score, fraction] = first["heads"]
        tops.setdefault((None, fraction), first["heads"])
    rows = sorted((_row(run, group, draws, dense, tops) for group, draws in pairs), key=_order)
    for row, adjusted in zip(rows, holm([row["p_value"] for row in rows]), strict=True):
        row["p_value"] = adjusted
    return rows


def _row(
    run: RunFolder,
    group: Sequence[CellRecord],
    draws: Sequence[Samples],
    dense: Samples | None,
    tops: Tops,
) -> Row:
    """The row of one condition. group, draws: its records and samples, one a draw."""
    first = group[0]
    cell = Cell.from_json(first["cell"])
    drawn = cell.draw is not None
    scores, base = weighted(draws, dense)
    score, score_ci = pooling.mean_score(scores)
    paired = pooling.paired_with(scores, base) if cell.patch != "none" and base is not None else None
    measured = _speed(cell, run)
    lines = [line for draw in draws for line in draw.values()]
    return {
        "model": cell.model,
        "task": cell.task,
        "patch": cell.patch,
        "selection": cell.selection,
        "fraction": cell.fraction,
        "on": first["cell"].get("on"),
        "head_score": cell.head_score,
        "n": len(lines),
        "score": score,
        "score_ci": score_ci,
        "delta": paired[0] if paired else None,
        "delta_ci": paired[1:3] if paired else None,
        "p_value": paired[3] if paired else None,
        "loyalty": None if paired is None or not _has_answers(run) else loyalty(draws, dense or {}),
        "alike": pooling.alike({key: line.get("group") for draw in draws for key, line in draw.items()}),
        "tokens_median": median(line["prompt_tokens"] for line in lines),
        **cast(Speed, dict.fromkeys(Speed.__annotations__)),
        "kv_bytes_ratio": first.get("kv_bytes_ratio"),
        **measured[0],
        **budget_of(first, lines),
        "device": measured[1],
        "params": cell.settings,
        "heads": len(first["heads"]),
        "draws": len(group) if drawn else None,
        "metric": first["metric"],
        "run": run.path.name,
        "cells": [record["name"] for record in group],
        "note": "; ".join(filter(None, (_note(cell, group, len(lines), tops), _few(measured[0])))) or None,
        "unscored": sum(record.get("unscored") or 0 for record in group),
        "unscored_example": next((r["unscored_example"] for r in group if r.get("unscored_example")), None),
        "aggregates": None if drawn else first.get("aggregates") or None,
        "variant": first.get("variant"),
        "limit": cell.within,
        "empty": sum(record.get("empty") or 0 for record in group),
        "empty_example": next((r["empty_example"] for r in group if r.get("empty_example")), None),
        "nonfinite": sum(record.get("nonfinite") or 0 for record in group),
        "over_context": sum(record.get("over_context") or 0 for record in group),
        "who": None,
        "version": None,
        "told_apart": None,
    }


def weighted(
    draws: Sequence[Samples], dense: Samples | None
) -> tuple[list[dict[str, float]], list[dict[str, float]] | None]:
    """(each draw's scores by record, the dense model's on the same records), weighted so that groups weigh the same."""
    weights = [pooling.weights({key: line.get("group") for key, line in draw.items()}) for draw in draws]
    scores = [
        {key: weight[key] * float(line["score"]) for key, line in draw.items()}
        for draw, weight in zip(draws, weights, strict=True)
    ]
    if dense is None:
        return scores, None
    base = {key: float(line["score"]) for key, line in dense.items()}
    return scores, [{key: w * base[key] for key, w in weight.items() if key in base} for weight in weights]


def _speed(cell: Cell, run: RunFolder) -> tuple[Speed, str]:
    """(the speed fields that were measured of a cell, on which device)."""
    together = measured_together(cell, run.timings())
    if cell.name in together:
        timing = together[cell.name]
        return patched_speed(timing), timing["device"]
    if cell.patch == "none" and together:
        timing = next(iter(together.values()))
        return dense_speed(timing), timing["device"]
    return cast(Speed, {}), run.manifest["invocations"][-1]["machine"]["name"]


def _has_answers(run: RunFolder) -> bool:
    """Whether answers are known: a run may be published without."""
    published = run.manifest.get("published")
    return published is None or published["responses"]


def _note(cell: Cell, group: Sequence[CellRecord], count: int, tops: Tops) -> str | None:
    """A uniform draw may hold some of the top heads, which is what its cost may be."""
    if cell.draw is None:
        if cell.limit is not None and cell.limit != cell.within:
            return f"the first {count} samples only: read the change, which is against dense on the same"
        return "no head keeps full attention" if (cell.patch, cell.selection) == ("hybrid", "none") else None
    note = f"mean of {len(group)} random draws, {count} samples in all"
    if top := tops.get((cell.head_score, cell.fraction)):
        hits = sum(any(head in top for head in record["heads"]) for record in group)
        note += f"; {hits} of the draws held some of the top heads"
    return note


def _few(speed: Speed) -> str | None:
    """Marks a speed that was measured less often than it should be."""
    repeats = speed.get("repeats")
    return f"speed of {repeats} repeats only, intervals are rough" if repeats and repeats < ENOUGH_REPEATS else None


def _order(row: Row) -> tuple[Any, ...]:
    patch_rank = {"none": 0, "hybrid": 1, "ablate": 2}.get(row["patch"], 3)
    selection = (None, *KINDS).index(row["selection"])
    by_score = row.get("head_score") or "", row["fraction"] or 0.0
    budget = -(row.get("budget") or 2.0)  # what has no budget comes first, then the largest
    return patch_rank, row["patch"], str(row.get("on") or ""), str(row["params"]), selection, *by_score, budget
