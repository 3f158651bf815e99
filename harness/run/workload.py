"""What a run is still to do: for its plan, its progress display and its end."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from typing import Any

from coreheads.config.cells import Cell
from coreheads.config.schema import RunConfig
from coreheads.run.costs import Work
from coreheads.store.folder import RunFolder
from coreheads.timing.speedup import one_measurement


def is_timed(cell: Cell, config: RunConfig) -> bool:
    return cell.timed and cell.task in config.timed_tasks()


def untimed(cells: Sequence[Cell], config: RunConfig, timings: dict[str, dict[str, Any]]) -> list[Cell]:
    """The timed cells of one model and task if any of them has no time yet, or they come from several measurements:
    they are measured together or not at all."""
    wanted = [cell for cell in cells if is_timed(cell, config)]
    found = [timings[cell.name] for cell in wanted if cell.name in timings]
    together = all(one_measurement(timing, found[0]) for timing in found)
    return [] if len(found) == len(wanted) and together else wanted


def unfinished(
    config: RunConfig, cells: Sequence[Cell], folder: RunFolder | None, again: Container[str] = ()
) -> list[Cell]:
    """The cells that are to be evaluated or timed."""
    finished = folder.cells() if folder is not None else {}
    timings = folder.timings() if folder is not None else {}
    late = {cell.name for group in _groups(cells) for cell in untimed(group, config, timings)}
    return [cell for cell in cells if cell.name not in finished or cell.name in again or cell.name in late]


def works(
    config: RunConfig,
    cells: Sequence[Cell],
    folder: RunFolder | None,
    again: Container[str] = (),
    count: Callable[[Cell], int | None] = lambda cell: cell.limit,
) -> Iterator[Work]:
    """What is left, in the order in which it is done. count: how many answers a cell has, None where nobody knows."""
    left = unfinished(config, cells, folder, again)
    finished = folder.cells() if folder is not None else {}
    timings = folder.timings() if folder is not None else {}
    for model in config.models:
        mine = [cell for cell in left if cell.model == model.name]
        if not mine:
            continue
        yield Work("load", model.name)
        if model.heads is None and (folder is None or not folder.heads_path(model.name).exists()):
            for task in config.profile.tasks:
                yield Work("profile", model.name, task, units=config.profile.samples)
        for task in config.evaluate.tasks:
            own = [cell for cell in mine if cell.task == task]
            for cell in own:
                if cell.name not in finished or cell.name in again:
                    yield Work("answer", model.name, task, cell.patch, count(cell), cell.name)
            timed = untimed([cell for cell in cells if (cell.model, cell.task) == (model.name, task)], config, timings)
            if timed:
                yield Work("time", model.name, task, units=config.timing.repeats)


def _groups(cells: Sequence[Cell]) -> list[list[Cell]]:
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.model, cell.task), []).append(cell)
    return list(groups.values())
