"""What a run is judged by, as a file: scores and answers by sample, heads, relative speeds, with tolerances."""

from __future__ import annotations

import hashlib
import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from coreheads import limits
from coreheads.check.tolerances import Section, Tolerances
from coreheads.errors import UserError, nearest
from coreheads.files import read_json, write_text
from coreheads.heads.schema import to_text
from coreheads.heads.selections import explicit
from coreheads.heads.types import Heads
from coreheads.store.provenance import MadeFrom
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


class AskedRecord(Section):
    """What a cell was to do. Fields that its name says are not here."""

    model: str
    """Its name in the run."""
    selection: str | None = None
    fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    head_score: str | None = None
    """Name of the head score that picked the heads; null is RAM."""
    seed: int | None = None
    """Of a draw."""
    limit: int | None = None
    """Samples; null is all."""
    heads: tuple[Annotated[str, Field(pattern=r"^L\d{1,6}H\d{1,6}$")], ...] = ()
    """The patched ones: L2H5 is head 5 of layer 2, both from 0."""
    unscored: tuple[str, ...] = ()
    """Records that could not be scored; with the samples all that were asked."""

    @property
    def chosen(self) -> Heads:
        return explicit(self.heads) if self.heads else frozenset()


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
    asked: AskedRecord | None = None
    """Null in baselines of versions that did not know it."""
    samples: Annotated[dict[str, tuple[float, str | None, float | None]], Field(min_length=1)]
    """By record id: score, response (see ``abbreviated``; null: published without), margin of the first token in logits
    (null: unknown)."""


class Baseline(Section):
    """The whole file."""

    schema_version: Literal[2] = 2
    made_by: str = ""
    """The run's command."""
    versions: dict[str, str | None] = Field(default_factory=dict)
    """Of packages; null for those that were not installed."""
    tolerances: Tolerances = Tolerances()
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """Of the run's configuration, what changes a score, by dotted path; empty in baselines of older versions."""
    made_from: MadeFrom | None = None
    """What its checkpoints and records held, null where the run does not say it."""
    heads: dict[str, HeadsRecord] = Field(default_factory=dict)
    """By model and head score, as ``profile_name`` calls them."""
    cells: Annotated[dict[str, CellRecord], Field(min_length=1)]
    """By cell name."""


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
    if not any(answer for cell in baseline.cells.values() for _, answer, _ in cell.samples.values()):
        baseline = _without_answers(baseline)
    names = [*baseline.cells, *(cell.condition for cell in baseline.cells.values())]
    for pattern in baseline.tolerances.cells:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UserError(
                f"{path}: tolerances.cells names {pattern!r}, which no cell of the baseline is called"
                f"{nearest(pattern, names)}, expected a cell's name or a pattern such as *__hybrid*"
            )
    return baseline


def _without_answers(baseline: Baseline) -> Baseline:
    """A baseline of an older version, of a run that was published without responses: an empty text is not known to be
    an answer."""
    cells = {
        name: cell.model_copy(
            update={"samples": {key: (score, None, m) for key, (score, _, m) in cell.samples.items()}}
        )
        for name, cell in baseline.cells.items()
    }
    return baseline.model_copy(update={"cells": cells})


def save_baseline(path: Path, baseline: Baseline) -> None:
    """Write it so that a sample and a layer take a line each, and a diff can be read."""
    write_text(path, to_text(baseline.model_dump(mode="json")))
