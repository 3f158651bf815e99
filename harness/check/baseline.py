"""What a run is judged by: its scores and answers by sample, its heads, its relative speeds, with tolerances.

A baseline is such a snapshot in a file that is kept in version control; ``coreheads check`` takes another one of the
run at hand and compares.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from coreheads.config.cells import Cell
from coreheads.errors import UserError, nearest
from coreheads.files import read_json, write_text
from coreheads.heads.profile import HeadProfile
from coreheads.heads.schema import to_text
from coreheads.retrieval.fingerprint import records_hash
from coreheads.store.folder import RunFolder
from coreheads.timing.speedup import measured_together, patched_speed
from coreheads.validation import validating

SCHEMA_VERSION = 2

LONGEST = 300
"""Characters of a response that a baseline keeps; of a longer one its beginning and a fingerprint of all."""

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(ge=0)]
Row = Annotated[tuple[float, ...], Field(min_length=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class CellTolerances(_Section):
    """What one cell, or all whose names match a pattern, may do differently; null: as the others."""

    score_drop: Positive | None = None
    near_tie: Positive | None = None
    noise: Share | None = None
    kv_ratio: Positive | None = None
    speed_kept: Share | None = None
    speed_ratio: Share | None = None


class Tolerances(_Section):
    """How far a run may fall behind its baseline. Kept when a baseline is made anew; edit them in its file."""

    score_drop: Positive = 0.02
    """How far a mean score may fall, in the units of the task's score."""
    near_tie: Positive = 0.05
    """An answer that changed is a near-tie where the baseline's margin of its first token (logits) is at most this: it
    is shown and does not count, because another processor's rounding may tip it. Where many more of a cell's near-ties
    got worse than better, they count all the same."""
    noise: Share = 0.0005
    """The share of samples that rounding may make worse besides near-ties. A cell fails only where so many got worse
    that this would be unlikely."""
    alpha: Annotated[float, Field(gt=0, le=1)] = 0.01
    """How often a run that is as good as its baseline may fail: the level of the tests, Holm-corrected over all cells,
    and of those of the heads' layers."""
    ranking_fraction: Annotated[float, Field(gt=0, le=1)] = 0.05
    ranking_overlap: Share = 0.8
    """Least Jaccard overlap of the top ``ranking_fraction`` of a model's heads; a head that has fallen out by less than
    its interval allows still counts as one of them."""
    ranking_correlation: Annotated[float, Field(ge=-1, le=1)] = 0.7
    """Least rank correlation of all heads of a model."""
    layer_correlation: Annotated[float, Field(ge=-1, le=1)] = 0.8
    """Least rank correlation of the heads of one layer, where they moved beyond their intervals."""
    kv_ratio: Positive = 0.02
    """How far the share of KV bytes that are kept may rise."""
    speed_kept: Share = 0.4
    """The part of the baseline's gain in prefill speed (its speedup less 1) that must be left; where it had none,
    nothing is asked of it."""
    speed_ratio: Share = 0.6
    """The part of the baseline's prefill speedup that must be left. Both only where the two intervals lie apart."""
    cells: dict[str, CellTolerances] = {}
    """By cell name or pattern (``*__hybrid*``), tolerances that differ; of several that match, the last counts."""

    def of(self, cell: str) -> Tolerances:
        """The tolerances of a cell."""
        found: dict[str, Any] = {}
        for pattern, own in self.cells.items():
            if fnmatchcase(cell, pattern):
                found |= own.model_dump(exclude_none=True)
        return self.model_copy(update=found)


class SpeedRecord(_Section):
    """Prefill speedup over dense of the same run, with its 95 % interval."""

    speedup: Annotated[float, Field(gt=0)]
    low: Annotated[float, Field(gt=0)]
    high: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _ordered(self) -> SpeedRecord:
        if self.low > self.high:
            raise ValueError(f"low is {self.low:g} and high {self.high:g}, expected an interval")
        return self


class HeadsRecord(_Section):
    """RAM of every head, [layers][heads], with its 95 % interval. records: a hash of the samples that were asked, null
    where it is not known: on the same samples heads can move by rounding only."""

    mean: Annotated[tuple[Row, ...], Field(min_length=1)]
    ci_low: Annotated[tuple[Row, ...], Field(min_length=1)]
    ci_high: Annotated[tuple[Row, ...], Field(min_length=1)]
    records: str | None = None

    @model_validator(mode="after")
    def _matrices(self) -> HeadsRecord:
        shapes = [[len(row) for row in matrix] for matrix in (self.mean, self.ci_low, self.ci_high)]
        if shapes[0] != shapes[1] or shapes[0] != shapes[2] or len(set(shapes[0])) > 1:
            raise ValueError("mean, ci_low and ci_high differ in shape, expected [layers][heads] of one size")
        return self


class CellRecord(_Section):
    """A cell. condition: its name without task and draw: cells of one condition are also judged together. samples:
    by record id, (score, response, margin of the first token or null)."""

    condition: str
    metric: str
    variant: str | None = None
    aggregates: dict[str, float] = {}
    kv_bytes_ratio: float | None = None
    speed: SpeedRecord | None = None
    samples: Annotated[dict[str, tuple[float, str, float | None]], Field(min_length=1)]


class Baseline(_Section):
    schema_version: Literal[2] = 2
    made_by: str = ""
    versions: dict[str, str | None] = {}
    tolerances: Tolerances = Tolerances()
    heads: dict[str, HeadsRecord] = {}
    cells: Annotated[dict[str, CellRecord], Field(min_length=1)]


def snapshot(run: RunFolder, tolerances: Tolerances | None = None) -> Baseline:
    """What a run is compared by. tolerances: None is the usual ones.

    Raises UserError where the run has no finished cell with a scored sample.
    """
    timings = run.timings()
    cells = {}
    for name, record in run.cells().items():
        samples = run.samples(name).samples
        if not samples:
            continue  # a draw of which no sample could be scored
        cell, kept = Cell.from_json(record["cell"]), record.get("kv_bytes_ratio")
        cells[name] = CellRecord(
            condition=condition(cell),
            metric=record["metric"],
            variant=record.get("variant"),
            aggregates={key: _short(value) for key, value in (record.get("aggregates") or {}).items()},
            kv_bytes_ratio=None if kept is None else _short(kept),
            speed=_speed(measured_together(cell, timings).get(name)),
            samples={
                key: (round(float(line["score"]), 6), abbreviated(line["response"]), line.get("margin"))
                for key, line in samples.items()
            },
        )
    if not cells:
        raise UserError(f"{run.path}: no finished cell, nothing to compare with")
    session = run.manifest["invocations"][-1]
    return Baseline(
        made_by=session["command"],
        versions=session["versions"],
        tolerances=tolerances or Tolerances(),
        heads=_heads(run),
        cells=cells,
    )


def condition(cell: Cell) -> str:
    """What the model was made into, as text: equal for all tasks, and for all draws of one control."""
    return replace(cell, task="all", draw=None).name


def abbreviated(response: str) -> str:
    """A response as a baseline keeps it; equal for equal responses only."""
    if len(response) <= LONGEST:
        return response
    digest = hashlib.sha256(response.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{response[:LONGEST]} ... ({len(response):,} characters, {digest})"


def load_baseline(path: str | Path) -> Baseline:
    """A baseline file; UserError with one line a fault where it is none, or of another schema."""
    data = read_json(path)
    if not isinstance(data, dict) or not isinstance(data.get("cells"), dict):
        raise UserError(f"{path}: has no cells, expected a baseline made by coreheads check --update")
    if (version := data.get("schema_version")) != SCHEMA_VERSION:
        raise UserError(
            f"{path}: schema_version is {version!r}, this version reads {SCHEMA_VERSION}; make the baseline anew with "
            "coreheads check RUN --update under another name and carry your tolerances over"
        )
    with validating(Baseline, path):
        baseline = Baseline.model_validate_json(json.dumps(data))  # in JSON a list may stand for a tuple
    names = [*baseline.cells, *(cell.condition for cell in baseline.cells.values())]
    for pattern in baseline.tolerances.cells:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UserError(
                f"{path}: tolerances.cells names {pattern!r}, which no cell of the baseline is called"
                f"{nearest(pattern, names)}, expected a cell's name or a pattern such as *__hybrid*"
            )
    return baseline


def save_baseline(path: Path, baseline: Baseline) -> None:
    """Write it so that a sample and a layer take a line each, and a diff can be read."""
    write_text(path, to_text(baseline.model_dump(mode="json")))


def _speed(timing: dict[str, Any] | None) -> SpeedRecord | None:
    if timing is None:
        return None
    fields = patched_speed(timing)
    low, high = fields["prefill_speedup_ci"]
    return SpeedRecord(speedup=_short(fields["prefill_speedup"]), low=_short(low), high=_short(high))


def _heads(run: RunFolder) -> dict[str, HeadsRecord]:
    found = {}
    for model in run.config["models"]:
        path = run.heads_path(model["name"])
        if path.exists():
            profile = HeadProfile.load(path)
            hashes = [task["records_hash"] for task in profile.tasks.values()]
            found[model["name"]] = HeadsRecord(
                records=records_hash(hashes) if hashes else None,
                **{
                    name: tuple(tuple(_short(value) for value in row) for row in getattr(profile, name).tolist())
                    for name in ("mean", "ci_low", "ci_high")
                },
            )
    return found


def _short(value: float) -> float:
    return float(f"{value:.5g}")
