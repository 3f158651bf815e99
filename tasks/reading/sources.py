"""Where a benchmark's files lie: a folder on this machine, or a data set of the Hugging Face hub, file by file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from coreheads.errors import BadSample
from coreheads.files import matching
from coreheads.tasks.reading import hub

HUB = "hub:"


@dataclass(frozen=True)
class Source:
    """A place with files under relative names; ``place`` is a folder, or hub:owner/name[@revision].

    Nothing is listed or fetched before it is asked for. From the hub a file is fetched when it is first opened, into
    huggingface_hub's own cache.
    """

    place: str

    @property
    def is_hub(self) -> bool:
        return self.place.startswith(HUB)

    @property
    def repository(self) -> tuple[str, str | None]:
        """(owner/name, revision) of a hub source."""
        name, _, revision = self.place.removeprefix(HUB).partition("@")
        return name, revision or None

    def within(self, folder: str) -> Source:
        """A folder of this place as a place of its own."""
        return Source(f"{self.place}/{folder}")

    def where(self, name: str) -> str:
        """What to call a file in a message."""
        return f"{self.place}/{name}"

    def file(self, name: str, what: str) -> Path:
        """The file on this machine; BadSample names it and ``what`` was expected where it is not there."""
        try:
            path = hub.fetch(*self.repository, name) if self.is_hub else Path(self.place) / name
            if path is not None and path.is_file():
                return path
            wrong = "is a folder" if path is not None and path.is_dir() else "not there"
        except OSError as error:
            wrong = f"cannot be opened ({error.strerror})"
        raise BadSample(f"{self.where(name)}: {wrong}, expected {what}")

    def names(self, pattern: str) -> list[str]:
        """Relative names of the files that match a pattern such as ``data/*.parquet``, sorted; * stays in a folder."""
        if self.is_hub:
            return [name for name in hub.names(*self.repository) if hub.matches(pattern, name)]
        return [str(path.relative_to(self.place)) for path in matching(Path(self.place), pattern)]

    def count(self, pattern: str) -> int:
        """How many files, or folders in a folder, that match are on this machine; asks no network."""
        return hub.count(*self.repository, pattern) if self.is_hub else len(matching(Path(self.place), pattern))


@dataclass(frozen=True)
class Expected:
    """A file or folder that a task reads.

    Attributes:
        source: Where it is looked for.
        name: Below it: a name, or patterns with * in them, " or " between alternatives.
        what: What it is; begins with "optional" where the task can do without it.
    """

    source: Source
    name: str
    what: str

    @property
    def path(self) -> str:
        return self.source.where(self.name)

    @property
    def optional(self) -> bool:
        return self.what.startswith("optional")

    @property
    def present(self) -> bool:
        """Whether it is on this machine."""
        return self._count > 0

    def count(self) -> int | None:
        """How many of a pattern with * in it are there; None of a single name."""
        return self._count if "*" in self.name else None

    @cached_property
    def _count(self) -> int:
        return sum(map(self.source.count, self.name.split(" or ")))
