"""Which cell of a model is answered next, by whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from coreheads.adapters.patches.registry import make_patch, put_on
from coreheads.config.cells import Cell
from coreheads.run.replicas.replica import Replica

TRIES = 3
"""Workers that are lost over one thing without a step forward before it is given up."""


class CellQueue:
    """Cells that nobody is at. left: all that are to be answered. cells: all of the model's."""

    def __init__(self, left: Iterable[Cell], cells: Sequence[Cell]) -> None:
        self.left = list(left)
        dense = {cell.task: cell for cell in cells if cell.patch == "none"}
        self._measures = {cell.name: dense[cell.task] for cell in self.left if _shown(cell) != 1}
        self._losses: Counter[str] = Counter()

    def take(self, replica: Replica, pool: Collection[Replica]) -> Cell | None:
        """The next cell for a replica: of the task whose prompts it has, else of one that no other is at, else of the
        one of which most is left."""
        others = [other.cell for other in pool if other is not replica and other.cell is not None]
        busy, unfinished = {cell.task for cell in others}, {cell.name for cell in (*others, *self.left)}
        ready = [cell for cell in self.left if (own := self.measure(cell)) is None or own.name not in unfinished]
        left = Counter(cell.task for cell in ready)
        if not left:
            return None
        task = max(left, key=lambda name: (name == replica.task, name not in busy, left[name]))
        cell = next(cell for cell in ready if cell.task == task)
        self.left.remove(cell)
        return cell

    def measure(self, cell: Cell) -> Cell | None:
        """The dense model's cell, which must be answered before one whose prompts are shown otherwise; else None."""
        return self._measures.get(cell.name)

    def lose(self, what: str, forward: bool = False) -> bool:
        """Count a loss; whether it was once too often. forward: there was a step forward since the last one."""
        self._losses[what] = 1 if forward else self._losses[what] + 1
        return self._losses[what] >= TRIES


def _shown(cell: Cell) -> float:
    """The share of vision tokens that its prompts are shown with."""
    return put_on(make_patch(cell.patch, {(0, 0)}, **cell.settings), cell.below).shown
