"""A run's folder: its manifest, its lock, its cells. The folder is the run's whole state.

manifest.json     the configuration as resolved, and every process that worked on it
run.lock          held by the process that works on it now
heads/<model>.json, samples/<cell>.jsonl, cells.jsonl, timings.jsonl, leaderboard.*, figures/
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coreheads import environment
from coreheads.cells import file_name
from coreheads.errors import UserError
from coreheads.files import append_jsonl, cut_half_line, read_json, read_jsonl, write_json
from coreheads.samples import SampleFile

SCHEMA_VERSION = 1
_DISK = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up", errno.EROFS: "it is read-only"}


class RunFolder:
    """Read and write access to one run; :meth:`open` to work on it, :meth:`load` to read a stored one."""

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def load(cls, path: str | Path) -> RunFolder:
        """A stored run, for reading. UserError where there is none."""
        path = Path(path)
        if not path.is_dir():
            raise UserError(f"{path}: no such folder, expected a run folder written by coreheads run")
        manifest = read_json(path / "manifest.json")
        if not isinstance(manifest, dict) or not isinstance(manifest.get("config"), dict):
            raise UserError(f"{path / 'manifest.json'}: has no config, expected a manifest written by coreheads run")
        if manifest.get("schema_version") != SCHEMA_VERSION:
            raise UserError(
                f"{path / 'manifest.json'}: schema_version is {manifest.get('schema_version')!r}, "
                f"this version reads {SCHEMA_VERSION}"
            )
        if not isinstance(manifest.get("invocations"), list) or not manifest["invocations"]:
            raise UserError(f"{path / 'manifest.json'}: has no invocations, expected one for every start of the run")
        return cls(path, manifest)

    @classmethod
    def stored(cls, path: Path, config: dict[str, Any]) -> RunFolder | None:
        """The run that the folder holds, None where it holds none; nothing is written.

        UserError when it has results of another configuration. A start that failed before anything was computed does
        not hold on to its configuration.
        """
        if not (path / "manifest.json").exists():
            return None
        run = cls.load(path)
        if run.has_results():
            _same(path, run.manifest["config"], config)
        run.manifest["config"] = config
        return run

    @classmethod
    @contextmanager
    def open(cls, path: str | Path, config: dict[str, Any]) -> Iterator[RunFolder]:
        """Lock a new or interrupted run for work.

        config: as resolved. UserError when another process works here, when the folder holds a run with another
        configuration (naming what differs), or when it cannot be written.
        """
        path = Path(path)
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
        with _locked(path / "run.lock"), writing(path):
            run = cls.stored(path, config)
            if run is not None:
                for name in ("cells.jsonl", "timings.jsonl"):
                    if (path / name).exists():
                        cut_half_line(path / name)
            elif any(entry.name != "run.lock" and not entry.name.startswith(".") for entry in path.iterdir()):
                raise UserError(f"{path}: is not empty and holds no run, expected a new folder or one of coreheads run")
            else:
                run = cls(path, {"schema_version": SCHEMA_VERSION, "config": config, "invocations": []})
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
        """Whether anything was computed that another configuration would make wrong."""
        return any((self.path / name).exists() for name in ("cells.jsonl", "timings.jsonl", "heads", "samples"))

    @property
    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = self.manifest["config"]
        return config

    def heads_path(self, model: str) -> Path:
        return self.path / "heads" / f"{file_name(model)}.json"

    def samples(self, cell_name: str) -> SampleFile:
        return SampleFile(self.path / "samples" / f"{cell_name}.jsonl")

    def cells(self) -> dict[str, dict[str, Any]]:
        """Finished cells by name, in the order they were finished."""
        return {name: record for name, record in self._last().items() if "failed" not in record}

    def failures(self) -> dict[str, dict[str, Any]]:
        """Cells that could not be computed, by name, with the reason as ``failed``; not those that went well later."""
        return {name: record for name, record in self._last().items() if "failed" in record}

    def _last(self) -> dict[str, dict[str, Any]]:
        return {record["name"]: record for record in self._records("cells.jsonl")}

    def timings(self) -> dict[str, dict[str, Any]]:
        """Finished measurements of speed by cell name."""
        return {record["name"]: record for record in self._records("timings.jsonl")}

    def finish_cell(self, record: dict[str, Any]) -> None:
        append_jsonl(self.path / "cells.jsonl", {"schema_version": SCHEMA_VERSION, **record})

    def fail_cell(self, record: dict[str, Any], reason: str) -> None:
        """Note that a cell could not be computed; it is tried again when the run goes on."""
        self.finish_cell({**record, "failed": reason})

    def finish_timing(self, record: dict[str, Any]) -> None:
        append_jsonl(self.path / "timings.jsonl", {"schema_version": SCHEMA_VERSION, **record})

    def _records(self, name: str) -> Iterator[dict[str, Any]]:
        for record in read_jsonl(self.path / name):
            if not isinstance(record, dict) or not {"name", "cell"} <= record.keys():
                raise UserError(f"{self.path / name}: a line is no cell, expected those written by coreheads run")
            if record.get("schema_version") != SCHEMA_VERSION:
                found = record.get("schema_version")
                raise UserError(f"{self.path / name}: schema_version is {found!r}, this version reads {SCHEMA_VERSION}")
            yield record


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn "cannot write there" into one clear line; any other fault of the system passes."""
    try:
        yield
    except OSError as error:
        place = error.filename or path
        if error.errno in _DISK:
            raise UserError(f"{place}: cannot be written, {_DISK[error.errno]}") from None
        if isinstance(error, PermissionError | NotADirectoryError | FileExistsError):
            raise UserError(f"{place}: cannot be written ({error.strerror}), expected a folder to write to") from None
        raise


def _same(path: Path, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    old, new = dict(_leaves(stored)), dict(_leaves(wanted))
    changed = [
        f"{key}: {json.dumps(old.get(key))} there, {json.dumps(new.get(key))} now"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and key != "out"
    ]
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise UserError(
            f"{path}: holds a run with another configuration ({'; '.join(changed[:3])}{more}); "
            "give another --out, or the same configuration to go on"
        )


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _leaves(part, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and any(isinstance(part, dict) for part in value):
        for index, part in enumerate(value):
            yield from _leaves(part, f"{key}.{index}")
    else:
        yield key, value


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the system drops when this process dies, however it dies."""
    import fcntl
    import platform

    with writing(path):
        stream = path.open("a+", encoding="utf-8")
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            holder = stream.read().strip() or "another process"
            raise UserError(f"{path.parent}: {holder} works on this run now; wait, or give another --out") from None
        stream.seek(0)
        stream.truncate()
        stream.write(f"process {os.getpid()} on {platform.node()}\n")
        stream.flush()
        yield
        stream.seek(0)
        stream.truncate()
