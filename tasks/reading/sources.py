"""Where a benchmark's files lie: a folder on this machine, or a data set of the Hugging Face hub, file by file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from coreheads.errors import BadSample
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
        found = hub.fetch(*self.repository, name) if self.is_hub else self._local(name, what)
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
            return [name for name in hub.names(*self.repository) if hub.matches(pattern, name)]
        return sorted(str(path.relative_to(self.place)) for path in Path(self.place).glob(pattern))

    def present(self, pattern: str) -> bool:
        """Whether a file or folder that matches is on this machine; asks no network."""
        if self.is_hub:
            return hub.count(*self.repository, pattern) > 0
        return any(True for _ in Path(self.place).glob(pattern))
