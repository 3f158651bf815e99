"""What a replica of a model does in a process of its own, perhaps on another machine: part of a run, on copies of the
files that it needs. Whatever it writes there goes to the driver, which alone writes the run's folder.

Nothing here knows of Ray: a worker is an object whose calls give :class:`News` one after the other.
"""

from __future__ import annotations

import os
import platform
import queue
import sys
import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from coreheads import environment
from coreheads.config.cells import Cell
from coreheads.config.schema import ModelConfig, RunConfig
from coreheads.errors import UserError, one_line
from coreheads.run.costs import Costs, Work
from coreheads.run.replicas.news import About, End, News, Outbox, Place, Told
from coreheads.store.folder import RunFolder
from coreheads.store.schema import SCHEMA_VERSION

if TYPE_CHECKING:
    from coreheads.adapters.families.base import Adapter
    from coreheads.run.model import Finished, Loaded, ModelRun


class Worker:
    """A replica of one model. No two of its calls run at a time.

    Args:
        config: The run's.
        model: One of its models.
        cells: All of the model's.
        place: The driver's.
        threads: CPU threads of torch; None leaves them to torch.
    """

    def __init__(
        self, config: RunConfig, model: ModelConfig, cells: Sequence[Cell], place: Place, threads: int | None = None
    ) -> None:
        self.config, self.model, self.cells = config, model, {cell.name: cell for cell in cells}
        self._place = place
        self._adapter: Adapter | None = None
        self._loaded: Loaded | None = None
        # all of torch in one thread: how many threads it computes with is a thread's own setting
        self._thread = ThreadPoolExecutor(1, initializer=_set_threads, initargs=(threads,))

    def load(self, given: Mapping[str, bytes]) -> Iterator[News]:
        """Say what is here, then load the model. given: files of the run by name."""
        yield from self._call(self._load, (), given)

    def prepare(self, given: Mapping[str, bytes]) -> Iterator[News]:
        """Find the heads, where they are not given, and make the cells' patches."""
        yield from self._call(self._prepare, (), given)

    def evaluate(self, names: Sequence[str], given: Mapping[str, bytes], again: Collection[str]) -> Iterator[News]:
        """Answer what is left of cells of one task."""
        yield from self._call(lambda run: run.evaluate(run.cells, self._ready()), names, given, again)

    def time(self, names: Sequence[str], given: Mapping[str, bytes]) -> Iterator[News]:
        """Time the timed ones of all cells of one task."""
        yield from self._call(lambda run: run.time(run.cells, self._ready()), names, given)

    def _load(self, run: ModelRun) -> None:
        from coreheads.tasks import registry

        with suppress(OSError):  # as on a machine that does not have it
            os.chdir(self._place.folder)
        sys.argv = self._place.command
        for name in self.config.include:
            registry.include(name)
        run.progress.tell("about", self._about())  # type: ignore[attr-defined]  # it is one that tells
        with run.isolate(self.model.name, _broken):
            self._adapter = run.load()

    def _prepare(self, run: ModelRun) -> None:
        assert self._adapter is not None
        with run.isolate(self.model.name, _broken):
            self._loaded = run.prepare(self._adapter)

    def _ready(self) -> Loaded:
        assert self._loaded is not None
        return self._loaded

    def _call(
        self,
        what: Any,
        names: Sequence[str],
        given: Mapping[str, bytes],
        again: Collection[str] = (),
    ) -> Iterator[News]:
        from coreheads.run.model import Finished, ModelRun

        waiting: queue.SimpleQueue[News] = queue.SimpleQueue()
        with TemporaryDirectory(prefix="coreheads-", ignore_cleanup_errors=True) as scratch:
            config: Any = self.config.model_dump(mode="json")
            folder = RunFolder(Path(scratch), {"schema_version": SCHEMA_VERSION, "config": config, "invocations": []})
            box, finished = Outbox(folder.path, given), Finished()
            progress = Told(lambda *told: waiting.put(News(box.changes(), [told])))
            cells = [self.cells[name] for name in names] or list(self.cells.values())
            run = ModelRun(self.config, self.model, cells, folder, progress, again, finished)

            def work() -> None:
                end = self._done(what, run, progress.costs, finished)
                waiting.put(News(box.changes(), [], end))

            future: Future[None] = self._thread.submit(work)
            ended = False
            while not ended:
                try:
                    news = _together(waiting)
                except queue.Empty:
                    if future.done():
                        future.result()  # raises what nobody foresaw
                    continue
                ended = news.end is not None
                yield news

    def _done(self, what: Any, run: ModelRun, costs: Costs, finished: Finished) -> End:
        from coreheads.run.sources import model_sources

        try:
            what(run)
        except UserError as error:
            return End(wrong=str(error))
        except _Broken as error:
            return End(broken=str(error))
        except Exception as error:  # of the machine, as a full disk is: another one may do better
            run.folder.note_error(self.model.name, traceback.format_exc())
            return End(broken=f"{type(error).__name__}: {one_line(error)}")
        if self._adapter is not None:
            costs.note_peak(self.model.name, self._adapter.devices)
        spent = [(Work(*key), *values) for key, values in costs.spent.items()]
        sources = None if self._loaded is not None else model_sources(self.model)
        peak = costs.peak_bytes.get(self.model.name, 0)
        return End(None, None, finished.failed, finished.untimed, spent, peak, sources)

    def _about(self) -> About:
        from coreheads.hashing.source_code import whole_hash
        from coreheads.run.sources import made_from

        far = platform.node() != self._place.host
        sources = made_from(self.config, list(self.cells.values())) if far else None
        machine = environment.machine(self.config.device)
        return About(platform.node(), os.getpid(), whole_hash(), environment.versions(), machine, sources)


class _Broken(Exception):
    """A fault that was noted; the message is its reason."""


def _broken(reason: str) -> None:
    raise _Broken(reason)


def _set_threads(count: int | None) -> None:
    import torch

    if count is not None:
        torch.set_num_threads(count)


def _together(waiting: queue.SimpleQueue[News]) -> News:
    """All news that wait as one; Empty where there are none for a while."""
    news = waiting.get(timeout=1)
    while not (news.end or waiting.empty()):
        later = waiting.get()
        news = News([*news.files, *later.files], [*news.told, *later.told], later.end)
    return news


def gpus_needed(model: ModelConfig) -> int | str:
    """The fewest GPUs of this machine that hold a model; a text where there are none."""
    from coreheads.adapters.checkpoints.adapter import gpus_for

    try:
        return gpus_for(model.id, model.dtype, model.revision, model.trust_remote_code)
    except UserError as error:
        return str(error)
