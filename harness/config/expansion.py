"""What a configuration asks for, as a flat list of cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from coreheads.config.cells import Cell
from coreheads.config.schema import CellConfig, RunConfig
from coreheads.errors import UserError
from coreheads.heads.selections import SEEDED, SIZED


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
    for selection in group.selections:
        for fraction in group.fractions if selection in SIZED else (None,):
            cell = Cell(model, task, group.patch, params, selection, fraction, limit=limit, within=limit)
            if selection in SEEDED:
                for draw in range(group.draws or config.evaluate.draws):
                    yield replace(cell, draw=draw, seed=config.seed + draw, limit=draw_limit)
            else:
                heads = tuple(sorted(group.heads)) if selection == "explicit" else ()
                yield replace(cell, heads=heads, timed=group.timed)
