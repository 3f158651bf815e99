"""A head profile: the score of every head over a data set, with its uncertainty and where it comes from."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coreheads import limits
from coreheads.errors import UserError
from coreheads.files import read_json, write_text
from coreheads.hashing.contents import changed_parts
from coreheads.heads import schema, selections
from coreheads.heads.ranking import ClearTop, clear_top, order
from coreheads.heads.schema import ModelIdentity, Normalization, ProfileRecord, Provenance, TaskRecord
from coreheads.heads.types import Head, Heads

Scores = npt.NDArray[np.float64]

_MUST_MATCH = ("model_type", "layers", "heads", "kv_heads")


@dataclass(frozen=True, eq=False)
class HeadProfile:
    """Scores of all heads of one model's language model, as heads.json stores them.

    Attributes:
        model: What identifies the model, and its shape.
        mean: Read-only float64 [layers, heads], the mean over tasks of the tasks' means over their samples.
        ci_low: Likewise, the lower end of the 95 % bootstrap interval of ``mean``; None, as is ``ci_high``, where the
            score is one of all samples together, so that none are there to draw from.
        ci_high: Likewise, the upper end.
        tasks: By name, the samples that were scored and the task's own means.
        score: Name of the head score.
        normalization: Of RAM, see ``retrieval_attention_mass``.
        split_half: Rank correlation of the leading heads between random halves of the samples, -1 to 1; None where
            there is none.
        provenance: Versions, seed, device and command that it was made with.
        split_half_shared: At place k - 1, the share of the top k heads that random halves of the samples have in
            common; None where there is none, as in older files.
        source: The file it was loaded from, for error messages.
    """

    model: ModelIdentity
    mean: Scores
    ci_low: Scores | None
    ci_high: Scores | None
    tasks: Mapping[str, TaskRecord] = field(default_factory=dict)
    score: str = "ram"
    normalization: Normalization | None = None
    split_half: float | None = None
    provenance: Provenance = field(default_factory=Provenance)
    split_half_shared: Sequence[float] | None = None
    source: str = "head profile"

    def __post_init__(self) -> None:
        for name in ("mean", "ci_low", "ci_high"):
            if getattr(self, name) is None:
                continue
            array = np.array(getattr(self, name), dtype=np.float64)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        schema.check(self.to_dict(), self.source)

    @classmethod
    def load(cls, path: str | Path, within: Path | None = None) -> HeadProfile:
        """Read heads.json.

        Args:
            path: The file.
            within: The run folder that it lies in: no link is followed below it.

        Returns:
            The profile, with the path as its ``source``.

        Raises:
            UserError: Naming the file and the field, for anything that is missing or malformed.
        """
        return cls.from_dict(read_json(path, limits.STORED_BYTES, within), str(path))

    @classmethod
    def from_dict(cls, data: Any, source: str = "head profile") -> HeadProfile:
        """The profile of what ``json.load`` gives for heads.json.

        Args:
            data: The parsed JSON.
            source: What to call it in error messages.

        Raises:
            UserError: Naming the source and the field, for anything that is missing or malformed.
        """
        kept: dict[str, Any] = {k: v for k, v in schema.check(data, source).items() if k in cls.__dataclass_fields__}
        return cls(**kept, source=source)

    def to_dict(self) -> ProfileRecord:
        """As in heads.json: plain JSON values."""
        record: ProfileRecord = {
            "schema_version": schema.SCHEMA_VERSION,
            "model": self.model.copy(),
            "score": self.score,
            "normalization": self.normalization,
            "split_half": self.split_half,
            "provenance": self.provenance.copy(),
            "mean": self.mean.tolist(),
            "ci_low": None if self.ci_low is None else self.ci_low.tolist(),
            "ci_high": None if self.ci_high is None else self.ci_high.tolist(),
            "tasks": {name: task.copy() for name, task in self.tasks.items()},
        }
        if self.split_half_shared is not None:
            record["split_half_shared"] = list(self.split_half_shared)
        return record

    def save(self, path: str | Path) -> Path:
        """Write heads.json at once, or not at all; numbers are kept to the last digit.

        Args:
            path: The file; its folder is made.

        Returns:
            The path.
        """
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
        """The highest heads.

        Args:
            fraction: Of all heads, above 0 to 1: ``max(1, round(fraction * count))`` heads.

        Returns:
            (layer, head) pairs; of equal scores the lower pair is first.

        Raises:
            UserError: ``fraction`` is not above 0 and at most 1.
        """
        return selections.top(self.mean, fraction)

    def bottom(self, fraction: float) -> Heads:
        """The lowest heads; shares none with ``top`` while both are at most half.

        Args:
            fraction: Of all heads, as for ``top``.

        Returns:
            (layer, head) pairs.
        """
        return selections.bottom(self.mean, fraction)

    def random(self, fraction: float, *, seed: int) -> Heads:
        """Heads drawn uniformly from all, without replacement.

        Args:
            fraction: Of all heads, as for ``top``.
            seed: Of the draw.

        Returns:
            (layer, head) pairs.
        """
        return selections.random(self.shape, fraction, seed)

    def layer_matched(self, heads: Heads, *, seed: int) -> Heads:
        """Random heads, in every layer as many as ``heads`` has there.

        Args:
            heads: (layer, head) pairs whose numbers per layer are matched.
            seed: Of the draw.

        Returns:
            (layer, head) pairs, none of ``heads`` in a layer that has enough others.

        Raises:
            UserError: ``heads`` is empty, or one lies outside the model.
        """
        return selections.layer_matched(self.shape, heads, seed)

    def ranking(self) -> list[Head]:
        """All (layer, head) pairs, highest score first."""
        return [(int(index) // self.shape[1], int(index) % self.shape[1]) for index in order(self.mean)]

    def clear_top(self) -> ClearTop | None:
        """The leading heads that stand clear of the rest (``ranking.clear_top``); None too where one sample is all, and
        where there are no intervals."""
        alone = any(task["n"] < 2 for task in self.tasks.values())  # whose interval has no width
        if alone or self.ci_low is None or self.ci_high is None:
            return None
        return clear_top(self.mean, self.ci_low, self.ci_high, self.split_half_shared)

    def shared(self, count: int) -> float | None:
        """What share of the ``count`` highest heads two random halves of the samples have in common, where known."""
        return None if self.split_half_shared is None else self.split_half_shared[count - 1]

    def share(self, heads: Heads) -> float:
        """What part of the sum of all heads' positive scores these heads hold.

        Args:
            heads: (layer, head) pairs.

        Returns:
            0 to 1; 0 where no score is positive.
        """
        held = self.mean.clip(min=0.0)
        total = float(held.sum())
        return sum(float(held[head]) for head in sorted(heads)) / total if total > 0 else 0.0

    def check_model(self, described: Mapping[str, Any]) -> None:
        """Refuse another architecture; another id, say of a fine-tuned checkpoint, or other contents are a warning.

        Args:
            described: An adapter's ``describe()``.

        Raises:
            UserError: Its model type, layers, heads or kv_heads are not the profile's.
        """
        for key in _MUST_MATCH:
            own, other = self.model.get(key), described.get(key)
            if own != other:
                raise UserError(
                    f"{self.source}: model.{key} is {own!r}, but {described.get('id', 'the model')} "
                    f"has {other!r}: the profile belongs to another model"
                )
        origin, user = self.model["id"], str(described.get("id"))
        changed = changed_parts(self.model.get("fingerprint", {}), described.get("fingerprint", {}))
        if Path(origin).name != Path(user).name:
            warnings.warn(f"{self.source}: these heads were found on {origin}, and are used on {user}", stacklevel=2)
        elif changed:
            parts = " and ".join(changed)
            message = f"{self.source}: these heads were found on {origin} with another version of its {parts}"
            warnings.warn(message, stacklevel=2)
