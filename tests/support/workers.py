"""Workers of a run in this process, which are lost when a test wants it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from coreheads.run.replicas.news import Lost, News, Share
from coreheads.run.replicas.worker import Worker

Fault = Callable[[int, str], bool]
"""Called at every news with its number from 1 and what the worker was to do: whether it is lost before it tells it."""


class HereWorkers:
    """Stands for ``cluster.Cluster``. Calls advance in turns, so that cells are done side by side.

    Attributes:
        started: The share of each worker that was started.
        jobs: (number of the worker, what, its first argument) of each call.
        job: What is to be told of next.
    """

    def __init__(self, fault: Fault = lambda number, what: False) -> None:
        self.fault = fault
        self.started: list[Share] = []
        self.jobs: list[tuple[int, str, Any]] = []
        self.job: tuple[str, Any] = "", ()
        self._turn = 0
        self._thread = ThreadPoolExecutor(1)  # transformers cannot load two models in two threads
        self._running: dict[int, tuple[str, Any]] = {}

    def start(self, share: Share, *arguments: Any) -> tuple[int, Worker]:
        self.started.append(share)
        worker = Worker(*arguments)
        worker._thread = self._thread
        return len(self.started), worker

    def call(self, worker: tuple[int, Worker], what: str, *arguments: Any) -> Iterator[News]:
        number, own = worker
        self.jobs.append((number, what, arguments[0]))
        call: Iterator[News] = getattr(own, what)(*arguments)
        self._running[id(call)] = what, arguments[0]
        return call

    def stop(self, worker: tuple[int, Worker]) -> None: ...

    def wait(self, calls: list[Iterator[News]], seconds: float) -> list[tuple[int, News | Lost]]:
        self._turn += 1
        place = self._turn % len(calls)
        news = next(calls[place])
        self.job = self._running[id(calls[place])]
        if self.fault(self._turn, self.job[0]):
            for _ in calls[place]:  # nobody hears it
                pass
            return [(place, Lost("killed"))]
        return [(place, news)]

    def check_room(self, share: Share) -> None: ...

    def whole_node(self, share: Share) -> Share:
        return Share(2, 0, "here")
