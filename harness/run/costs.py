"""What a run's work has cost on a machine, in seconds and bytes: kept beside the run, to foresee the next one."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from coreheads import environment, limits
from coreheads.errors import UserError
from coreheads.files import matching, read_json, write_json
from coreheads.store.provenance import CostsRecord
from coreheads.store.schema import SCHEMA_VERSION
from coreheads.store.validation import checked

FILE = "costs.json"


class Work(NamedTuple):
    """A piece of work, counted in the units of its kind: see ``store.provenance.SpentRecord``. cell: whose answers."""

    kind: str
    model: str
    task: str = ""
    patch: str = ""
    cell: str = ""


Left = Mapping[Work, float | None]
"""Work that is not done yet, with its units; None where nobody has counted them."""


@dataclass
class Costs:
    """spent: (seconds, units) by kind, model, task and patch. source: the folder that it was read from. replicas: how
    many cells are answered at a time."""

    machine: str = ""
    spent: dict[tuple[str, ...], tuple[float, float]] = field(default_factory=dict)
    peak_bytes: dict[str, int] = field(default_factory=dict)
    source: Path | None = None
    replicas: int = 1

    def add(self, work: Work, seconds: float, units: float) -> None:
        """Note that so many units of the work took so many seconds."""
        if units > 0:
            before = self.spent.get(work[:4], (0.0, 0.0))
            self.spent[work[:4]] = before[0] + seconds, before[1] + units

    def add_all(self, model: str, spent: Iterable[tuple[Work, float, float]], peak: int) -> None:
        """Note what a replica of a model has done: (work, seconds, units), and the most bytes that it took."""
        for work, seconds, units in spent:
            self.add(work, seconds, units)
        self.peak_bytes[model] = max(peak, self.peak_bytes.get(model, 0))

    def note_peak(self, model: str, devices: Sequence[Any]) -> None:
        """Note the most memory in use so far: allocated on all its GPUs since they last counted anew, else resident in
        this process since it began; nothing where the system does not say."""
        from coreheads.adapters.generation.devices import peak

        if (allocated := peak(devices)) is not None:
            size = allocated.total
        else:
            try:
                import resource
            except ImportError:
                return
            size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        self.peak_bytes[model] = max(size, self.peak_bytes.get(model, 0))

    def rate(self, work: Work) -> float | None:
        """Seconds a unit: of this very work; else of its task under other patches; else of its model on other tasks.

        None where nothing of the kind was measured for the model.
        """
        for depth in (4, 3, 2):
            like = [spent for key, spent in self.spent.items() if key[:depth] == work[:depth]]
            if like:
                return sum(seconds for seconds, _ in like) / sum(units for _, units in like)
        return None

    def estimate(self, left: Left, live: tuple[Work, float] | None = None) -> tuple[float, list[Work]]:
        """(seconds of what can be foreseen, the work that cannot).

        live: work that runs now and its seconds a unit so far, for what is like it and was never measured.
        """
        total, unknown = 0.0, []
        for work, units in left.items():
            rate = self.rate(work)
            if rate is None and live is not None and live[0][:2] == work[:2]:
                rate = live[1]
            if rate is not None and units is not None:
                total += rate * units / (self.replicas if work.kind == "answer" else 1)
            elif units != 0:
                unknown.append(work)
        return total, unknown

    def save(self, folder: Path) -> None:
        """Write costs.json."""
        spent = [
            dict(zip(("kind", "model", "task", "patch", "seconds", "units"), (*key, *values), strict=True))
            for key, values in self.spent.items()
        ]
        content = {"machine": self.machine, "spent": spent, "peak_bytes": self.peak_bytes}
        write_json(folder / FILE, {"schema_version": SCHEMA_VERSION, **content})

    @classmethod
    def load(cls, folder: Path) -> Costs | None:
        """A run folder's; None where it has none of use: they are a convenience, and stop nothing."""
        try:
            path = folder / FILE
            stored = checked(CostsRecord, read_json(path, limits.STORED_BYTES, folder), str(path), "costs")
        except UserError:
            return None
        costs = cls(stored["machine"], {}, stored["peak_bytes"], folder)
        for line in stored["spent"]:
            costs.add(Work(line["kind"], line["model"], line["task"], line["patch"]), line["seconds"], line["units"])
        return costs


def of_run(folder: Path, machine: str) -> Costs:
    """What the run has cost so far on a machine (its device in words); nothing where it began on another one."""
    costs = Costs.load(folder)
    return costs if costs is not None and costs.machine == machine else Costs(machine)


def last_known(folder: Path, device: str, models: Iterable[str], tasks: Iterable[str]) -> Costs:
    """This run's own costs, or where it has none those of the newest run beside it, on this machine, of all these
    models and tasks; empty ones where there is no such run."""
    own = of_run(folder, environment.device_name(device))
    if own.spent:
        return own
    wanted = {("answer", model, task) for model in models for task in tasks}
    try:
        files = sorted(matching(folder.parent, f"*/{FILE}"), key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return own
    others = filter(None, (Costs.load(path.parent) for path in files))
    fit = (other for other in others if other.machine == own.machine and wanted <= {key[:3] for key in other.spent})
    return next(fit, own)
