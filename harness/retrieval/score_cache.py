"""Scores of single records on disk, so that an interrupted job goes on where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from coreheads.errors import UserError
from coreheads.files import append_jsonl, cut_half_line, read_jsonl
from coreheads.heads.schema import Matrix

Scores = npt.NDArray[np.float32]


class ScoredLine(TypedDict):
    """A line of the file that keeps the scores of single records."""

    schema_version: int
    key: str
    """SHA-256 (hex) of what the record asks and shows, of the model's state, and of all else that changes a score."""
    record: str
    scores: Matrix


class ScoreCache:
    """Scores by key, each line of the file one; without a file it keeps nothing.

    Raises:
        UserError: the file holds something else.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._known: dict[str, Scores] = {}
        if path is not None and path.exists():
            cut_half_line(path)
            try:
                lines = read_jsonl(path)
                self._known = {line["key"]: np.array(line["scores"], dtype=np.float32) for line in lines}
            except (TypeError, KeyError, ValueError):
                reason = "a line has no key or scores, expected head scores; delete the file"
                raise UserError(f"{path}: {reason}") from None

    def get(self, key: str) -> Scores | None:
        """The scores [layers, heads], None where there are none."""
        return self._known.get(key)

    def keep(self, key: str, record: str, scores: Scores) -> None:
        """Append the scores of a record."""
        if self.path is not None:
            self._known[key] = scores
            # the shortest decimal that reads back as the same float32
            rows = [[float(str(value)) for value in row] for row in scores]
            line: ScoredLine = {"schema_version": 1, "key": key, "record": record, "scores": rows}
            append_jsonl(self.path, line)
