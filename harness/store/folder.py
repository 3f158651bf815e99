"""A run's folder, which is its whole state: manifest.json, run.lock, heads/, samples/, asked/, cells.jsonl,
timings.jsonl, errors/, costs.json, leaderboard.*, answers/, figures/. Folders are given to others: what they say is
checked before it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from coreheads import environment, limits
from coreheads.config.cells import Cell
from coreheads.errors import UserError
from coreheads.files import (
    append_jsonl,
    cut_half_line,
    read_json,
    sweep,
    write_errors,
    write_json,
    write_text,
)
from coreheads.heads.profile import HeadProfile
from coreheads.heads.types import profile_name
from coreheads.opening import inside
from coreheads.private import private, private_value
from coreheads.store.lines import Record, read_lines
from coreheads.store.lock import LockOwner, locked
from coreheads.store.provenance import Machine, MadeFrom, Manifest, StoredConfig
from coreheads.store.same import check_same
from coreheads.store.samples import SampleFile
from coreheads.store.schema import SCHEMA_VERSION, CellRecord, CellResult, FailureRecord, TimingRecord
from coreheads.store.validation import checked
from coreheads.text import file_name, visible

FOLDERS = ("heads", "samples", "asked", "asked/pictures", "answers", "figures", "figures/examples", "errors")


class RunFolder:
    """Read and write access to one run; :meth:`open` to work on it, :meth:`load` to read a stored one."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest
        self.died: LockOwner | None = None
        """When it is opened for work: the process that worked on it and did not end as it should."""
        self._read: dict[str, tuple[tuple[int, int], Mapping[str, object], dict[str, FailureRecord]]] = {}

    @classmethod
    def load(cls, path: str | Path) -> RunFolder:
        """A stored run, for reading; nothing of it is written. UserError where there is none."""
        path = Path(path)
        if not path.is_dir():
            raise UserError(f"{path}: no such folder, expected a run folder written by coreheads run")
        run = cls(path, None)  # type: ignore[arg-type]  # until it is read
        name = run.path_of("manifest.json")
        run.manifest = checked(Manifest, read_json(name, limits.STORED_BYTES, path), str(name), "a manifest")
        return run

    @classmethod
    def stored(cls, path: Path, config: Mapping[str, Any]) -> RunFolder | None:
        """The run that the folder holds, None where it holds none; nothing is written.

        UserError when it has results of another configuration. A start that failed before anything was computed does
        not hold on to its configuration.
        """
        if not (path / "manifest.json").exists():
            return None
        run = cls.load(path)
        if run.has_results():
            check_same(path, private_value(run.config), private_value(config))
        run.manifest["config"] = cast(StoredConfig, private_value(config))
        return run

    @classmethod
    @contextmanager
    def open(
        cls, path: str | Path, config: Mapping[str, Any], made_from: Callable[[RunFolder], MadeFrom] | None = None
    ) -> Iterator[RunFolder]:
        """Lock a new or interrupted run for work.

        Args:
            path: The run's folder, made where it is missing.
            config: The resolved configuration, as JSON values.
            made_from: Says what the run is made from; raises UserError where stored results are not.

        Yields:
            The run; its ``died`` names a process that worked on it before and did not end as it should.

        Raises:
            UserError: Another process works here, the folder holds a run with another configuration (naming what
                differs) or other files, or it cannot be written.
        """
        path = Path(path)
        with write_errors(path):
            path.mkdir(parents=True, exist_ok=True)
        with locked(path) as died, write_errors(path):
            run = cls.stored(path, config)
            if run is None:
                if any(not entry.name.startswith((".", "run.")) for entry in path.iterdir()):
                    what = "a new folder or one of coreheads run"
                    raise UserError(f"{path}: is not empty and holds no run, expected {what}")
                stored = cast(StoredConfig, private_value(config))
                run = cls(path, {"schema_version": SCHEMA_VERSION, "config": stored, "invocations": []})
            run.died = died
            for name in ("cells.jsonl", "timings.jsonl"):  # what a killed process left half written
                if run.path_of(name).exists():
                    cut_half_line(path / name)
            for name in ("", *FOLDERS):
                sweep(run.path_of(name))
            if made_from is not None:
                run.manifest["made_from"] = made_from(run)
            run.manifest["invocations"].append(
                {
                    "started": environment.now(),
                    "command": environment.command_line(),
                    "versions": environment.versions(),
                    "revision": environment.source_revision(),
                    "machine": environment.machine(config["device"]),
                }
            )
            write_json(path / "manifest.json", run.manifest)
            yield run

    def has_results(self) -> bool:
        """Whether there is anything that another configuration would make wrong."""
        return any((self.path / name).exists() for name in ("cells.jsonl", "timings.jsonl", "heads", "samples"))

    def note_replicas(self, machine: Machine, count: int) -> None:
        """Note that so many replicas do this process's work, and on what."""
        self.manifest["invocations"][-1] |= {"machine": machine, "replicas": count}
        write_json(self.path_of("manifest.json"), self.manifest)

    def keep_replicas(self) -> None:
        """Until replicas are there: those that worked before this process."""
        before = self.manifest["invocations"][-2:-1]
        if before and "replicas" in before[0]:
            self.note_replicas(before[0]["machine"], before[0]["replicas"])

    def note_sources(self, made_from: MadeFrom) -> None:
        if made_from != self.manifest.get("made_from"):
            self.manifest["made_from"] = made_from
            write_json(self.path_of("manifest.json"), self.manifest)

    def path_of(self, *names: str) -> Path:
        """A file of the run; UserError where it is a link, or a link leads to it."""
        return inside(self.path, *names)

    @property
    def config(self) -> StoredConfig:
        return self.manifest["config"]

    @property
    def scores(self) -> tuple[str, ...]:
        """Names of the head scores that the run has profiles by, as its configuration says."""
        named = (self.config.get("profile") or {}).get("score")
        known = isinstance(named, list) and all(isinstance(name, str) for name in named)
        return tuple(named) if named and known else ("ram",)

    def heads_path(self, model: str, score: str | None = None) -> Path:
        """Of a model's profile by a head score; None is RAM."""
        return self.path_of("heads", f"{file_name(profile_name(model, score))}.json")

    def profile(self, model: str, score: str | None = None) -> HeadProfile | None:
        """The heads that the run found of a model by a score, or was given; None where it has none."""
        path = self.heads_path(model, score)
        return HeadProfile.load(path, self.path) if path.exists() else None

    def samples(self, cell_name: str, whole: bool = True) -> SampleFile:
        """A cell's samples; UserError for a name that is no file name, or where they are not as written.

        whole: of a finished cell, refuse fewer than it says; else only a file without any.
        """
        if not isinstance(cell_name, str) or file_name(cell_name) != cell_name:
            raise UserError(f"{self.path}: cell {cell_name!r}, expected a name of letters, digits and _.=+- only")
        store = SampleFile(self.path_of("samples", f"{cell_name}.jsonl"))
        finished = self.cells().get(cell_name)
        if finished is not None and (whole or not store.samples):
            lacking = store.lacking(finished["n"], finished.get("unscored") or 0)
            if lacking:
                raise UserError(
                    f"{store.path}: {lacking}; put the whole file back, or take the cell's line out of cells.jsonl and "
                    "have coreheads run answer the rest"
                )
        return store

    def cells(self) -> dict[str, CellRecord]:
        """Finished cells by name, in the order they were finished."""
        return self._last("cells.jsonl", CellRecord, "a cell")[0]

    def failures(self) -> dict[str, FailureRecord]:
        """Cells that could not be computed, by name; not those that went well later."""
        return {name: record for name, record in self._without_score().items() if not record.get("cannot")}

    def cannot(self) -> dict[str, FailureRecord]:
        """Cells whose method does not reach their budget, by name."""
        return {name: record for name, record in self._without_score().items() if record.get("cannot")}

    def settled(self) -> set[str]:
        """Names of the cells that need not be computed: finished ones, and those whose method cannot."""
        return {*self.cells(), *self.cannot()}

    def _without_score(self) -> dict[str, FailureRecord]:
        return self._last("cells.jsonl", CellRecord, "a cell")[1]

    def timings(self) -> dict[str, TimingRecord]:
        """Finished measurements of speed by cell name."""
        return self._last("timings.jsonl", TimingRecord, "a measurement")[0]

    def finish_cell(self, cell: Cell, heads: Iterable[Iterable[int]], result: CellResult) -> None:
        """Store a cell's result; heads: the selected ones, as [layer, head]."""
        named = {"schema_version": SCHEMA_VERSION, "name": cell.name, "cell": cell.to_json()}
        self._append("cells.jsonl", {**named, "heads": [list(head) for head in heads], **result})

    def fail_cells(self, cells: Iterable[Cell], reason: str) -> None:
        """Note that cells could not be computed; they are tried again when the run goes on."""
        self._append("cells.jsonl", *_failures(cells, reason))

    def note_cannot(self, cell: Cell, reason: str) -> None:
        """Note that a cell's method does not reach its budget; it is not tried again."""
        self._append("cells.jsonl", *({**record, "cannot": True} for record in _failures([cell], reason)))

    def finish_timing(self, records: Iterable[TimingRecord]) -> None:
        """Store one measurement, of all cells that were timed in turns: all of it or, where that fails, nothing."""
        self._append("timings.jsonl", *records)

    def fail_timing(self, cells: Iterable[Cell], reason: str) -> None:
        """Note that cells could not be timed together."""
        self._append("timings.jsonl", *_failures(cells, reason))

    def note_error(self, cell_name: str, text: str) -> None:
        """Keep an error's whole text as errors/<cell>.txt."""
        with write_errors(self.path):
            lines = "\n".join(map(visible, private(text).split("\n")))
            write_text(self.path_of("errors", f"{file_name(cell_name)}.txt"), lines)

    def _append(self, name: str, *records: object) -> None:
        if records:
            with write_errors(self.path):
                append_jsonl(self.path_of(name), *records)

    def _last(self, name: str, kind: type[Record], what: str) -> tuple[dict[str, Record], dict[str, FailureRecord]]:
        """(records, failures) by cell, of which the last line counts; read again where the file has changed."""
        path = self.path_of(name)
        about = path.stat() if path.exists() else None
        state = (about.st_size, about.st_mtime_ns) if about is not None else (0, 0)
        if name not in self._read or self._read[name][0] != state:
            models = {model["name"] for model in self.config["models"]}
            records, failures = read_lines(path, self.path, models, kind, what)
            self._read[name] = state, records, failures
        _, finished, failed = self._read[name]
        return cast(dict[str, Record], finished), failed


def _failures(cells: Iterable[Cell], reason: str) -> Iterator[FailureRecord]:
    for cell in cells:
        yield {"schema_version": SCHEMA_VERSION, "name": cell.name, "cell": cell.to_json(), "failed": private(reason)}
