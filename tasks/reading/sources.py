"""Where a benchmark's files lie: a folder on this machine, or a data set of the Hugging Face hub, file by file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from coreheads import limits
from coreheads.errors import BadSample, UserError
from coreheads.files import matching
from coreheads.tasks.reading import hub, pieces

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
        wrong = "not there"
        try:
            path = hub.fetch(*self.repository, name) if self.is_hub else Path(self.place) / name
            if path is not None:
                kind = limits.irregular(path.stat())
                if not kind:
                    return path
                wrong = f"is {kind}"
        except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a name with a null character
            pass
        except OSError as error:
            wrong = f"cannot be opened ({error.strerror})"
        raise BadSample(f"{self.where(name)}: {wrong}, expected {what}")

    def names(self, pattern: str) -> list[str]:
        """Relative names of the files that match a pattern such as ``data/*.parquet``, sorted; * stays in a folder.

        Raises:
            UserError: They are numbered pieces of a set, and not all of one set.
        """
        if self.is_hub:
            names = [name for name in hub.names(*self.repository) if hub.matches(pattern, name)]
        else:
            names = self._there(pattern)
        if wrong := self._fault(names, pattern):
            raise UserError(self.where(wrong))
        return names

    def count(self, pattern: str) -> int:
        """How many files, or folders in a folder, that match are on this machine; asks no network."""
        return len(self._there(pattern))

    def whole(self, pattern: str) -> bool:
        """Whether a file that matches is on this machine, and where they are numbered all of them."""
        names = self._there(pattern)
        return bool(names) and not self._fault(names, pattern)

    def _there(self, pattern: str) -> list[str]:
        if self.is_hub:
            return [name for name in hub.cached(*self.repository) if hub.matches(pattern, name)]
        return [str(path.relative_to(self.place)) for path in matching(Path(self.place), pattern)]

    def _fault(self, names: list[str], pattern: str) -> str:
        """What keeps the files of a pattern, and unfinished downloads beside them, from being one whole set."""
        if not pieces.numbered(names):
            return ""
        # the hub's cache keeps unfinished downloads elsewhere
        beside = [] if self.is_hub else [name for name in self._there(f"{pattern}.*") if name.endswith(pieces.CUT_OFF)]
        return pieces.fault([*names, *beside])


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
        """Whether it is on this machine, the whole of it where it is a set in numbered pieces."""
        return any(map(self.source.whole, self.name.split(" or ")))

    def count(self) -> int | None:
        """How many of a pattern with * in it are there; None of a single name."""
        return self._count if "*" in self.name else None

    @cached_property
    def _count(self) -> int:
        return sum(map(self.source.count, self.name.split(" or ")))
