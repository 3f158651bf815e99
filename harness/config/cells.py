"""Cells: one model, one patch on one set of heads, one task; and those that a configuration asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from coreheads.config.budgets import Of
from coreheads.errors import UserError
from coreheads.heads.selections import SCORED, SEEDED, SIZED
from coreheads.heads.types import Head
from coreheads.text import file_name

if TYPE_CHECKING:
    from coreheads.config.schema import CellConfig, RunConfig
    from coreheads.store.condition import StoredCell
    from coreheads.store.fields import Plain


@dataclass(frozen=True)
class Cell:
    """What is evaluated together; its name is also its file's name."""

    model: str
    task: str
    patch: str = "none"
    params: tuple[tuple[str, Plain], ...] = ()
    """The patch's settings as sorted (name, value) pairs."""
    on: tuple[str, tuple[tuple[str, Plain], ...]] | None = None
    """The patch that it acts on top of, with its settings; None for the model itself."""
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
    budget: float | None = None
    """Share of the dense cost that the patch is solved for, prompt by prompt; None where there is none."""
    budget_of: Of | None = None
    """What that is a share of; None without a budget."""
    preset: bool = False
    """Whether these are the method's published settings."""
    limit: int | None = None
    """How many samples are asked; None is all."""
    within: int | None = None
    """So many samples of the task, from the first, are what the dense model answers too; None is all."""
    timed: bool = False

    @property
    def settings(self) -> dict[str, Plain]:
        return dict(self.params)

    @property
    def below(self) -> tuple[str, dict[str, Plain]] | None:
        return self.on and (self.on[0], dict(self.on[1]))

    @property
    def condition(self) -> tuple[Hashable, ...]:
        """What the model was made into: equal for all tasks, and for all draws of one control."""
        kind = self.selection, self.head_score, self.fraction, self.heads, self.budget, self.budget_of
        return self.model, self.patch, self.params, self.on, *kind

    @property
    def name(self) -> str:
        """Unique within a run, and safe as a file name."""
        parts = [self.model, self.task, _called(self.patch, self.params)]
        if self.on is not None:
            parts.append("on-" + _called(*self.on))
        if self.selection is not None:
            parts.append("-".join(filter(None, (self.selection, self.head_score))))
        if self.fraction is not None:
            parts.append(f"{self.fraction:g}")
        if self.budget is not None:
            parts.append(f"{self.budget:g}-of-{self.budget_of}")
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
        on = None if self.on is None else {"patch": self.on[0], "params": dict(self.on[1])}
        fields = {"params": self.settings, "on": on, "heads": [list(head) for head in self.heads]}
        return cast("StoredCell", asdict(self) | fields)

    @classmethod
    def from_json(cls, record: StoredCell) -> Cell:
        values: dict[str, Any] = {**record, "params": _pairs(record["params"])}
        on = record.get("on")
        values["on"] = on and (on["patch"], _pairs(on["params"]))
        values["heads"] = tuple((layer, head) for layer, head in record["heads"])
        return cls(**values)


def expand(config: RunConfig) -> list[Cell]:
    """All cells of a configuration: by model, then by task, the dense model first and always.

    Raises UserError when two entries ask for one cell.
    """
    cells: list[Cell] = []
    for model in config.models:
        for task in config.evaluate.tasks:
            limit = config.evaluate.limit_of(task)
            cells.append(Cell(model.name, task, limit=limit, within=limit))
            for group in config.cells:
                if group.patch != "none" and task in (group.tasks or config.evaluate.tasks):
                    cells.extend(_cells(group, config, model.name, task))
    for name, count in Counter(cell.name for cell in cells).items():
        if count > 1:
            raise UserError(f"cells: {name} is asked for twice, expected every cell once")
    return cells


def _called(patch: str, params: Iterable[tuple[str, Plain]]) -> str:
    return "-".join([patch, *(f"{name}={value}" for name, value in params)])


def _pairs(params: Mapping[str, Plain]) -> tuple[tuple[str, Plain], ...]:
    return tuple(sorted(params.items()))


def _cells(group: CellConfig, config: RunConfig, model: str, task: str) -> Iterator[Cell]:
    within = config.evaluate.limit_of(task)
    params = _pairs(group.params)
    on = None if group.on is None else (group.on.patch, _pairs(group.on.params))
    limit = min((n for n in (group.limit, within) if n is not None), default=None)
    draw_limit = min((n for n in (config.evaluate.draw_limit, limit) if n is not None), default=None)
    common = Cell(model, task, group.patch, params, on, limit=limit, within=within, preset=group.preset)
    on_budgets = [replace(common, budget=budget, budget_of=group.budget_of) for budget in group.budgets]
    if not group.selections:
        for cell in on_budgets or [common]:
            yield replace(cell, timed=group.timed)
    for selection in group.selections:
        sizes = on_budgets or [replace(common, fraction=fraction) for fraction in group.fractions]
        score = group.score or config.profile.scores[0] if selection in SCORED else None
        for cell in sizes if selection in SIZED else [common]:
            cell = replace(cell, selection=selection, head_score=None if score == "ram" else score)
            if selection in SEEDED:
                for draw in range(group.draws or config.evaluate.draws):
                    yield replace(cell, draw=draw, seed=config.seed + draw, limit=draw_limit)
            else:
                heads = tuple(sorted(group.heads)) if selection == "explicit" else ()
                yield replace(cell, heads=heads, timed=group.timed)
