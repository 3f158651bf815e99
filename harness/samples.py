"""A cell's samples on disk, one line each, written as soon as they are known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from coreheads.errors import UserError
from coreheads.files import append_jsonl, cut_half_line, read_jsonl

SCHEMA_VERSION = 1


class SampleFile:
    """``samples/<cell>.jsonl``: what a run has, and where it puts what it gets.

    A line: schema_version, record_id, response, score (the main metric), scores (all metrics), prompt_tokens, margin
    (see ``coreheads.adapters.generation.Generation``; null where it is no number), and group where the task's score is
    a mean over groups; of a sample that cannot be scored: schema_version, record_id,
    unscored (the reason). ``samples`` holds the former by record id, ``unscored`` the reasons of the latter. A sample
    may be scored after it could not be: the later line counts. The file of a killed run may end in half a line, which
    is cut off before anything is appended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.samples: dict[str, dict[str, Any]] = {}
        self.unscored: dict[str, str] = {}
        if path.exists():
            cut_half_line(path)
            for line in read_jsonl(path):
                _check(path, line)
                if line["record_id"] in self.samples:
                    raise UserError(f"{path}: record_id {line['record_id']!r} is there twice, expected once")
                if "unscored" in line:
                    self.unscored[line["record_id"]] = str(line["unscored"])
                else:
                    self.samples[line["record_id"]] = line
                    self.unscored.pop(line["record_id"], None)
        self._written = dict(self.unscored)

    def __len__(self) -> int:
        return len(self.samples) + len(self.unscored)

    def __contains__(self, record_id: object) -> bool:
        return record_id in self.samples or record_id in self.unscored

    def ask_again(self) -> None:
        """Forget which samples could not be scored; the file keeps that until it changes."""
        self.unscored.clear()

    def leave_out(self, record_id: str, reason: str) -> None:
        """Append a sample that cannot be scored, once for each reason."""
        if record_id in self:
            return
        if self._written.get(record_id) != reason:
            append_jsonl(self.path, {"schema_version": SCHEMA_VERSION, "record_id": record_id, "unscored": reason})
            self._written[record_id] = reason
        self.unscored[record_id] = reason

    def add(
        self,
        record_id: str,
        response: str,
        score: float,
        scores: dict[str, float],
        prompt_tokens: int,
        group: str | None = None,
        margin: float | None = None,
    ) -> None:
        """Append one sample and flush it. A record that is already there raises ValueError: nothing is done twice."""
        if record_id in self:
            raise ValueError(f"{self.path}: record {record_id!r} was evaluated twice")
        line = {
            "schema_version": SCHEMA_VERSION,
            "record_id": record_id,
            "response": response,
            "score": score,
            "scores": scores,
            "prompt_tokens": prompt_tokens,
            "margin": None if margin is None or not math.isfinite(margin) else float(f"{margin:.4g}"),
            **({} if group is None else {"group": group}),
        }
        append_jsonl(self.path, line)
        self.samples[record_id] = line


def _check(path: Path, line: Any) -> None:
    if not isinstance(line, dict) or not isinstance(line.get("record_id"), str):
        raise UserError(f"{path}: a line has no record_id, expected samples written by coreheads run")
    if line.get("schema_version") != SCHEMA_VERSION:
        raise UserError(
            f"{path}: schema_version is {line.get('schema_version')!r}, this version reads {SCHEMA_VERSION}"
        )
    if "unscored" in line:
        return
    if not isinstance(line.get("score"), int | float) or not isinstance(line.get("response"), str):
        raise UserError(f"{path}: record {line['record_id']!r} has no score or response")
