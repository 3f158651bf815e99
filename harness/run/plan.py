"""What a run is still to do; ``coreheads run --dry-run`` shows it, with what it may take and what is missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from coreheads.config.cells import Cell, expand
from coreheads.config.schema import RunConfig
from coreheads.errors import UserError
from coreheads.report.columns import condition_label
from coreheads.report.terminal import wide_console
from coreheads.run import sources
from coreheads.run.costs import Costs, Left, Work, last_known
from coreheads.run.preflight import check_names, missing
from coreheads.run.profiles import scores_to_find
from coreheads.store.aside import kept_as
from coreheads.store.folder import RunFolder
from coreheads.store.schema import TimingRecord
from coreheads.tasks import registry
from coreheads.text import duration, for_rich, gib, visible
from coreheads.timing.speedup import one_measurement

_ANY_FAMILY = "qwen3_vl"
"""Whether a sample can be shown does not depend on the wording of its prompt."""


def untimed(cells: Sequence[Cell], config: RunConfig, timings: dict[str, TimingRecord]) -> list[Cell]:
    """The timed cells of one model and task if any of them has no time yet, or they come from several measurements:
    they are measured together or not at all."""
    wanted = [cell for cell in cells if cell.timed and cell.task in config.timed_tasks()]
    stored = [timings[cell.name] for cell in wanted if cell.name in timings]
    together = all(one_measurement(timing, stored[0]) for timing in stored)
    return [] if len(stored) == len(wanted) and together else wanted


def left_to_do(
    config: RunConfig, cells: Sequence[Cell], folder: RunFolder | None, again: Container[str] = ()
) -> dict[Work, float | None]:
    """What is left, in the order in which it is done, with its units. again: finished cells that are asked again."""
    finished = folder.settled() if folder is not None else set()
    cannot = folder.cannot() if folder is not None else {}
    timings = folder.timings() if folder is not None else {}
    by_task: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        by_task[cell.model, cell.task].append(cell)
    left: dict[Work, float | None] = {}
    for model in config.models:
        own: dict[Work, float | None] = {}
        for task in config.evaluate.tasks:
            task_cells = by_task[model.name, task]
            for cell in task_cells:
                if cell.name not in finished or cell.name in again:
                    own[Work("answer", model.name, task, cell.patch, cell.name)] = cell.limit
            if untimed([cell for cell in task_cells if cell.name not in cannot], config, timings):
                own[Work("time", model.name, task)] = config.timing.rounds
        if own:
            left[Work("load", model.name)] = 1
            scores = [
                score
                for score in scores_to_find(config, model)
                if folder is None or not folder.heads_path(model.name, score).exists()
            ]
            if scores:
                samples = config.profile.samples * len(scores)
                left |= {Work("profile", model.name, task): samples for task in config.profile.tasks}
            left |= own
    return left


def mended(config: RunConfig, cells: Iterable[Cell], folder: RunFolder) -> dict[str, int]:
    """Finished cell -> number of its unscored samples that can be shown now; cells without any are left out.

    No model is needed for that. What the model refused (too long for it, no finite logits) it would refuse again, and
    is not counted.
    """
    finished = folder.cells()
    unscored: dict[str, dict[str, set[str]]] = defaultdict(dict)
    for cell in cells:
        if cell.name in finished and finished[cell.name].get("unscored"):
            store = folder.samples(cell.name)
            unscored[cell.task][cell.name] = store.unscored.keys() - store.refused.keys()
    counts: dict[str, int] = {}
    for name, by_cell in unscored.items():
        task, shown, options = registry.get(name), set(), config.options.get(name)
        with suppress(UserError):
            for doc in task.records(config.evaluate.split, None, config.data_root, family=_ANY_FAMILY, options=options):
                if any(task.record_id(doc) in records for records in by_cell.values()):
                    with suppress(UserError):
                        task.messages(doc)
                        shown.add(task.record_id(doc))
        counts |= {cell: len(records & shown) for cell, records in by_cell.items()}
    return {cell: count for cell, count in counts.items() if count}


def show_plan(config: RunConfig, console: Console | None = None, fresh: bool = False) -> None:
    """Print the plan of a run; nothing is loaded and nothing is written. Raises UserError as the run itself would."""
    check_names(config)
    out, cells = Path(config.out), expand(config)
    run = None if fresh else RunFolder.stored(out, config.model_dump(mode="json"))
    console = console or wide_console()
    lines: list[str] = []
    if run is not None:
        sources.checked(config, cells, run, lines.append, fetch=False)
    elif (kept := kept_as(out)) is not None:
        lines.append(f"The run that is in {out} would be kept in {kept}")
    for line in lines:
        console.print(visible(line), highlight=False, markup=False, soft_wrap=True)
    finished = run.settled() if run is not None else set()
    known = last_known(out, config.device, [m.name for m in config.models], config.evaluate.tasks)
    for model in config.models:
        console.print(f"[bold]{for_rich(model.name)}[/bold] on {for_rich(config.device)}", highlight=False)
        if model.heads is not None:
            console.print(visible(f"  heads: {model.heads}"), highlight=False, markup=False, soft_wrap=True)
        if scores := scores_to_find(config, model):
            settings = config.profile
            by = "" if scores == ("ram",) else f"by {', '.join(scores)} "
            console.print(
                visible(
                    f"  heads: found {by}on {settings.samples} samples of the {settings.split} split of each of "
                    f"{', '.join(settings.tasks)}"
                ),
                highlight=False,
                markup=False,
            )
        console.print(_table([cell for cell in cells if cell.model == model.name], finished, known, config))
    time = _time(left_to_do(config, cells, run), known, out)
    for line in (*_summary(config, cells, finished), *time, *_memory(config, known)):
        console.print(visible(line), highlight=False, markup=False, soft_wrap=True)


def _table(cells: Sequence[Cell], finished: Container[str], known: Costs, config: RunConfig) -> Table:
    """A line for the draws of one condition on one task."""
    table = Table("what is done to the model", "task", "cells", "answers", "timed", "finished", "about s", box=None)
    groups: dict[Any, list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[cell.condition, cell.task].append(cell)
    for group in groups.values():
        first, left = group[0], [cell for cell in group if cell.name not in finished]
        rate = known.rate(Work("answer", first.model, first.task, first.patch))
        table.add_row(
            for_rich(condition_label(first.to_json())),
            for_rich(first.task),
            str(len(group)),
            "all" if first.limit is None else str(first.limit * len(group)),
            "yes" if first.timed and first.task in config.timed_tasks() else "",
            str(len(group) - len(left) or ""),
            "" if rate is None or (left and first.limit is None) else f"{(first.limit or 0) * len(left) * rate:.0f}",
        )
    return table


def _summary(config: RunConfig, cells: Sequence[Cell], finished: Container[str]) -> Iterator[str]:
    answers = sum(cell.limit or 0 for cell in cells)
    more = ", and all samples of the cells without a limit" if any(cell.limit is None for cell in cells) else ""
    done = sum(cell.name in finished for cell in cells)
    yield f"{len(cells)} cells, up to {answers:,} answers{more}; {done} cells finished in {config.out}"
    yield (
        f"Timing: {config.timing.repeats} interleaved repeats after {config.timing.warmup} of warm-up on "
        f"{', '.join(config.timed_tasks()) or 'no task'}"
    )
    absent = [f"  {line}" for line in missing(config)]
    if absent:
        yield "Not on this machine (the hub is asked for what it has, the rest must be brought here):"
    yield from absent


def _time(left: Left, known: Costs, out: Path) -> Iterator[str]:
    """What the work that is left may take, and what that is known from."""
    if not left:
        yield "Time: nothing is left to do but the leaderboard."
        return
    seconds, unknown = known.estimate(left)
    if not known.spent or len(unknown) == len(left):
        yield "No estimate of time: no run of these models and tasks has been computed on this machine yet."
        return
    source = "this run so far" if known.source == out else f"the run in {known.source}"
    rest = ", ".join(dict.fromkeys(f"{work.kind} {work.task}".strip() for work in unknown))
    yield f"Time: about {duration(seconds)}, by {source}" + (f"; not counted, never measured: {rest}" if rest else "")


def _memory(config: RunConfig, known: Costs) -> Iterator[str]:
    """The most memory that each model may need: as it was measured, else by its number of parameters."""
    from coreheads.doctor.model import needed_bytes

    for model in config.models:
        if model.name in known.peak_bytes:
            kind = (
                "allocated on GPUs"
                if config.device.startswith(("cuda", "auto-map")) or model.device_map
                else "of the whole process"
            )
            yield f"Memory: {model.name} took {gib(known.peak_bytes[model.name])} ({kind}) in {known.source}"
            continue
        try:
            weights, cache, tokens = needed_bytes(model.id, model.dtype)
        except UserError:
            yield f"Memory: no estimate for {model.name}: never run here, and its size is not known"
            continue
        dtype = "the checkpoint's own dtype" if model.dtype == "auto" else model.dtype
        yield (
            f"Memory: {model.name} needs at least {gib(weights)} for its weights in {dtype}, "
            f"{gib(cache)} for a cache of {tokens:,} tokens, and activations on top"
        )
