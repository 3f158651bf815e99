"""Seconds of each phase of a generation, with the device's queue emptied at every reading."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn

from coreheads.adapters.generation.devices import synchronize


@dataclass
class Clock:
    """Adds up the seconds of one run on its devices by phase; where it is not ``on``, nothing is read."""

    devices: Sequence[torch.device]
    on: bool
    seconds: dict[str, float] = field(default_factory=lambda: {"vision_s": 0.0, "prefill_s": 0.0, "decode_s": 0.0})
    _chosen: list[Callable[[], float]] = field(default_factory=list)

    def now(self) -> float:
        """Seconds of a clock without a zero, after everything before has run; 0 when not ``on``."""
        if not self.on:
            return 0.0
        synchronize(self.devices)
        return time.perf_counter()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add what the block takes to ``seconds[name]``."""
        started = self.now()
        yield
        self.seconds[name] += self.now() - started

    @contextmanager
    def choosing(self, sample: int, like: object, device: torch.device) -> Iterator[None]:
        """Time what a patch computes on a device to choose tokens or keys, without waiting for it; see ``select_s``."""
        if device.type == "cuda":
            # a GPU notes the times itself when it comes to these places of its queue
            began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            began.record(torch.cuda.current_stream(device))
            yield
            ended.record(torch.cuda.current_stream(device))
            self._chosen.append(lambda: began.elapsed_time(ended) / 1000)
            return
        started = time.perf_counter()
        yield
        spent = time.perf_counter() - started
        self._chosen.append(lambda: spent)

    def select_s(self) -> float | None:
        """Seconds that choosing took so far, of work that the devices have done; None where nothing was chosen, and on
        a device that works on while its host does, and keeps no times."""
        if not self._chosen or any(device.type not in ("cpu", "cuda") for device in self.devices):
            return None
        return sum(seconds() for seconds in self._chosen)

    @contextmanager
    def watching(self, modules: Sequence[nn.Module]) -> Iterator[None]:
        """Time the vision tower's modules wherever they are called."""
        if not self.on:
            yield
            return
        began: list[float] = []

        def before(*_: object) -> None:
            began.append(self.now())

        def after(*_: object) -> None:
            self.seconds["vision_s"] += self.now() - began.pop()

        hooks = [module.register_forward_pre_hook(before) for module in modules]
        hooks += [module.register_forward_hook(after) for module in modules]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
