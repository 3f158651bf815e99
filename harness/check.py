"""The regression gate: a run against a stored baseline, in accuracy, head ranking and relative speed.

A baseline is a JSON file made by ``coreheads check RUN --baseline FILE --update``: scores by sample, the head
ranking, speed ratios, and the tolerances, which are kept when it is updated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coreheads.agreement import jaccard, spearman
from coreheads.errors import UserError
from coreheads.files import read_json, write_json
from coreheads.profile import HeadProfile
from coreheads.rows import build_rows
from coreheads.run_folder import RunFolder

SCHEMA_VERSION = 1

TOLERANCES: dict[str, float] = {
    "score_drop": 0.02,
    "flips": 1,
    "ranking_overlap": 0.8,
    "ranking_correlation": 0.7,
    "ranking_fraction": 0.05,
    "speed_ratio": 0.6,
}
"""score_drop: how far a cell's mean score may fall, on the samples that both have. flips: how many of its samples may
get worse whatever the drop, because another processor rounds otherwise and may tip an answer that is a near-tie.
ranking_overlap: least Jaccard overlap of the top ``ranking_fraction`` of heads; ranking_correlation: least rank
correlation of all heads. speed_ratio: least prefill speedup over dense, as a part of the baseline's. A cell may have
its own score_drop under ``tolerances.cells``."""


@dataclass(frozen=True)
class Finding:
    """One comparison. kind: accuracy, ranking or speed; text says what moved; ok is false for a regression."""

    kind: str
    name: str
    before: float | None
    now: float | None
    ok: bool
    text: str


def make_baseline(run: RunFolder, tolerances: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a later run is compared with. Raises UserError where the run has no finished cell."""
    cells = {}
    for name, record in run.cells().items():
        samples = run.samples(name).samples
        if not samples:
            continue  # a draw of which no sample could be scored
        cells[name] = {
            "metric": record["metric"],
            "scores": {key: round(float(line["score"]), 6) for key, line in samples.items()},
        }
    if not cells:
        raise UserError(f"{run.path}: no finished cell, nothing to compare with")
    return {
        "schema_version": SCHEMA_VERSION,
        "tolerances": {**TOLERANCES, **(tolerances or {})},
        "made_by": run.manifest["invocations"][-1]["command"],
        "heads": {model: [[float(f"{x:.5g}") for x in row] for row in mean] for model, mean in _heads(run)},
        "speed": _speeds(run),
        "cells": cells,
    }


def load_baseline(path: str | Path) -> dict[str, Any]:
    """A baseline file; UserError where it is none, or of another schema."""
    baseline = read_json(path)
    if not isinstance(baseline, dict) or not isinstance(baseline.get("cells"), dict):
        raise UserError(f"{path}: has no cells, expected a baseline made by coreheads check --update")
    if baseline.get("schema_version") != SCHEMA_VERSION:
        raise UserError(f"{path}: schema_version is {baseline.get('schema_version')!r}, expected {SCHEMA_VERSION}")
    for name in ("tolerances", "heads", "speed"):
        if not isinstance(baseline.get(name), dict):
            raise UserError(f"{path}: {name} is {baseline.get(name)!r}, expected an object")
    for name, value in baseline["tolerances"].items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if name != "cells" and not (number and name in TOLERANCES):
            raise UserError(f"{path}: tolerances.{name} is {value!r}, expected a number for {', '.join(TOLERANCES)}")
    for name, cell in baseline["cells"].items():
        if not isinstance(cell, dict) or not isinstance(cell.get("scores"), dict) or not cell["scores"]:
            raise UserError(f"{path}: cells.{name} has no scores, expected a score for every record id")
    return baseline


def update_baseline(run: RunFolder, path: Path) -> None:
    """Write the run as the new baseline, with the tolerances of the old one."""
    kept = load_baseline(path)["tolerances"] if path.exists() else None
    write_json(path, make_baseline(run, kept))


def compare(run: RunFolder, baseline: dict[str, Any]) -> list[Finding]:
    """All comparisons, regressions first; what the run has beyond the baseline is not judged."""
    if not run.cells():
        raise UserError(f"{run.path}: no finished cell, nothing to compare with the baseline")
    tolerances = {**TOLERANCES, **baseline["tolerances"]}
    found = [
        *_accuracy(run, baseline["cells"], tolerances),
        *_ranking(dict(_heads(run)), baseline["heads"], tolerances),
        *_speed(_speeds(run), baseline["speed"], tolerances),
    ]
    return sorted(found, key=lambda finding: finding.ok)


def _accuracy(run: RunFolder, cells: dict[str, Any], tolerances: dict[str, Any]) -> Iterator[Finding]:
    finished = run.cells()
    own = tolerances.get("cells") or {}
    for name, old in cells.items():
        before = _mean(old["scores"].values())
        if name not in finished:
            yield Finding("accuracy", name, before, None, False, "the cell is missing")
            continue
        samples = {key: float(line["score"]) for key, line in run.samples(name).samples.items()}
        shared = [key for key in old["scores"] if key in samples]
        if not shared:
            yield Finding("accuracy", name, before, None, False, "no sample of the baseline is there")
            continue
        if finished[name]["metric"] != old["metric"]:
            text = f"scored by {finished[name]['metric']}, the baseline by {old['metric']}"
            yield Finding("accuracy", name, before, None, False, text)
            continue
        was, now = _mean(old["scores"][key] for key in shared), _mean(samples[key] for key in shared)
        worse = [key for key in shared if samples[key] < old["scores"][key]]
        better = sum(samples[key] > old["scores"][key] for key in shared)
        allowed = own.get(name, {}).get("score_drop", tolerances["score_drop"])
        text = f"{len(worse)} of {len(shared)} samples worse, {better} better"
        if len(shared) < len(old["scores"]):
            text += f"; {len(old['scores']) - len(shared)} samples of the baseline are missing"
        if worse:
            text += f"; worse: {', '.join(worse[:5])}{' ...' if len(worse) > 5 else ''}"
        fell = was - now > allowed + 1e-9 and len(worse) > tolerances["flips"]
        ok = not fell and len(shared) == len(old["scores"])
        yield Finding("accuracy", name, was, now, ok, text)


def _ranking(now: dict[str, Any], before: dict[str, Any], tolerances: dict[str, Any]) -> Iterator[Finding]:
    from coreheads.selections import top

    for model, old in before.items():
        if model not in now:
            yield Finding("ranking", f"{model} heads", None, None, False, "the run has no head profile of this model")
            continue
        import numpy as np

        first, second = np.array(old), np.array(now[model])
        if first.shape != second.shape:
            text = f"{first.shape} heads in the baseline, {second.shape} in the run"
            yield Finding("ranking", f"{model} heads", None, None, False, text)
            continue
        fraction = tolerances["ranking_fraction"]
        overlap = jaccard(top(first, fraction), top(second, fraction))
        least = tolerances["ranking_overlap"]
        text = f"overlap of the top {100 * fraction:g} % of heads, at least {least:g}"
        yield Finding("ranking", f"{model} top heads", 1.0, overlap, overlap >= least - 1e-9, text)
        agreement = spearman(first, second)
        least = tolerances["ranking_correlation"]
        text = f"rank correlation of all heads, at least {least:g}"
        yield Finding("ranking", f"{model} all heads", 1.0, agreement, agreement >= least - 1e-9, text)


def _speed(now: dict[str, float], before: dict[str, float], tolerances: dict[str, Any]) -> Iterator[Finding]:
    for name, old in before.items():
        if name not in now:
            yield Finding("speed", name, old, None, False, "the measurement is missing")
            continue
        least = tolerances["speed_ratio"] * old
        text = f"prefill speedup over dense of the same run, at least {least:.2f}"
        yield Finding("speed", name, old, now[name], now[name] >= least - 1e-9, text)


def _heads(run: RunFolder) -> Iterator[tuple[str, list[list[float]]]]:
    for model in run.config["models"]:
        path = run.heads_path(model["name"])
        if path.exists():
            yield model["name"], HeadProfile.load(path).mean.tolist()


def _speeds(run: RunFolder) -> dict[str, float]:
    """Prefill speedup by cell name."""
    return {
        row["cells"][0]: round(row["prefill_speedup"], 4)
        for row in build_rows(run)
        if row["prefill_speedup"] is not None and row["patch"] != "none"
    }


def _mean(values: Any) -> float:
    numbers = [float(value) for value in values]
    return sum(numbers) / len(numbers)
