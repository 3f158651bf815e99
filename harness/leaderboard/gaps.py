"""What a run was asked for and its rows do not show: cells and speeds that are missing, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from pydantic import ValidationError

from coreheads.config.cells import Cell, expand
from coreheads.config.schema import RunConfig, TooManyCells
from coreheads.errors import UserError
from coreheads.report.columns import condition_label
from coreheads.store.board import FailedCell, Row
from coreheads.store.condition import StoredCell
from coreheads.store.folder import RunFolder

Gap = tuple[str, str]
"""What is missing of a run, and why."""

UNFINISHED = "not finished"
UNTIMED = "finished, but not timed"
NOTHING_SCORED = "none of its samples could be scored"
NO_DENSE = (
    "its speed was measured in another process or on another device than the newest ones of this model and task, "
    "so it has no dense time of its own"
)


def label(cell: StoredCell | Row) -> str:
    """A stored cell, or a row, in words: model, task and condition."""
    return f"{cell['model']} on {cell['task']}: {condition_label(cell)}"


def find_failed(run: RunFolder, label: str) -> list[FailedCell]:
    """The run's failed cells; draws of one condition that failed alike are one entry. label: the run's on the board."""
    cells = [(failure["cell"], failure["failed"]) for failure in run.failures().values()]
    counts = Counter((cell["model"], cell["task"], condition_label(cell), reason) for cell, reason in cells)
    return [
        {"run": label, "model": model, "task": task, "what": _times(condition, count), "reason": reason}
        for (model, task, condition, reason), count in counts.items()
    ]


def find_gaps(run: RunFolder, rows: Iterable[Row]) -> list[Gap]:
    """What is missing of one run; ``rows``: those that it gave."""
    counts = Counter([*_cells(run), *_speeds(run, rows)])
    return [(_times(missing, count), reason) for (missing, reason), count in counts.items()]


def asked_for(run: RunFolder) -> list[Cell] | None:
    """The cells of a run's configuration, ``timed`` where it times them; None where another version wrote it, so that
    this cannot be told."""
    try:
        config = RunConfig.model_validate(run.config)
    except ValidationError as error:
        for fault in error.errors():
            if isinstance(reason := fault.get("ctx", {}).get("error"), TooManyCells):
                raise UserError(f"{run.path / 'manifest.json'}: config.{reason}") from None
        return None
    return [replace(cell, timed=cell.timed and cell.task in config.timed_tasks()) for cell in expand(config)]


def _cells(run: RunFolder) -> Iterator[Gap]:
    finished, lost, cannot, timings = run.cells(), run.failures(), run.cannot(), run.timings()
    for failure in lost.values():
        yield label(failure["cell"]), f"failed: {failure['failed']}"
    for record in cannot.values():
        yield label(record["cell"]), f"cannot: {record['failed']}"
    for done in finished.values():
        if not done["n"]:
            yield label(done["cell"]), NOTHING_SCORED
    for cell in asked_for(run) or ():
        if not any(cell.name in known for known in (finished, lost, cannot)):
            yield label(cell.to_json()), UNFINISHED
        elif cell.timed and cell.name in finished and cell.name not in timings:
            yield label(cell.to_json()), UNTIMED


def _speeds(run: RunFolder, rows: Iterable[Row]) -> Iterator[Gap]:
    timings = run.timings()
    for row in rows:
        if row["prefill_speedup"] is None:
            yield from ((label(timings[name]["cell"]), NO_DENSE) for name in row["cells"] if name in timings)


def _times(text: str, count: int) -> str:
    return text if count == 1 else f"{text} ({count} draws)"
