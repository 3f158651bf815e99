"""Seconds of each phase of a generation, with the device's queue emptied at every reading."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn


@dataclass
class Clock:
    """Adds up the seconds of one run on a device by phase; where it is not ``on``, nothing is read."""

    device: torch.device
    on: bool
    seconds: dict[str, float] = field(default_factory=lambda: {"vision_s": 0.0, "prefill_s": 0.0, "decode_s": 0.0})
    _chosen: list[Callable[[], float]] = field(default_factory=list)

    def now(self) -> float:
        """Seconds of a clock without a zero, after everything before has run; 0 when not ``on``."""
        if not self.on:
            return 0.0
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()
        return time.perf_counter()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add what the block takes to ``seconds[name]``."""
        started = self.now()
        yield
        self.seconds[name] += self.now() - started

    @contextmanager
    def choosing(self, sample: int, like: object) -> Iterator[None]:
        """Time what a patch computes to choose tokens or keys, without waiting for the device; see ``select_s``."""
        if self.device.type == "cuda":
            # a GPU notes the times itself when it comes to these places of its queue
            began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            began.record()
            yield
            ended.record()
            self._chosen.append(lambda: began.elapsed_time(ended) / 1000)
            return
        started = time.perf_counter()
        yield
        spent = time.perf_counter() - started
        self._chosen.append(lambda: spent)

    def select_s(self) -> float | None:
        """Seconds that choosing took so far, of work that the device has done; None where nothing was chosen, and on a
        device that works on while its host does, and keeps no times."""
        if not self._chosen or self.device.type not in ("cpu", "cuda"):
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
