"""Where a task's data is looked for: a data root, the Hugging Face hub, or, for mini data, our cache folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coreheads.errors import UserError
from coreheads.tasks.reading.sources import HUB, Source

if TYPE_CHECKING:
    from coreheads.tasks.registry import Task
    from coreheads.tasks.splits import Split

HUB_ROOT = "hub"
"""The data root that means the Hugging Face hub; so does None."""


@dataclass(frozen=True)
class Expected:
    """A file or folder that a task reads: where it is looked for, what it is, whether it is there."""

    path: str
    what: str
    present: bool
    place: Source
    name: str

    @property
    def optional(self) -> bool:
        return self.what.startswith("optional")

    def count(self) -> int | None:
        """How many of a pattern with * in it are there; None of a single name."""
        if "*" not in self.name:
            return None
        return sum(_count(self.place, pattern) for pattern in self.name.split(" or "))


def source(task: Task, data_root: str | Path | None, settings: Mapping[str, Any]) -> Source:
    """The place to read from; makes mini data, and fetches and unpacks what the hub has as archives.

    settings: the task's options, complete. UserError where there is nothing at that place, saying what to do.
    """
    if task.is_mini:
        return _mini(task, data_root, make=True)
    found = _looked_for(task, data_root)
    if found is None:
        raise UserError(
            f"task {task.name}: cannot be read from the hub as it is published; give --data-root (in lmms-eval: "
            f"dataset_kwargs.data_root), the folder that holds {task.benchmark}/; `coreheads tasks {task.name}` prints "
            "its tree"
        )
    if not found.is_hub:
        if not Path(found.place).is_dir():
            raise UserError(
                f"{found.place}: no such folder, expected the data of {task.name} "
                f"(`coreheads tasks {task.name} --data-root {data_root}` prints the tree)"
            )
        return found
    if hasattr(task.functions(), "archives"):
        from coreheads.tasks.reading.archives import unpacked

        return Source(str(unpacked(found, task.functions().archives(settings))))
    return found


def expected(task: Task, data_root: str | Path | None, split: Split, settings: Mapping[str, Any]) -> list[Expected]:
    """What is read for a split, and whether it is on this machine; makes and fetches nothing."""
    place = _looked_for(task, data_root) or Source(f"<data root>/{task.benchmark}")
    if place.is_hub and hasattr(task.functions(), "archives"):
        from coreheads.tasks.reading import archives

        place = Source(str(archives.place(place)))
    files: list[tuple[str, str]] = list(task.functions().expected(split.source, settings))
    if split.apart_from is not None:
        why = f"to leave out what split {split.apart_from} has"
        others = dict(task.functions().expected(split.apart_from, settings))
        files += [(name, f"{what}, {why}") for name, what in others.items() if name not in dict(files)]
    return [
        Expected(place.where(name), what, any(place.present(pattern) for pattern in name.split(" or ")), place, name)
        for name, what in files
    ]


def _count(place: Source, pattern: str) -> int:
    if place.is_hub:
        from coreheads.tasks.reading import hub

        return hub.count(*place.repository, pattern)
    return sum(1 for _ in Path(place.place).glob(pattern))


def _looked_for(task: Task, data_root: str | Path | None) -> Source | None:
    if task.is_mini:
        return _mini(task, data_root, make=False)
    if data_root is not None and str(data_root) != HUB_ROOT:
        return Source(str(Path(data_root).expanduser() / task.benchmark))
    return Source(f"{HUB}{task.hub}") if task.hub else None


def _mini(task: Task, data_root: str | Path | None, make: bool) -> Source:
    """The data root's own mini data, where it has some; else the cache folder's."""
    from coreheads.tasks.mini.data import MARKER, cache_folder, ensure, version

    if data_root is not None and (Path(data_root) / task.benchmark / MARKER).is_file():
        return Source(str(Path(data_root) / task.benchmark))
    root = ensure([task.benchmark]) if make else cache_folder() / version()
    return Source(str(root / task.benchmark))
