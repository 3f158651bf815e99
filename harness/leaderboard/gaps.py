"""What a run was asked for and its rows do not show: cells and speeds that are missing, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from coreheads.config.cells import Cell
from coreheads.config.expansion import expand
from coreheads.config.schema import RunConfig
from coreheads.report import columns as display
from coreheads.store.folder import RunFolder

Row = dict[str, Any]
Gap = tuple[str, str]
"""(what is missing, why)."""

UNFINISHED = "not finished"
UNTIMED = "finished, but not timed"
NOTHING_SCORED = "none of its samples could be scored"
NO_DENSE = (
    "its speed was measured in another process or on another device than the newest ones of this model and task, "
    "so it has no dense time of its own"
)


def what(cell: Mapping[str, Any]) -> str:
    """A stored cell in words: model, task and condition."""
    return f"{cell['model']} on {cell['task']}: {display.what(dict(cell))}"


def failed(run: RunFolder) -> list[dict[str, Any]]:
    """The run's failed cells: model, task, what, reason; draws of one condition that failed alike are one entry."""
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for record in run.failures().values():
        cell = record["cell"]
        counts[cell["model"], cell["task"], display.what(cell), str(record["failed"])] += 1
    return [
        {"model": model, "task": task, "what": _times(condition, count), "reason": reason}
        for (model, task, condition, reason), count in counts.items()
    ]


def gaps(run: RunFolder, rows: Iterable[Row]) -> list[Gap]:
    """What is missing of one run; ``rows``: those that it gave."""
    found = Counter([*_cells(run), *_speeds(run, rows)])
    return [(_times(name, count), reason) for (name, reason), count in found.items()]


def _cells(run: RunFolder) -> Iterator[Gap]:
    finished, lost, timings = run.cells(), run.failures(), run.timings()
    for record in lost.values():
        yield what(record["cell"]), f"failed: {record['failed']}"
    for record in finished.values():
        if not record["n"]:
            yield what(record["cell"]), NOTHING_SCORED
    try:
        config = RunConfig.model_validate(run.config)
    except ValidationError:
        return  # written by another version: what it asked for cannot be told
    for cell in expand(config):
        if cell.name not in finished and cell.name not in lost:
            yield what(cell.to_json()), UNFINISHED
        elif cell.timed and cell.task in config.timed_tasks() and cell.name in finished and cell.name not in timings:
            yield what(cell.to_json()), UNTIMED


def _speeds(run: RunFolder, rows: Iterable[Row]) -> Iterator[Gap]:
    timings = run.timings()
    for row in rows:
        if row["prefill_speedup"] is None:
            for name in row["cells"]:
                if name in timings:
                    yield what(Cell.from_json(timings[name]["cell"]).to_json()), NO_DENSE


def _times(text: str, count: int) -> str:
    return text if count == 1 else f"{text} ({count} draws)"
