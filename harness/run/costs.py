"""What a run's work has cost on a machine, in seconds and bytes: kept beside the run, to foresee the next one."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from coreheads import environment, limits
from coreheads.config.schema import default_path
from coreheads.errors import UserError
from coreheads.files import matching, read_json, write_json
from coreheads.store.provenance import CostsRecord
from coreheads.store.schema import SCHEMA_VERSION
from coreheads.store.validation import checked

FILE = "costs.json"
TELLING = 0.1
"""Share of the time measured so far from which on a kind of work says by itself how fast it is."""


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
    many cells are answered at a time. like: those of another run, which stand in, at this machine's pace, for what was
    not measured here yet."""

    machine: str = ""
    spent: dict[tuple[str, ...], tuple[float, float]] = field(default_factory=dict)
    peak_bytes: dict[str, int] = field(default_factory=dict)
    source: Path | None = None
    replicas: int = 1
    like: Costs | None = None

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

    def with_live(self, work: Work, seconds: float, units: float) -> Costs:
        """The same with work that is not finished yet."""
        costs = replace(self, spent=dict(self.spent))
        costs.add(work, seconds, units)
        return costs

    def rate(self, work: Work) -> float | None:
        """Seconds a unit: of this very work; else of its task under other patches; else of its model on other tasks.

        At each step first as measured here, then as ``like`` has it. None where nothing of the kind was measured for
        the model.
        """
        pace = self.pace(work.kind)
        for depth in (4, 3, 2):
            for costs, factor in ((self, 1.0), (self.like, pace)):
                if costs is not None and factor and (rate := costs._mean(work[:depth])) is not None:
                    return factor * rate
        # what that run did not do either may be known of the one that it is like
        rate = self.like.rate(work) if self.like is not None and pace else None
        return None if rate is None or pace is None else pace * rate

    def pace(self, kind: str) -> float | None:
        """How many times as long as in ``like`` work of a kind takes here; None where nothing tells.

        By what was measured of the kind, once that is TELLING of all that was measured; before by all, loading apart.
        Of another run on the same machine it is 1 until something was measured.
        """
        if self.like is None:
            return None
        here: dict[str, float] = {}
        there: dict[str, float] = {}
        for key, (seconds, units) in self.spent.items():
            if key in self.like.spent and key[0] != "load":
                expected = self.like.spent[key][0] / self.like.spent[key][1] * units
                here[key[0]], there[key[0]] = here.get(key[0], 0.0) + seconds, there.get(key[0], 0.0) + expected
        whole = sum(here.values())
        if not whole:
            return 1.0 if self.like.machine == self.machine else None
        if here.get(kind, 0.0) >= TELLING * whole:
            return here[kind] / there[kind]
        return whole / sum(there.values())

    def _mean(self, beginning: tuple[str, ...]) -> float | None:
        own = [spent for key, spent in self.spent.items() if key[: len(beginning)] == beginning]
        return sum(seconds for seconds, _ in own) / sum(units for _, units in own) if own else None

    def estimate(self, left: Left) -> tuple[float, list[Work]]:
        """(seconds of what can be foreseen, the work that cannot)."""
        total, unknown = 0.0, []
        rates = {key: self.rate(Work(*key)) for key in {work[:4] for work in left}}
        for work, units in left.items():
            rate = rates[work[:4]]
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


def foreseen(folder: Path, machine: str, models: Iterable[str], tasks: Iterable[str]) -> Costs:
    """What the run has cost so far, beside what foresees the rest: the newest run beside it on this machine, of all
    these models and tasks; else the embedded run, as it once went elsewhere."""
    own, embedded = of_run(folder, machine), Costs.load(default_path().parent)
    own.like = _beside(folder, own.machine, models, tasks) or embedded
    if own.like is not None and own.like is not embedded:
        own.like.like = embedded
    return own


def last_known(folder: Path, device: str, models: Iterable[str], tasks: Iterable[str]) -> Costs:
    """This run's own costs, or where it has none those of the newest run beside it, on this machine, of all these
    models and tasks; empty ones where there is no such run."""
    own = of_run(folder, environment.device_name(device))
    if own.spent:
        return own
    return _beside(folder, own.machine, models, tasks) or own


def _beside(folder: Path, machine: str, models: Iterable[str], tasks: Iterable[str]) -> Costs | None:
    wanted = {("answer", model, task) for model, task in product(models, tasks)}
    try:
        files = sorted(matching(folder.parent, f"*/{FILE}"), key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return None
    others = filter(None, (Costs.load(path.parent) for path in files if path.parent != folder))
    fit = (other for other in others if other.machine == machine and wanted <= {key[:3] for key in other.spent})
    return next(fit, None)
