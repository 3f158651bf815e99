"""A cell's samples on disk, one line each, written as soon as they are known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from coreheads.errors import UserError
from coreheads.files import append_jsonl, cut_half_line, read_jsonl, sync_file, write_errors
from coreheads.private import private
from coreheads.store.schema import SCHEMA_VERSION, By, Counts, SampleRecord, UnscoredRecord
from coreheads.store.validation import checked


class SampleFile:
    """``samples/<cell>.jsonl``: what a run has, and where it puts what it gets.

    A sample may be scored after it could not be: the later line counts. The file of a killed run may end in half a
    line, which is cut off before anything is appended; reading changes nothing.

    Attributes:
        samples: What is scored, by record id.
        unscored: Reasons of what cannot be scored, by record id.
        refused: Those of the model among them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.samples: dict[str, SampleRecord] = {}
        self.unscored: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self._whole = False
        self._synced = True
        for number, line in enumerate(read_jsonl(path, within=path.parents[1]), 1):
            self._note(_checked(line, f"{path}: line {number}"))
        self._written = dict(self.unscored)

    def __len__(self) -> int:
        return len(self.samples) + len(self.unscored)

    def __contains__(self, record_id: object) -> bool:
        return record_id in self.samples or record_id in self.unscored

    def lacking(self, scored: int, unscored: int) -> str | None:
        """What is missing of so many samples, in words; a cell that is asked again may have more that are scored."""
        if len(self.samples) >= scored and len(self) >= scored + unscored:
            return None
        there = [f"{len(self.samples) or 'no'} sample{'s' * (len(self.samples) > 1)}", f"{len(self.unscored)} unscored"]
        said = [str(scored), f"{unscored} unscored"]
        count = 2 if unscored else 1
        return f"has {' and '.join(there[:count])}, cells.jsonl says that there are {' and '.join(said[:count])}"

    def ask_again(self) -> None:
        """Forget which samples' data could not be used; the file keeps that until it changes."""
        self.unscored = dict(self.refused)

    def leave_out(self, record_id: str, reason: str, by: By = "data") -> None:
        """Append a sample that cannot be scored, once for each reason."""
        if record_id in self:
            return
        line: UnscoredRecord = {
            "schema_version": SCHEMA_VERSION,
            "record_id": record_id,
            "unscored": private(reason),
            "by": by,
        }
        if self._written.get(record_id) != line["unscored"]:
            self._append(line)
            self._written[record_id] = line["unscored"]
        self._note(line)

    def sync(self) -> None:
        """Have on disk what was appended, as it must be before the next batch starts."""
        if not self._synced:
            with write_errors(self.path):
                sync_file(self.path)
            self._synced = True

    def _note(self, line: SampleRecord | UnscoredRecord) -> None:
        """In place of what an earlier line said of a record that could not be scored; a scored one has no other."""
        record_id = line["record_id"]
        if record_id in self.samples:
            raise UserError(f"{self.path}: record_id {record_id!r} is there twice, expected once")
        self.unscored.pop(record_id, None)
        self.refused.pop(record_id, None)
        if "unscored" in line:
            refused = cast(UnscoredRecord, line)
            self.unscored[record_id] = private(refused["unscored"])  # an older version stored it as it was
            if refused.get("by") == "model":
                self.refused[record_id] = self.unscored[record_id]
        else:
            self.samples[record_id] = line

    def take(self, line: object) -> None:
        """Append a line of this cell that another process has made, on disk after `sync`. UserError where it is none,
        or its record is scored already."""
        record = _checked(line, f"{self.path}: a worker's line")
        if record["record_id"] in self.samples:
            raise UserError(f"{self.path}: record {record['record_id']!r} was evaluated twice")
        self._append(record)
        self._note(record)

    def _append(self, line: SampleRecord | UnscoredRecord) -> None:
        with write_errors(self.path):
            if not self._whole and self.path.exists():
                cut_half_line(self.path)
            self._whole = True
            append_jsonl(self.path, line, sync=False)
        self._synced = False

    def add(
        self,
        record_id: str,
        response: str,
        score: float,
        scores: dict[str, float],
        prompt_tokens: int,
        group: str | None = None,
        margin: float | None = None,
        counts: Mapping[str, float] | None = None,
    ) -> None:
        """Append one sample, on disk after `sync`. A record that is there raises ValueError: none is done twice."""
        if record_id in self:
            raise ValueError(f"{self.path}: record {record_id!r} was evaluated twice")
        line: SampleRecord = {
            "schema_version": SCHEMA_VERSION,
            "record_id": record_id,
            "response": response,
            "score": score,
            "scores": scores,
            "prompt_tokens": prompt_tokens,
            "margin": None if margin is None or not math.isfinite(margin) else float(f"{margin:.4g}"),
        }
        line |= cast(Counts, {name: float(f"{value:.6g}") for name, value in (counts or {}).items()})  # type: ignore[typeddict-item]
        if group is not None:
            line["group"] = group
        self._append(line)
        self._note(line)


def _checked(line: object, where: str) -> SampleRecord | UnscoredRecord:
    kind: type[Any] = UnscoredRecord if isinstance(line, dict) and "unscored" in line else SampleRecord
    record: SampleRecord | UnscoredRecord = checked(kind, line, where, "a sample")
    return record
