"""What a run's work has cost on a machine, in seconds and bytes: kept beside the run, and used to foresee the next one.

A piece of work is of one kind: ``load`` (a model; 1 unit), ``profile`` (finding heads on a task; units are samples),
``answer`` (a task's answers under a patch; units are answers) or ``time`` (a task's speed; units are repeats).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coreheads import environment
from coreheads.errors import UserError
from coreheads.files import read_json, write_json

SCHEMA_VERSION = 1
FILE = "costs.json"

Key = tuple[str, str, str, str]
"""(kind, model, task, patch); "" where it does not matter."""


@dataclass
class Work:
    """Something left to do; units None where nobody has counted them yet; cell: whose answers they are."""

    kind: str
    model: str
    task: str = ""
    patch: str = ""
    units: float | None = 1
    cell: str = ""

    @property
    def key(self) -> Key:
        return self.kind, self.model, self.task, self.patch


@dataclass
class Costs:
    """spent: (seconds, units) by key. peak_bytes: the most memory in use while a model ran, by its name. machine: the
    device in words. source: where it was read from."""

    machine: str = ""
    spent: dict[Key, tuple[float, float]] = field(default_factory=dict)
    peak_bytes: dict[str, int] = field(default_factory=dict)
    source: Path | None = None

    def add(self, work: Work, seconds: float, units: float) -> None:
        """Note that so many units of the work took so many seconds."""
        if units > 0 and seconds >= 0:
            before = self.spent.get(work.key, (0.0, 0.0))
            self.spent[work.key] = before[0] + seconds, before[1] + units

    def peak(self, model: str, size: int | None) -> None:
        if size is not None:
            self.peak_bytes[model] = max(size, self.peak_bytes.get(model, 0))

    def rate(self, work: Work) -> float | None:
        """Seconds a unit: of this very work; else of its task under other patches; else of its model on other tasks.

        None where nothing of the kind was measured for the model.
        """
        for depth in (4, 3, 2):
            like = [value for key, value in self.spent.items() if key[:depth] == work.key[:depth]]
            if like:
                return sum(seconds for seconds, _ in like) / sum(units for _, units in like)
        return None

    def estimate(self, works: Iterable[Work], live: tuple[Work, float] | None = None) -> tuple[float, list[Work]]:
        """(seconds of what can be foreseen, the works that cannot).

        live: a work that runs now and its seconds a unit so far, for what is like it and was never measured.
        """
        total, unknown = 0.0, []
        for work in works:
            rate = self.rate(work)
            if rate is None and live is not None and live[0].key[:2] == work.key[:2]:
                rate = live[1]
            if rate is None or work.units is None:
                unknown.append(work)
            else:
                total += rate * work.units
        return total, [work for work in unknown if work.units != 0]

    def save(self, folder: Path) -> None:
        """Write costs.json."""
        spent = [
            {**dict(zip(("kind", "model", "task", "patch"), key, strict=True)), "seconds": seconds, "units": units}
            for key, (seconds, units) in self.spent.items()
        ]
        content = {"machine": self.machine, "spent": spent, "peak_bytes": self.peak_bytes}
        write_json(folder / FILE, {"schema_version": SCHEMA_VERSION, **content})

    @classmethod
    def load(cls, folder: Path) -> Costs | None:
        """A run folder's; None where it has none of use: they are a convenience, and stop nothing."""
        try:
            content: Any = read_json(folder / FILE)
            if content["schema_version"] != SCHEMA_VERSION:
                return None
            found = cls(str(content["machine"]), source=folder)
            for line in content["spent"]:
                work = Work(str(line["kind"]), str(line["model"]), str(line["task"]), str(line["patch"]))
                found.add(work, float(line["seconds"]), float(line["units"]))
            found.peak_bytes = {str(name): int(size) for name, size in content["peak_bytes"].items()}
        except (UserError, KeyError, TypeError, ValueError, AttributeError, OverflowError):
            return None
        return found


def of_run(folder: Path, device: str) -> Costs:
    """What the run has cost so far on this machine; nothing where it has not begun, or began on another one."""
    machine = environment.device_name(device)
    found = Costs.load(folder)
    return found if found is not None and found.machine == machine else Costs(machine)


def last_known(folder: Path, device: str, models: Iterable[str], tasks: Iterable[str]) -> Costs:
    """This run's own costs, or where it has none those of the newest run beside it, on this machine, of all these
    models and tasks; empty ones where there is no such run."""
    own = of_run(folder, device)
    if own.spent:
        return own
    wanted = {("answer", model, task) for model in models for task in tasks}
    try:
        files = sorted(folder.parent.glob(f"*/{FILE}"), key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return own
    for path in files:
        found = Costs.load(path.parent)
        if found is not None and found.machine == own.machine and wanted <= {key[:3] for key in found.spent}:
            return found
    return own


def peak_bytes(device: Any) -> int | None:
    """The most memory in use so far: allocated on a GPU since it was last asked to count anew, else resident in this
    process since it began; None where the system does not say."""
    if str(device).startswith("cuda"):
        import torch

        size: int = torch.cuda.max_memory_allocated(device)
        return size
    try:
        import resource
    except ImportError:
        return None
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else 1024 * size
