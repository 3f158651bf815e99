"""Where a benchmark's files lie: a folder on this machine, or a data set of the Hugging Face hub, file by file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from coreheads.errors import BadSample

HUB = "hub:"


@dataclass(frozen=True)
class Source:
    """A place with files under relative names; ``place`` is a folder, or hub:owner/name[@revision].

    Nothing is listed or fetched before it is asked for. From the hub a file is fetched when it is first opened, into
    huggingface_hub's own cache.
    """

    place: str

    @classmethod
    def of(cls, place: str | Path | Source) -> Source:
        return place if isinstance(place, Source) else cls(str(place))

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
        if self.is_hub:
            from coreheads.tasks.reading import hub

            found = hub.fetch(*self.repository, name)
        else:
            found = self._local(name, what)
        if found is None:
            raise BadSample(f"{self.where(name)}: not there, expected {what}")
        return found

    def _local(self, name: str, what: str) -> Path | None:
        path = Path(self.place) / name
        try:
            if path.is_dir():
                raise BadSample(f"{self.where(name)}: is a folder, expected {what}")
            return path if path.is_file() else None
        except OSError as error:
            raise BadSample(f"{self.where(name)}: cannot be opened ({error.strerror}), expected {what}") from None

    def names(self, pattern: str) -> list[str]:
        """Relative names of the files that match a pattern such as ``data/*.parquet``, sorted; * stays in a folder."""
        if self.is_hub:
            from coreheads.tasks.reading import hub

            return [name for name in hub.names(*self.repository) if matches(pattern, name)]
        return sorted(str(path.relative_to(self.place)) for path in Path(self.place).glob(pattern))

    def present(self, pattern: str) -> bool:
        """Whether a file or folder that matches is on this machine; asks no network."""
        if self.is_hub:
            from coreheads.tasks.reading import hub

            return hub.cached(*self.repository, pattern)
        return any(True for _ in Path(self.place).glob(pattern))


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("[^/]*".join(re.escape(part) for part in pattern.split("*")))


def matches(pattern: str, name: str) -> bool:
    """Whether a relative name, or a folder it lies in, fits a pattern whose * stays in a folder."""
    found = _compiled(pattern).match(name)
    return found is not None and (found.end() == len(name) or name[found.end()] == "/")
