"""Samples that a finished cell could not score, and that can be shown now: they are asked again."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress

from coreheads.config.cells import Cell
from coreheads.config.schema import RunConfig
from coreheads.errors import UserError
from coreheads.store.folder import RunFolder

_ANY_FAMILY = "qwen3_vl"
"""Whether a sample can be shown does not depend on the wording of its prompt."""


def mended(config: RunConfig, cells: Iterable[Cell], folder: RunFolder) -> dict[str, int]:
    """Finished cell -> number of its unscored samples that can be shown now; cells without any are left out.

    No model is needed for that. What the model refused (too long for it, no finite logits) it would refuse again, and
    is not counted.
    """
    finished = folder.cells()
    unscored: dict[Cell, set[str]] = {}
    for cell in cells:
        if cell.name in finished and finished[cell.name].get("unscored"):
            store = folder.samples(cell.name)
            unscored[cell] = store.unscored.keys() - store.refused.keys()
    shown = {}
    for task in {cell.task for cell in unscored}:
        own = [records for cell, records in unscored.items() if cell.task == task]
        shown[task] = _that_can_be_shown(task, set().union(*own), config)
    counts = {cell.name: len(records & shown[cell.task]) for cell, records in unscored.items()}
    return {name: count for name, count in counts.items() if count}


def _that_can_be_shown(name: str, records: Collection[str], config: RunConfig) -> set[str]:
    from coreheads.tasks import registry

    task, shown = registry.get(name), set()
    with suppress(UserError):
        for doc in task.records(
            config.evaluate.split,
            data_root=config.data_root,
            family=_ANY_FAMILY,
            options=config.options.get(name),
        ):
            if (record := task.record_id(doc)) in records:
                with suppress(UserError):
                    task.messages(doc)
                    shown.add(record)
    return shown
