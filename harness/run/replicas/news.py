"""What a worker tells its driver: what became of a run's files, how far it is, and how a call came out."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from coreheads.run.costs import Work
from coreheads.run.progress import RunProgress
from coreheads.store.provenance import Machine, MadeFrom, ModelSources

SENT = ("samples", "heads", "figures", "errors")
"""Folders of a run whose files a worker sends, beside cells.jsonl and timings.jsonl."""


class Change(NamedTuple):
    """What became of a file of the run: content is behind what was there, or in its place; none: the file is gone."""

    name: str
    content: bytes | None
    appended: bool


class Place(NamedTuple):
    """Where the driver is: its host, working folder (paths of the configuration are relative to it) and command."""

    host: str
    folder: str
    command: list[str]

    @classmethod
    def here(cls) -> Place:
        """This process's."""
        return cls(platform.node(), os.getcwd(), list(sys.argv))


class About(NamedTuple):
    """Where a worker is and what it runs. code: SHA-256 of all of our source; sources: on another machine than the
    driver's, what the run would be made from there."""

    host: str
    pid: int
    code: str
    versions: dict[str, str | None]
    machine: Machine
    sources: MadeFrom | None


@dataclass(frozen=True)
class End:
    """How a call came out.

    wrong: the input's fault, which ends the run. broken: why it could not be done here. failed, untimed: as those of
    ``model.Finished``. spent: (work, seconds, units). peak: bytes. sources: what a loaded model comes from.
    """

    wrong: str | None = None
    broken: str | None = None
    failed: Mapping[str, str] = field(default_factory=dict)
    untimed: Mapping[str, str] = field(default_factory=dict)
    spent: Sequence[tuple[Work, float, float]] = ()
    peak: int = 0
    sources: ModelSources | None = None


class News(NamedTuple):
    """What has happened since the last one. told: calls of the run's progress, each as its name and arguments; of a
    worker that begins ("about", an :class:`About`)."""

    files: list[Change]
    told: list[tuple[Any, ...]]
    end: End | None = None


class Share(NamedTuple):
    """What a replica takes of a cluster. node: on which machine it must be, by Ray's id."""

    cpus: int
    gpus: int
    node: str | None = None

    def __str__(self) -> str:
        return (
            f"{self.gpus} GPU{'s' * (self.gpus > 1)}" if self.gpus else f"{self.cpus} CPU core{'s' * (self.cpus > 1)}"
        )


class Lost(NamedTuple):
    """A worker is gone, and why."""

    reason: str


class Told(RunProgress):
    """Progress that is shown by the driver: what is called here is told, and called again there."""

    def __init__(self, tell: Callable[..., object]) -> None:
        super().__init__(shown=False)
        self.tell = tell

    @contextmanager
    def step(self, phase: str, title: str, total: int, unit: str = "samples") -> Iterator[None]:
        """Tell of it, and how it ends."""
        self.tell("step", phase, title, total, unit)
        with self._ending():
            yield

    @contextmanager
    def work(self, work: Work, units: int, text: str = "") -> Iterator[None]:
        """Tell of it, and how it ends; what it cost is counted here."""
        self.tell("work", work, units, text)
        with self._ending(), super().work(work, units, text):
            yield

    @contextmanager
    def _ending(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.tell("over", False)
            raise
        self.tell("over", True)

    def advance(self, count: int = 1, tokens: int = 0, computed: bool = True, work: Work | None = None) -> None:
        """Count it, and tell of it."""
        super().advance(count, tokens, computed, work)
        self.tell("advance", count, tokens, computed)

    def say(self, text: str) -> None:
        """Tell it."""
        self.tell("say", text)

    def warn(self, text: str) -> None:
        """Tell it."""
        self.tell("warn", text)


class Outbox:
    """What of a run's files on this machine the driver has not got yet."""

    def __init__(self, folder: Path, given: Mapping[str, bytes]) -> None:
        self._folder, self._sent = folder, dict(given)
        self._states: dict[str, tuple[int, int]] = {}
        for name in SENT:
            (folder / name).mkdir()
        for name, content in given.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def changes(self) -> list[Change]:
        """Since the last call, of whole files: nothing may be writing now."""
        found: list[Change] = []
        names = {
            path.relative_to(self._folder).as_posix(): path
            for path in (*self._folder.glob("*.jsonl"), *(p for name in SENT for p in (self._folder / name).rglob("*")))
            if path.is_file()
        }
        for name in self._sent.keys() - names.keys():
            del self._sent[name]
            found.append(Change(name, None, False))
        for name, path in sorted(names.items()):
            about = path.stat()
            state = about.st_size, about.st_mtime_ns
            if self._states.get(name) != state:
                self._states[name] = state
                content, before = path.read_bytes(), self._sent.get(name)
                if content != before:
                    appended = name.endswith(".jsonl") and content.startswith(before or b"")
                    found.append(Change(name, content[len(before or b"") :] if appended else content, appended))
                    self._sent[name] = content
        return found
