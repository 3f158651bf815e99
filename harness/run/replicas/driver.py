"""One model's part of a run by several replicas of it, each in a process of its own; this process alone writes the run.

A cell is answered by one replica. One that is lost is replaced, and its cell is given out again with the lines that
came. When all cells are done the replicas end, and one that has a machine to itself times what is to be timed.
"""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from coreheads.config.cells import Cell
from coreheads.errors import UserError
from coreheads.hashing.contents import changed_parts
from coreheads.run import costs
from coreheads.run.costs import Work
from coreheads.run.model import ModelRun
from coreheads.run.replicas import mirror
from coreheads.run.replicas.cell_queue import TRIES, CellQueue
from coreheads.run.replicas.machines import check_worker
from coreheads.run.replicas.news import About, End, Lost, News, Place, Share
from coreheads.run.replicas.replica import Replica, Workers, work_of
from coreheads.run.sources import note_model
from coreheads.store.provenance import Machine, ModelSources
from coreheads.tasks import registry

WAIT_S = 5.0
"""Seconds after which it is looked whether the cluster is still there."""
PATIENCE_S = 60.0
"""Seconds without any worker after which it is said that one is waited for."""


class Replicas:
    """run: what is to be done, not by itself. share: what a replica takes. count: how many there are to be."""

    def __init__(self, run: ModelRun, workers: Workers, share: Share, count: int) -> None:
        self._run, self._workers, self._share, self._count = run, workers, share, count
        self._folder, self._progress, self._name = run.folder, run.progress, run.model.name
        self._pool: list[Replica] = []
        self._queue = CellQueue(run.left(run.cells), run.cells)
        self._to_time: list[str] = []
        self._units: dict[str, int] = {}
        self._sources: tuple[ModelSources, str] | None = None
        self._machines: dict[str, Machine] = {}
        self._why = ""

    def run(self) -> None:
        """Do what is left. Raises UserError where that is the input's fault, or the workers are gone for good."""
        if self._queue.left:
            self._answer()
        self._progress.costs.save(self._folder.path)
        tasks = self._run.config.evaluate.tasks if not self._why else ()
        self._to_time = [task for task in tasks if self._run.untimed(self._cells(task))]
        if self._to_time:
            self._progress.say(f"{self._name}: one replica that has a machine to itself times")
            with self._started(self._workers.whole_node(self._share), 1, None):
                self._until(lambda: not self._to_time and all(replica.what != "time" for replica in self._pool))
            for task in self._to_time:
                self._run.fail_timing(self._run.untimed(self._cells(task)), self._why)
            self._progress.costs.save(self._folder.path)

    def _answer(self) -> None:
        left = self._queue.left
        count = min(self._count, len(left))
        title = f"{self._name} by {count} replica{'s' * (count > 1)}"
        with self._started(self._share, count, None if self._share.gpus else 1):
            load = Work("load", self._name)
            with self._progress.step("loading", title, 1, "models"), self._progress.work(load, 1):
                self._until(lambda: any(replica.state != "new" for replica in self._pool))
                self._progress.advance()
            self._until(lambda: any(replica.state == "ready" for replica in self._pool))
            if self._pool:
                self._units = {cell.name: cell.span(self._available(cell.task))[1] for cell in left}
                with self._progress.step("evaluating", title, sum(self._units.values())):
                    self._until(lambda: not left and all(replica.cell is None for replica in self._pool))
            if self._pool:
                self._why = ""
            else:
                self._run.fail_all(self._why)

    @contextmanager
    def _started(self, share: Share, count: int, threads: int | None) -> Iterator[None]:
        """So many replicas while the block lasts. threads: of torch on a CPU; None are its own choice."""
        run = self._run
        self._arguments = (run.config, run.model, run.cells, Place.here(), threads)
        try:
            for number in range(count):
                self._pool.append(Replica(number + 1, share, self._workers.start(share, *self._arguments)))
            yield
        finally:
            while self._pool:
                self._workers.stop(self._pool.pop().worker)

    def _cells(self, task: str) -> list[Cell]:
        return [cell for cell in self._run.cells if cell.task == task]

    def _available(self, task: str) -> int:
        """How many samples a task has."""
        config = self._run.config
        options = config.options.get(task)
        return len(registry.get(task).records(config.evaluate.split, None, config.data_root, options=options))

    def _until(self, done: Callable[[], bool]) -> None:
        """Give replicas work and hear what comes of it until it is done, or none is left."""
        since: float | None = time.monotonic()
        while not done():
            for replica in self._pool:
                if replica.call is None:
                    self._assign(replica)
            busy = [replica for replica in self._pool if replica.call is not None]
            if not busy:
                return
            for place, news in self._workers.wait([replica.call for replica in busy], WAIT_S):
                self._hear(busy[place], news)
            if since is not None and time.monotonic() - since > PATIENCE_S:
                since = None
                if not any(replica.host for replica in self._pool):
                    self._progress.say("no replica has started yet: others may be using the cluster's devices")

    def _assign(self, replica: Replica) -> None:
        """Have a replica do what is next, if anything is."""
        if replica.state == "new":
            replica.starts += 1
            self._call(replica, "load", {})
        elif replica.state == "loaded":
            # the first one finds the heads, the others are given them
            if all(other.what != "prepare" for other in self._pool):
                self._call(replica, "prepare", mirror.to_prepare(self._folder, self._run.cells))
        elif self._to_time:
            replica.task = self._to_time.pop(0)
            cells = self._cells(replica.task)
            self._call(replica, "time", [cell.name for cell in cells], mirror.to_time(self._folder, cells))
        elif (cell := self._queue.take(replica, self._pool)) is not None:
            replica.answer(cell, self._folder.samples(cell.name))
            self._progress.begin(work_of(cell), self._units[cell.name])
            again = [cell.name] if cell.name in self._run.again else []
            given = mirror.to_answer(self._folder, cell, self._queue.measure(cell))
            self._call(replica, "evaluate", [cell.name], given, again)

    def _call(self, replica: Replica, what: str, *arguments: Any) -> None:
        replica.what, replica.call = what, self._workers.call(replica.worker, what, *arguments)

    def _hear(self, replica: Replica, news: News | Lost) -> None:
        if isinstance(news, Lost):
            self._replace(replica, news.reason)
            return
        mirror.store(self._folder, news.files, replica.store)
        for kind, *told in news.told:
            if kind == "about":
                self._meet(replica, *told)
            else:
                replica.show(self._progress, all(other.cell is None for other in self._pool), kind, *told)
        if news.end is not None:
            self._end(replica, news.end)

    def _meet(self, replica: Replica, about: About) -> None:
        """A worker is there: see whether it may work on this run, and note what it works on."""
        replica.host = about.host
        if (odd := check_worker(about, self._folder.manifest.get("made_from"))) is not None:
            self._progress.warn(odd)
        if replica.share.node is None:
            if not self._machines:
                self._progress.costs = costs.of_run(self._folder.path, about.machine["name"])
                self._progress.costs.replicas = len(self._pool)
            self._machines[about.machine["name"]] = about.machine
            self._folder.note_replicas({**about.machine, "name": " + ".join(self._machines)}, len(self._pool))
        self._progress.say(f"replica {replica.number} is process {about.pid} on {about.host}")

    def _end(self, replica: Replica, end: End) -> None:
        """A call is over."""
        what, replica.call, replica.what = replica.what, None, ""
        if end.wrong is not None:
            raise UserError(end.wrong if replica.host == platform.node() else f"{replica.host}: {end.wrong}")
        if end.broken is not None:
            self._undo(replica, what, end.broken, final=True)
            return
        self._run.finished.failed.update(end.failed)
        self._run.finished.untimed.update(end.untimed)
        self._progress.costs.add_all(self._name, end.spent if what == "evaluate" else (), end.peak)
        if what == "load":
            replica.state = "loaded"
            self._compare(replica, end.sources or {})
        elif what == "prepare":
            replica.state, replica.starts = "ready", 0
            shutil.rmtree(self._folder.path_of("heads", "partial"), ignore_errors=True)
        elif what == "evaluate" and (cell := replica.leave()[0]) is not None:
            self._progress.left[work_of(cell)] = 0

    def _compare(self, replica: Replica, sources: ModelSources) -> None:
        """UserError where a replica has another checkpoint than the first one, or than the run's answers come from."""
        if self._sources is None:
            self._sources = sources, replica.host
            note_model(self._folder, self._run.model, sources)
        elif parts := changed_parts(self._sources[0], sources):
            what = f"{' and '.join(parts)} of model {self._name} ({self._run.model.id})"
            raise UserError(f"--ray: {replica.host} has other {what} than {self._sources[1]}; expected one checkpoint")

    def _replace(self, replica: Replica, reason: str) -> None:
        """A worker is gone: another one takes its place, and what it did is done again."""
        self._progress.say(f"replica {replica.number} was lost at {replica.doing}: {reason}")
        what, replica.call, replica.what, replica.state = replica.what, None, "", "new"
        self._workers.stop(replica.worker)
        self._undo(replica, what, reason)
        if replica in self._pool:
            self._workers.check_room(replica.share)
            replica.worker = self._workers.start(replica.share, *self._arguments)

    def _undo(self, replica: Replica, what: str, reason: str, final: bool = False) -> None:
        """Have done again what a replica could not do, or after so many times have no one do it. final: by a fault of
        its machine, which it would meet again."""
        replica.break_off()
        cell, forward = replica.leave()
        if cell is not None:
            self._progress.advance(-replica.done, computed=False, work=work_of(cell))
            if self._queue.lose(cell.name, forward):
                self._run.fail([cell], f"{TRIES} workers were lost over it without a new answer: {reason}")
                self._progress.left[work_of(cell)] = 0
            else:
                self._queue.left.append(cell)
        elif what == "time":
            if self._queue.lose(f"time {replica.task}"):
                self._run.fail_timing(self._run.untimed(self._cells(replica.task)), reason)
            else:
                self._to_time.insert(0, replica.task)
        if final or replica.starts >= TRIES:
            self._pool.remove(replica)
            self._workers.stop(replica.worker)
            self._why = reason
            self._progress.warn(f"replica {replica.number} of {self._name} is given up: {reason}")
