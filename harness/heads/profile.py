"""A head profile: the score of every head over a data set, with its uncertainty and where it comes from."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coreheads.errors import UserError
from coreheads.files import read_json, write_text
from coreheads.heads import schema, selections
from coreheads.heads.ranking import order
from coreheads.heads.schema import ModelIdentity, Normalization, ProfileRecord, Provenance, TaskRecord
from coreheads.heads.types import Head, Heads

Scores = npt.NDArray[np.float64]

_MUST_MATCH = ("model_type", "layers", "heads", "kv_heads")


@dataclass(frozen=True, eq=False)
class HeadProfile:
    """Scores of all heads of one model's language model.

    mean, ci_low, ci_high: read-only float64 [layers, heads]; the mean over tasks of the tasks' means over
        their samples, and its 95 % bootstrap interval.
    split_half: see :func:`coreheads.heads.ranking.split_half_correlation`.
    source: the file it was loaded from, for error messages.
    The other fields are those of :class:`coreheads.heads.schema.ProfileRecord`.
    """

    model: ModelIdentity
    mean: Scores
    ci_low: Scores
    ci_high: Scores
    tasks: Mapping[str, TaskRecord] = field(default_factory=dict)
    score: str = "ram"
    normalization: Normalization | None = None
    split_half: float | None = None
    provenance: Provenance = field(default_factory=Provenance)
    source: str = "head profile"

    def __post_init__(self) -> None:
        for name in ("mean", "ci_low", "ci_high"):
            array = np.array(getattr(self, name), dtype=np.float64)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        schema.check(self.to_dict(), self.source)

    @classmethod
    def load(cls, path: str | Path) -> HeadProfile:
        """Read heads.json; UserError naming the file and the field for anything that is missing or malformed."""
        return cls.from_dict(read_json(path), str(path))

    @classmethod
    def from_dict(cls, data: Any, source: str = "head profile") -> HeadProfile:
        """What ``json.load`` gives for heads.json; ``source`` names it in errors."""
        kept: dict[str, Any] = {k: v for k, v in schema.check(data, source).items() if k in cls.__dataclass_fields__}
        return cls(**kept, source=source)

    def to_dict(self) -> ProfileRecord:
        """As in heads.json: plain JSON values."""
        return {
            "schema_version": schema.SCHEMA_VERSION,
            "model": self.model.copy(),
            "score": self.score,
            "normalization": self.normalization,
            "split_half": self.split_half,
            "provenance": self.provenance.copy(),
            "mean": self.mean.tolist(),
            "ci_low": self.ci_low.tolist(),
            "ci_high": self.ci_high.tolist(),
            "tasks": {name: task.copy() for name, task in self.tasks.items()},
        }

    def save(self, path: str | Path) -> Path:
        """Write heads.json at once, or not at all; numbers are kept to the last digit."""
        return write_text(path, schema.to_text(self.to_dict()))

    @property
    def shape(self) -> tuple[int, int]:
        """(layers, query heads of a layer)."""
        return self.mean.shape[0], self.mean.shape[1]

    @property
    def count(self) -> int:
        """Number of heads of the language model."""
        return self.mean.size

    @property
    def samples(self) -> int:
        """Number of samples over all tasks."""
        return sum(task["n"] for task in self.tasks.values())

    def top(self, fraction: float) -> Heads:
        """The ``max(1, round(fraction * count))`` highest heads; equal ones by (layer, head)."""
        return selections.top(self.mean, fraction)

    def bottom(self, fraction: float) -> Heads:
        """As many of the lowest heads; shares none with :meth:`top` while both are at most half."""
        return selections.bottom(self.mean, fraction)

    def random(self, fraction: float, *, seed: int) -> Heads:
        """As many heads drawn uniformly from all."""
        return selections.random(self.shape, fraction, seed)

    def layer_matched(self, heads: Heads, *, seed: int) -> Heads:
        """Random heads with the same number in every layer as ``heads``, other heads where there are enough."""
        return selections.layer_matched(self.shape, heads, seed)

    def ranking(self) -> list[Head]:
        """All heads, highest first."""
        return [(int(index) // self.shape[1], int(index) % self.shape[1]) for index in order(self.mean)]

    def share(self, heads: Heads) -> float:
        """What part of the sum of all heads' scores these heads hold, 0 to 1 (0 where the sum is not positive)."""
        total = float(self.mean.sum())
        return sum(float(self.mean[head]) for head in sorted(heads)) / total if total > 0 else 0.0

    def check_model(self, described: Mapping[str, Any]) -> None:
        """Raise UserError when ``described`` (an adapter's ``describe()``) has another architecture.

        The id may differ, because a fine-tuned or moved checkpoint may use the heads of its origin; a warning says so.
        """
        for key in _MUST_MATCH:
            own, other = self.model.get(key), described.get(key)
            if own != other:
                raise UserError(
                    f"{self.source}: model.{key} is {own!r}, but {described.get('id', 'the model')} "
                    f"has {other!r}: the profile belongs to another model"
                )
        origin, user = self.model["id"], str(described.get("id"))
        if Path(origin).name != Path(user).name:
            warnings.warn(f"{self.source}: these heads were found on {origin}, and are used on {user}", stacklevel=2)
