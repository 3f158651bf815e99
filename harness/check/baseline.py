"""What a run is judged by, as a file: scores and answers by sample, heads, relative speeds, with tolerances."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from coreheads import limits
from coreheads.check.tolerances import Section, Tolerances
from coreheads.config.cells import Cell
from coreheads.errors import UserError, nearest
from coreheads.files import read_json, write_text
from coreheads.heads.profile import Scores
from coreheads.heads.schema import to_text
from coreheads.retrieval.fingerprint import records_hash
from coreheads.stats.bootstrap import ratio_of_medians_ci
from coreheads.store.folder import RunFolder
from coreheads.store.schema import TimingRecord
from coreheads.timing.speedup import measured_together
from coreheads.validation import validating

SCHEMA_VERSION = 2

LONGEST = 300
"""Characters of a response that a baseline keeps; of a longer one its beginning and a fingerprint of all."""

Ratio = Annotated[float, Field(gt=0)]
Row = Annotated[tuple[float, ...], Field(min_length=1)]
Matrix = Annotated[tuple[Row, ...], Field(min_length=1)]


class SpeedRecord(Section):
    """Prefill speedup over dense of the same run, with its 95 % interval."""

    speedup: Ratio
    low: Ratio
    high: Ratio

    @model_validator(mode="after")
    def _ordered(self) -> SpeedRecord:
        if self.low > self.high:
            raise ValueError(f"low is {self.low:g} and high {self.high:g}, expected an interval")
        return self


class HeadsRecord(Section):
    """Score of every head, [layers][heads], with its 95 % interval."""

    mean: Matrix
    ci_low: Matrix
    ci_high: Matrix
    records: str | None = None
    """A hash of the samples that were asked, null where it is not known: on the same samples heads can move by rounding
    only."""

    @model_validator(mode="after")
    def _matrices(self) -> HeadsRecord:
        matrices = (self.mean, self.ci_low, self.ci_high)
        if len({len(matrix) for matrix in matrices}) > 1 or len({len(row) for m in matrices for row in m}) > 1:
            raise ValueError("mean, ci_low and ci_high differ in shape, expected [layers][heads] of one size")
        return self


class CellRecord(Section):
    """A cell of the run."""

    condition: str
    """Its name without task and draw: cells of one condition are also judged together."""
    metric: str
    variant: str | None = None
    """How the task was scored, where there is a choice."""
    aggregates: dict[str, float] = Field(default_factory=dict)
    """Scores of the whole set that are no means, by name."""
    kv_bytes_ratio: float | None = None
    """KV bytes that are kept over those of dense; null where unknown."""
    speed: SpeedRecord | None = None
    """Null where it was not timed."""
    samples: Annotated[dict[str, tuple[float, str, float | None]], Field(min_length=1)]
    """By record id: score, response (see ``abbreviated``), margin of the first token in logits (null: unknown)."""


class Baseline(Section):
    """The whole file."""

    schema_version: Literal[2] = 2
    made_by: str = ""
    """The run's command."""
    versions: dict[str, str | None] = Field(default_factory=dict)
    """Of packages; null for those that were not installed."""
    tolerances: Tolerances = Tolerances()
    heads: dict[str, HeadsRecord] = Field(default_factory=dict)
    """By model."""
    cells: Annotated[dict[str, CellRecord], Field(min_length=1)]
    """By cell name."""


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
        timing = measured_together(cell, timings).get(name)
        cells[name] = CellRecord(
            condition=condition(cell),
            metric=record["metric"],
            variant=record.get("variant"),
            aggregates={key: _short(value) for key, value in (record.get("aggregates") or {}).items()},
            kv_bytes_ratio=None if kept is None else _short(kept),
            speed=None if timing is None else _speed(timing),
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
    data = read_json(path, limits.LINES_BYTES)
    if not isinstance(data, dict) or not isinstance(data.get("cells"), dict):
        raise UserError(f"{path}: has no cells, expected a baseline made by coreheads check --update")
    if (version := data.get("schema_version")) != SCHEMA_VERSION or isinstance(version, bool):
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


def _speed(timing: TimingRecord) -> SpeedRecord:
    times = timing["times"]
    speedup, low, high = ratio_of_medians_ci(times["dense"]["prefill"], times["patched"]["prefill"])
    return SpeedRecord(speedup=_short(speedup), low=_short(low), high=_short(high))


def _heads(run: RunFolder) -> dict[str, HeadsRecord]:
    records = {}
    for model in run.config["models"]:
        profile = run.profile(model["name"])
        if profile is not None:
            hashes = [task["records_hash"] for task in profile.tasks.values()]
            records[model["name"]] = HeadsRecord(
                mean=_matrix(profile.mean),
                ci_low=_matrix(profile.ci_low),
                ci_high=_matrix(profile.ci_high),
                records=records_hash(hashes) if hashes else None,
            )
    return records


def _matrix(scores: Scores) -> Matrix:
    return tuple(tuple(_short(value) for value in row) for row in scores.tolist())


def _short(value: float) -> float:
    return float(f"{value:.5g}")
