"""``coreheads run --dry-run``: every cell that would be computed, what is finished, how long the rest may take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from coreheads import display
from coreheads.cells import Cell, expand
from coreheads.config import RunConfig
from coreheads.present import missing
from coreheads.progress import wide_console
from coreheads.run_folder import RunFolder


def show_plan(config: RunConfig, console: Console | None = None) -> None:
    """Print the plan of a run; nothing is loaded and nothing is written. Raises UserError as the run itself would."""
    from coreheads.preflight import check_names

    check_names(config)
    run = RunFolder.stored(Path(config.out), config.model_dump(mode="json"))
    console = console or wide_console()
    cells = expand(config)
    stored = run.cells() if run is not None else {}
    speeds = _seconds_per_answer(stored)
    for model in config.models:
        console.print(f"[bold]{escape(model.name)}[/bold] on {config.device}", highlight=False)
        if model.heads is not None:
            console.print(f"  heads: {model.heads}", highlight=False)
        elif config.profile.tasks:
            settings = config.profile
            console.print(
                f"  heads: found on {settings.samples} samples of the {settings.split} split of each of "
                f"{', '.join(settings.tasks)}",
                highlight=False,
            )
        mine = [cell for cell in cells if cell.model == model.name]
        table = Table("what is done to the model", "task", "cells", "answers", "timed", "finished", "about s", box=None)
        for group in _groups(mine):
            table.add_row(*_line(group, stored, speeds, config))
        console.print(table)
    counts = [cell.limit for cell in cells]
    answers = sum(count for count in counts if count is not None)
    more = "" if None not in counts else ", and all samples of the cells without a limit"
    done = sum(cell.name in stored for cell in cells)
    total = f"{len(cells)} cells, up to {answers:,} answers{more}"
    console.print(f"{total}; {done} cells finished in {config.out}", highlight=False)
    console.print(
        f"Timing: {config.timing.repeats} interleaved repeats after {config.timing.warmup} of warm-up on "
        f"{', '.join(config.timed_tasks()) or 'no task'}",
        highlight=False,
    )
    absent = list(missing(config))
    if absent:
        console.print("Not on this machine (the hub is asked for what it has, the rest must be brought here):")
        for line in absent:
            console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
    if not speeds:
        console.print("No estimate of time: nothing of this run has been computed on this machine yet.")


def _groups(cells: list[Cell]) -> list[list[Cell]]:
    """The draws of one control on one task together."""
    groups: dict[Any, list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.condition, cell.task), []).append(cell)
    return list(groups.values())


def _line(group: list[Cell], stored: dict[str, Any], speeds: dict[str, float], config: RunConfig) -> list[str]:
    first = group[0]
    row = {"patch": first.patch, "selection": first.selection, "fraction": first.fraction, "params": first.settings}
    counts = [cell.limit for cell in group]
    answers = "all" if None in counts else str(sum(count or 0 for count in counts))
    finished = sum(cell.name in stored for cell in group)
    left = [cell.limit for cell in group if cell.name not in stored]
    seconds = ""
    if first.task in speeds and None not in left:
        seconds = f"{sum(count or 0 for count in left) * speeds[first.task]:.0f}"
    timed = "yes" if first.timed and first.task in config.timed_tasks() else ""
    return [display.what(row), first.task, str(len(group)), answers, timed, str(finished or ""), seconds]


def _seconds_per_answer(stored: dict[str, Any]) -> dict[str, float]:
    """By task, over the finished cells of this very run."""
    spent: dict[str, list[float]] = {}
    for record in stored.values():
        total = spent.setdefault(record["cell"]["task"], [0.0, 0.0])
        total[0] += record["seconds"]
        total[1] += record["n"]
    return {task: seconds / answers for task, (seconds, answers) in spent.items()}
