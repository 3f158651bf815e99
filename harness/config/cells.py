"""Cells: one model, one patch on one set of heads, one task."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

from coreheads.heads.selections import Selection
from coreheads.heads.types import Head, Heads
from coreheads.text import file_name

if TYPE_CHECKING:
    from coreheads.heads.profile import HeadProfile
    from coreheads.store.schema import Plain, StoredCell


@dataclass(frozen=True)
class Cell:
    """What is evaluated together; its name is also its file's name."""

    model: str
    task: str
    patch: str = "none"
    params: tuple[tuple[str, Plain], ...] = ()
    """The patch's settings as sorted (name, value) pairs."""
    selection: str | None = None
    """One of ``KINDS``; None for the dense model."""
    fraction: float | None = None
    """Of all heads of the language model, None where the selection has no size."""
    draw: int | None = None
    """Number of a random draw from 0, None where nothing is drawn."""
    seed: int | None = None
    """What was drawn with."""
    heads: tuple[Head, ...] = ()
    """Only for explicit selections."""
    limit: int | None = None
    """How many samples are asked; None is all."""
    within: int | None = None
    """So many samples of the task, from the first, are what the dense model answers too; None is all."""
    timed: bool = False

    @property
    def settings(self) -> dict[str, Plain]:
        return dict(self.params)

    @property
    def condition(self) -> tuple[Hashable, ...]:
        """What the model was made into: equal for all tasks, and for all draws of one control."""
        return self.model, self.patch, self.params, self.selection, self.fraction, self.heads

    @property
    def name(self) -> str:
        """Unique within a run, and safe as a file name."""
        settings = "-".join(f"{name}={value}" for name, value in self.params)
        parts = [self.model, self.task, "-".join(filter(None, (self.patch, settings)))]
        if self.selection is not None:
            parts.append(self.selection)
        if self.fraction is not None:
            parts.append(f"{self.fraction:g}")
        if self.heads:
            parts.append("+".join(f"L{layer}H{head}" for layer, head in self.heads))
        if self.draw is not None:
            parts.append(f"draw{self.draw}")
        return file_name("__".join(parts))

    def span(self, available: int) -> tuple[int, int]:
        """(offset, count) of the cell's samples among the ``available`` ones of its task.

        Successive draws take successive samples, so that together they cover more of the task at the same cost.
        """
        total = available if self.within is None else min(available, self.within)
        count = total if self.limit is None else min(total, self.limit)
        offset = 0 if self.draw is None else min(self.draw * count % total, total - count)
        return offset, count

    def to_json(self) -> StoredCell:
        fields = {"params": self.settings, "heads": [list(head) for head in self.heads]}
        return cast("StoredCell", asdict(self) | fields)

    @classmethod
    def from_json(cls, record: StoredCell) -> Cell:
        values: dict[str, Any] = {**record, "params": tuple(sorted(record["params"].items()))}
        values["heads"] = tuple((layer, head) for layer, head in record["heads"])
        return cls(**values)


def select(cell: Cell, profile: HeadProfile | None, shape: tuple[int, int]) -> Heads:
    """The heads of a cell in a language model of ``shape`` (layers, heads); empty for the dense model.

    Raises UserError where a head does not exist or the selection needs a profile and there is none.
    """
    if cell.selection is None:
        return frozenset()
    rule = Selection(cell.selection, cell.fraction, cell.seed or 0, frozenset(cell.heads))
    return rule.resolve(profile, shape)
