"""Samples that a finished cell could not score, and that can be shown now: they are asked again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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
    found: dict[str, int] = {}
    tasks: dict[str, _Shown] = {}
    for cell in cells:
        if not finished.get(cell.name, {}).get("unscored"):
            continue
        shown = tasks.setdefault(cell.task, _Shown(cell.task, config))
        store = folder.samples(cell.name)
        count = sum(shown.can_be(record) for record in store.unscored if record not in store.refused)
        if count:
            found[cell.name] = count
    return found


class _Shown:
    """Which of one task's records can be shown; each is tried once."""

    def __init__(self, name: str, config: RunConfig) -> None:
        from coreheads.tasks import registry

        self._task = registry.get(name)
        self._config = config
        self._docs: dict[str, Any] | None = None
        self._known: dict[str, bool] = {}

    def can_be(self, record: str) -> bool:
        if record not in self._known:
            try:
                self._task.messages(self._records()[record])
                self._known[record] = True
            except (UserError, KeyError):
                self._known[record] = False
        return self._known[record]

    def _records(self) -> dict[str, Any]:
        if self._docs is None:
            self._docs = {}
            docs = self._task.records(
                self._config.evaluate.split,
                data_root=self._config.data_root,
                family=_ANY_FAMILY,
                options=self._config.options.get(self._task.name),
            )
            self._docs = {self._task.record_id(doc): doc for doc in docs}
        return self._docs
