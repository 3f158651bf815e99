"""Cells: one model, one patch on one set of heads, one task; and those that a configuration asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from coreheads.errors import UserError
from coreheads.heads.selections import SCORED, SEEDED, SIZED
from coreheads.heads.types import Head
from coreheads.text import file_name

if TYPE_CHECKING:
    from coreheads.config.schema import CellConfig, RunConfig
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
    """One of ``KINDS``; None for the dense model, and for a patch that takes no heads."""
    head_score: str | None = None
    """Name of the head score whose profile selects; None is RAM, and where no profile is asked."""
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
        return self.model, self.patch, self.params, self.selection, self.head_score, self.fraction, self.heads

    @property
    def name(self) -> str:
        """Unique within a run, and safe as a file name."""
        settings = "-".join(f"{name}={value}" for name, value in self.params)
        parts = [self.model, self.task, "-".join(filter(None, (self.patch, settings)))]
        if self.selection is not None:
            parts.append("-".join(filter(None, (self.selection, self.head_score))))
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


def expand(config: RunConfig) -> list[Cell]:
    """All cells of a configuration: by model, then by task, the dense model first and always.

    Raises UserError when two entries ask for one cell.
    """
    cells: list[Cell] = []
    for model in config.models:
        for task in config.evaluate.tasks:
            cells.append(Cell(model.name, task, limit=config.evaluate.limit, within=config.evaluate.limit))
            for group in config.cells:
                if group.patch != "none" and task in (group.tasks or config.evaluate.tasks):
                    cells.extend(_cells(group, config, model.name, task))
    for name, count in Counter(cell.name for cell in cells).items():
        if count > 1:
            raise UserError(f"cells: {name} is asked for twice, expected every cell once")
    return cells


def _cells(group: CellConfig, config: RunConfig, model: str, task: str) -> Iterator[Cell]:
    limit = config.evaluate.limit
    params = tuple(sorted(group.params.items()))
    draw_limit = min((n for n in (config.evaluate.draw_limit, limit) if n is not None), default=None)
    if not group.selections:
        yield Cell(model, task, group.patch, params, limit=limit, within=limit, timed=group.timed)
    for selection in group.selections:
        for fraction in group.fractions if selection in SIZED else (None,):
            score = group.score or config.profile.scores[0] if selection in SCORED else None
            cell = Cell(model, task, group.patch, params, selection, None if score == "ram" else score, fraction)
            cell = replace(cell, limit=limit, within=limit)
            if selection in SEEDED:
                for draw in range(group.draws or config.evaluate.draws):
                    yield replace(cell, draw=draw, seed=config.seed + draw, limit=draw_limit)
            else:
                heads = tuple(sorted(group.heads)) if selection == "explicit" else ()
                yield replace(cell, heads=heads, timed=group.timed)
