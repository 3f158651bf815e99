"""What tasks read is looked at before a model is loaded, which may take minutes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from coreheads.errors import UserError


def look(
    names: Iterable[str],
    split: str,
    limit: int | None,
    data_root: str | Path | None,
    options: Mapping[str, Mapping[str, Any]],
) -> None:
    """Read the records of every task's split, and look for its files where they should be on this machine.

    Mini data is passed over: it is made on first use. UserError for the first task whose data is not there or of no
    use.
    """
    from coreheads.tasks import registry

    for name in names:
        task = registry.get(name)
        if task.is_mini:
            continue
        task.records(split, limit, data_root, options=options.get(name))
        for file in task.expected(data_root, split, options.get(name)):
            if not (file.present or file.optional or file.place.is_hub):
                raise UserError(f"task {name}: {file.path}: not there, expected {file.what}")
