"""A replica of a model as its driver sees it: what it is at, and how far that is."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from coreheads.config.cells import Cell
from coreheads.run.costs import Work
from coreheads.run.progress import RunProgress
from coreheads.run.replicas.news import Lost, News, Share
from coreheads.store.samples import SampleFile


class Workers(Protocol):
    """What runs workers, as ``cluster.Cluster`` does."""

    def start(self, share: Share, *arguments: Any) -> Any:
        """A worker."""

    def call(self, worker: Any, what: str, *arguments: Any) -> Any:
        """Have it do something; gives what ``wait`` takes."""

    def stop(self, worker: Any) -> None:
        """End it now."""

    def wait(self, calls: list[Any], seconds: float) -> list[tuple[int, News | Lost]]:
        """What some of the calls have told, by their places."""

    def check_room(self, share: Share) -> None:
        """UserError where there is no room for a worker any more."""

    def whole_node(self, share: Share) -> Share:
        """All of a machine."""


@dataclass
class Replica:
    """state: "new", "loaded" or "ready", after so many starts. call, what: its job now. cell: that it answers, with the
    store of its samples, how many there were before (known), and how many units were told (done). task: whose prompts
    it has prepared."""

    number: int
    share: Share
    worker: Any
    state: str = "new"
    starts: int = 0
    host: str = ""
    call: Any = None
    what: str = ""
    cell: Cell | None = None
    store: SampleFile | None = None
    task: str = ""
    known: int = 0
    done: int = 0
    _shown: list[AbstractContextManager[None]] = field(default_factory=list)

    @property
    def doing(self) -> str:
        """Its job in words."""
        return self.cell.name if self.cell is not None else " ".join(filter(None, (self.what, self.task)))

    def answer(self, cell: Cell, store: SampleFile) -> None:
        """It is at a cell now."""
        self.cell, self.store, self.known, self.done, self.task = cell, store, len(store), 0, cell.task

    def leave(self) -> tuple[Cell | None, bool]:
        """It is at no cell any more; gives the cell, and whether it has answered any of it."""
        cell, store = self.cell, self.store
        self.cell = self.store = None
        return cell, store is not None and len(store) > self.known

    def show(self, progress: RunProgress, alone: bool, kind: str, *arguments: Any) -> None:
        """Call the run's progress as the worker did its own. alone: no replica is at a cell: else only what is done of
        cells is told, since they are done side by side."""
        if kind in ("say", "warn"):
            getattr(progress, kind)(*arguments)
        elif self.cell is not None:
            if kind == "advance":
                count, tokens, computed = arguments
                self.done += count
                progress.advance(count, tokens, computed, work_of(self.cell))
        elif self.what == "load" or not alone:
            pass
        elif kind == "advance":
            progress.advance(*arguments)
        elif kind == "over":
            _end(self._shown.pop(), *arguments)
        else:
            opened = getattr(progress, kind)(*arguments)
            opened.__enter__()
            self._shown.append(opened)

    def break_off(self) -> None:
        """What is shown of its job is not done after all."""
        while self._shown:
            _end(self._shown.pop(), False)


def work_of(cell: Cell) -> Work:
    """Answering a cell, as progress counts it."""
    return Work("answer", cell.model, cell.task, cell.patch, cell.name)


class _BrokenOff(Exception):
    """Ends what is shown of work that did not go well."""


def _end(shown: AbstractContextManager[None], well: bool) -> None:
    if well:
        shown.__exit__(None, None, None)
    else:
        shown.__exit__(_BrokenOff, _BrokenOff(), None)
