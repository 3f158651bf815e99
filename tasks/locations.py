"""Where a task's data is looked for: a data root, the Hugging Face hub, or, for mini data, our cache folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from coreheads.tasks.reading.sources import HUB, Source

HUB_ROOT = "hub"
"""The data root that means the Hugging Face hub; so does None."""


@dataclass(frozen=True)
class Expected:
    """A file or folder that a task reads.

    Attributes:
        place: Where it is looked for.
        name: Below that place: a name, or patterns with * in them, " or " between alternatives.
        what: What it is; begins with "optional" where the task can do without it.
    """

    place: Source
    name: str
    what: str

    @property
    def path(self) -> str:
        return self.place.where(self.name)

    @property
    def optional(self) -> bool:
        return self.what.startswith("optional")

    @cached_property
    def present(self) -> bool:
        """Whether it is on this machine."""
        return any(self.place.present(pattern) for pattern in self.name.split(" or "))

    def count(self) -> int | None:
        """How many of a pattern with * in it are there; None of a single name."""
        if "*" not in self.name:
            return None
        return sum(_count(self.place, pattern) for pattern in self.name.split(" or "))


def _count(place: Source, pattern: str) -> int:
    if place.is_hub:
        from coreheads.tasks.reading import hub

        return hub.count(*place.repository, pattern)
    return sum(1 for _ in Path(place.place).glob(pattern))


def published(benchmark: str, hub: str | None, data_root: str | Path | None) -> Source | None:
    """The place of a benchmark's published files; None where it is the hub, which does not have them."""
    if data_root is not None and str(data_root) != HUB_ROOT:
        return Source(str(Path(data_root).expanduser() / benchmark))
    return Source(f"{HUB}{hub}") if hub else None


def unpacked(source: Source, archives: Sequence[str], fetch: bool) -> Source:
    """Where the content of the hub's archives lies on this machine; the source itself where it needs no unpacking.

    Args:
        source: A place as ``published`` gives it.
        archives: Names of the archives on the hub; empty where it has the files themselves.
        fetch: Whether to fetch and unpack what is not there yet.
    """
    if not source.is_hub or not archives:
        return source
    from coreheads.tasks.reading import archives as reading

    return Source(str(reading.unpacked(source, archives) if fetch else reading.place(source)))


def mini(benchmark: str, data_root: str | Path | None, make: bool) -> Source:
    """The place of mini data: the data root's own, where it has some; else the cache folder, made there if asked."""
    from coreheads.tasks.mini.data import MARKER, cache_folder, ensure, version

    if data_root is not None and (Path(data_root) / benchmark / MARKER).is_file():
        return Source(str(Path(data_root) / benchmark))
    root = ensure([benchmark]) if make else cache_folder() / version()
    return Source(str(root / benchmark))
