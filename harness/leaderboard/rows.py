"""From stored cells to leaderboard rows: scores, deltas against dense, speed. Reads a run folder, computes no model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import Any

from coreheads.config.cells import Cell
from coreheads.heads.selections import KINDS
from coreheads.stats import pooling
from coreheads.stats.significance import holm
from coreheads.store.folder import RunFolder
from coreheads.timing.speedup import FIELDS as SPEED_FIELDS
from coreheads.timing.speedup import dense_speed, measured_together, patched_speed

Row = dict[str, Any]

FIELDS = (
    "model", "task", "patch", "selection", "fraction", "n", "score", "score_ci", "delta", "delta_ci", "p_value",
    "tokens_median", *SPEED_FIELDS, "device", "params", "heads", "draws", "metric", "run", "cells", "note",
    "unscored", "unscored_example", "aggregates", "variant", "limit", "empty", "empty_example", "nonfinite",
    "over_context", "told_apart",
)  # fmt: skip
"""A row's fields. The first are those of DESIGN; heads: how many are selected; draws: how many random draws are
pooled (null where nothing is drawn); cells: the names of the stored cells; note: what must be read beside it;
unscored: samples that could not be used and are in no score, unscored_example the first of them with its reason;
aggregates: scores of the whole set that are no means (null for draws); variant: how the task was scored, where there
is a choice; limit: how many samples of the task are asked (null: all; a draw may ask fewer); empty: answers without
text, which are scored; nonfinite, over_context: of the unscored, those whose logits were no numbers and those longer
than the model's context; told_apart: whether another row differs from it in its patch's settings only."""


def build_rows(run: RunFolder) -> list[Row]:
    """The leaderboard rows of one run, in the order of its configuration; only finished cells count.

    ``delta`` is against the dense row of the same model and task, paired by sample; ``p_value`` is corrected
    (Holm) within a model and task.
    """
    stored = run.cells()
    timings = run.timings()
    tables: dict[tuple[str, str], dict[tuple[Any, ...], list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for record in stored.values():
        if not record["n"]:
            continue  # a draw of which no sample could be scored
        cell = Cell.from_json(record["cell"])
        tables[cell.model, cell.task][cell.condition].append(record)
    rows: list[Row] = []
    for conditions in tables.values():
        rows.extend(_task_rows(run, list(conditions.values()), timings))
    return rows


def _task_rows(run: RunFolder, groups: list[list[dict[str, Any]]], timings: dict[str, Any]) -> list[Row]:
    """The rows of one model and task; ``groups``: the draws of each condition."""
    samples = [[run.samples(record["name"]).samples for record in group] for group in groups]
    dense = next((draws[0] for group, draws in zip(groups, samples, strict=True) if _patch(group) == "none"), None)
    rows = [_row(run, group, draws, dense, timings) for group, draws in zip(groups, samples, strict=True)]
    tops = {g[0]["cell"]["fraction"]: g[0]["heads"] for g in groups if g[0]["cell"]["selection"] == "top"}
    for row, group in zip(rows, groups, strict=True):
        row["note"] = _note(row, group, tops)
    rows.sort(key=_order)
    for row, adjusted in zip(rows, holm([row["p_value"] for row in rows]), strict=True):
        row["p_value"] = adjusted
    return rows


def _patch(group: Sequence[dict[str, Any]]) -> str:
    return str(group[0]["cell"]["patch"])


def _row(
    run: RunFolder,
    group: list[dict[str, Any]],
    draws: list[dict[str, Any]],
    dense: dict[str, Any] | None,
    timings: dict[str, Any],
) -> Row:
    cell = Cell.from_json(group[0]["cell"])
    row: Row = dict.fromkeys(FIELDS)
    row |= {
        "model": cell.model,
        "task": cell.task,
        "patch": cell.patch,
        "params": cell.settings,
        "selection": cell.selection,
        "fraction": cell.fraction,
        "heads": len(group[0]["heads"]),
        "draws": len(group) if cell.draw is not None else None,
        "metric": group[0]["metric"],
        "run": run.path.name,
        "cells": [record["name"] for record in group],
        "device": run.manifest["invocations"][-1]["machine"]["name"],
        "unscored": sum(record.get("unscored") or 0 for record in group),
        "aggregates": None if cell.draw is not None else group[0].get("aggregates") or None,
        "unscored_example": next((r["unscored_example"] for r in group if r.get("unscored_example")), None),
        "variant": group[0].get("variant"),
        "limit": cell.within,
        "empty_example": next((r["empty_example"] for r in group if r.get("empty_example")), None),
        **{name: sum(r.get(name) or 0 for r in group) for name in ("empty", "nonfinite", "over_context")},
    }
    weights = [pooling.weights({key: line.get("group") for key, line in draw.items()}) for draw in draws]
    scores = [
        {key: weight[key] * float(line["score"]) for key, line in draw.items()}
        for draw, weight in zip(draws, weights, strict=True)
    ]
    lines = [line for draw in draws for line in draw.values()]
    row["n"] = len(lines)
    row["score"], row["score_ci"] = pooling.mean_score(scores)
    row["tokens_median"] = median(line["prompt_tokens"] for line in lines)
    if cell.patch != "none" and dense is not None:
        base = {key: float(line["score"]) for key, line in dense.items()}
        paired = pooling.paired_with(
            scores, [{k: w * base[k] for k, w in weight.items() if k in base} for weight in weights]
        )
        if paired is not None:
            row["delta"], row["delta_ci"], row["p_value"] = paired[0], (paired[1], paired[2]), paired[3]
    row["kv_bytes_ratio"] = group[0].get("kv_bytes_ratio")
    together = measured_together(cell, timings)
    if cell.name in together:
        row |= patched_speed(together[cell.name])
        row["device"] = together[cell.name]["device"]
    elif cell.patch == "none" and together:
        timing = next(iter(together.values()))
        row |= dense_speed(timing)
        row["device"] = timing["device"]
    return row


def _note(row: Row, group: list[dict[str, Any]], tops: dict[float, list[list[int]]]) -> str | None:
    """``tops``: the top heads by fraction. A uniform draw may hold some of them, which is what its cost may be."""
    if row["draws"] is None:
        return "no head keeps full attention" if (row["patch"], row["selection"]) == ("hybrid", "none") else None
    note = f"mean of {row['draws']} random draws, {row['n']} samples in all"
    if row["fraction"] in tops:
        hits = sum(any(head in tops[row["fraction"]] for head in record["heads"]) for record in group)
        note += f"; {hits} of the draws held some of the top heads"
    return note


def _order(row: Row) -> tuple[Any, ...]:
    patches = ("none", "hybrid", "ablate")
    return (
        patches.index(row["patch"]) if row["patch"] in patches else len(patches),
        row["patch"],
        str(row["params"]),
        (None, *KINDS).index(row["selection"]),
        row["fraction"] or 0.0,
    )
