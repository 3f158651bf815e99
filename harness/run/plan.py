"""``coreheads run --dry-run``: every cell that would be computed, what is finished, what the rest may take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from coreheads.config.cells import Cell, expand
from coreheads.config.schema import RunConfig
from coreheads.errors import UserError
from coreheads.report.columns import condition_label
from coreheads.report.terminal import wide_console
from coreheads.run.availability import missing
from coreheads.run.costs import Costs, Work, last_known
from coreheads.run.workload import is_timed, works
from coreheads.store.folder import RunFolder
from coreheads.text import duration, gib


def show_plan(config: RunConfig, console: Console | None = None) -> None:
    """Print the plan of a run; nothing is loaded and nothing is written. Raises UserError as the run itself would."""
    from coreheads.run.preflight import check_names

    check_names(config)
    run = RunFolder.stored(Path(config.out), config.model_dump(mode="json"))
    console = console or wide_console()
    cells = expand(config)
    stored = run.cells() if run is not None else {}
    known = last_known(Path(config.out), config.device, [m.name for m in config.models], config.evaluate.tasks)
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
            table.add_row(*_line(group, stored, known, config))
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
    for line in (*_time(list(works(config, cells, run)), known, Path(config.out)), *_memory(config, known)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _groups(cells: list[Cell]) -> list[list[Cell]]:
    """The draws of one control on one task together."""
    groups: dict[Any, list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.condition, cell.task), []).append(cell)
    return list(groups.values())


def _line(group: list[Cell], stored: dict[str, Any], known: Costs, config: RunConfig) -> list[str]:
    first = group[0]
    row = {"patch": first.patch, "selection": first.selection, "fraction": first.fraction, "params": first.settings}
    counts = [cell.limit for cell in group]
    answers = "all" if None in counts else str(sum(count or 0 for count in counts))
    finished = sum(cell.name in stored for cell in group)
    left = [cell.limit for cell in group if cell.name not in stored]
    rate = known.rate(Work("answer", first.model, first.task, first.patch))
    seconds = "" if rate is None or None in left else f"{sum(count or 0 for count in left) * rate:.0f}"
    timed = "yes" if is_timed(first, config) else ""
    return [condition_label(row), first.task, str(len(group)), answers, timed, str(finished or ""), seconds]


def _time(left: list[Work], known: Costs, out: Path) -> Iterator[str]:
    """What the work that is left may take, and what that is known from."""
    if not left:
        yield "Time: nothing is left to do but the leaderboard."
        return
    seconds, unknown = known.estimate(left)
    if not known.spent or len(unknown) == len(left):
        yield "No estimate of time: no run of these models and tasks has been computed on this machine yet."
        return
    source = "this run so far" if known.source == out else f"the run in {known.source}"
    missing = ", ".join(dict.fromkeys(f"{work.kind} {work.task}".strip() for work in unknown))
    yield f"Time: about {duration(seconds)}, by {source}" + (
        f"; not counted, never measured: {missing}" if missing else ""
    )


def _memory(config: RunConfig, known: Costs) -> Iterator[str]:
    """The most memory that each model may need: as it was measured, else by its number of parameters."""
    for model in config.models:
        if model.name in known.peak_bytes:
            kind = "allocated on the GPU" if config.device.startswith("cuda") else "of the whole process"
            yield f"Memory: {model.name} took {gib(known.peak_bytes[model.name])} ({kind}) in {known.source}"
            continue
        try:
            from coreheads.doctor.model import needed_bytes

            weights, cache, tokens = needed_bytes(model.id, model.dtype)
        except UserError:
            yield f"Memory: no estimate for {model.name}: never run here, and its size is not known"
            continue
        yield (
            f"Memory: {model.name} needs at least {gib(weights)} for its weights in {model.dtype}, "
            f"{gib(cache)} for a cache of {tokens:,} tokens, and activations on top"
        )
