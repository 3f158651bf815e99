"""The files of a submission: only those that belong to one, no links, bounded in size, nothing of a machine in them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from coreheads import limits
from coreheads.config.cells import Cell
from coreheads.errors import brief
from coreheads.files import read_json, read_jsonl
from coreheads.heads.types import profile_name
from coreheads.leaderboard.redact import Shortener
from coreheads.store import asked
from coreheads.store.folder import RunFolder
from coreheads.store.submission import FILE
from coreheads.text import file_name

_FOLDERS = ("samples", "heads", asked.FOLDER)
_KEPT = ("response", "record_id", "name", "made_from", "contents", "question", "prompt", "target")
"""Fields that are not looked through for paths: what models answered, words of a benchmark's, hashes."""


def unsafe(folder: Path) -> Iterator[str]:
    """A line for every link, pipe and device, and for too many or too large files; nothing is opened or followed."""
    count = total = 0
    waiting = [folder]
    while waiting:
        for entry in sorted(os.scandir(waiting.pop()), key=lambda entry: entry.name):
            count += 1
            if count > limits.SUBMISSION_FILES:
                yield f"{folder}: has more than {limits.SUBMISSION_FILES:,} files, expected at most that many"
                return
            about = entry.stat(follow_symlinks=False)
            if entry.is_symlink():
                yield f"{entry.path}: is a link, expected a file"
            elif entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))
            elif kind := limits.irregular(about):
                yield f"{entry.path}: is {kind}, expected a file"
            elif about.st_size > limits.STORED_BYTES:
                yield f"{entry.path}: has {about.st_size:,} bytes, expected at most {limits.STORED_BYTES:,}"
            else:
                total += about.st_size
    if total > limits.SUBMISSION_BYTES:
        yield f"{folder}: has {total:,} bytes in all, expected at most {limits.SUBMISSION_BYTES:,}"


def foreign(run: RunFolder, cells: Mapping[str, Cell]) -> Iterator[str]:
    """A line for every file that is none of a submission's, and for pictures, which it does not have.

    cells: all cells of the run by their names.
    """
    scored = [(model["name"], score) for model in run.config["models"] for score in run.scores]
    known = {"manifest.json", FILE, "cells.jsonl", "timings.jsonl", *(f"samples/{name}.jsonl" for name in cells)}
    known |= {f"heads/{file_name(profile_name(*named))}.json" for named in scored}
    for task in dict.fromkeys(cell.task for cell in cells.values()):
        known.add(f"{asked.FOLDER}/{file_name(task)}.jsonl")
        if any(record["pictures"] for record in asked.read(run.path, task).values()):
            yield f"{asked.path_of(run.path, task)}: names pictures, expected none: a submission has words only"
    for path in sorted(run.path.rglob("*")):
        name = path.relative_to(run.path).as_posix()
        if name not in known and not (name in _FOLDERS and path.is_dir()):
            what = "what coreheads publish --submission writes, and nothing else"
            yield f"{path}: is no {'folder' if path.is_dir() else 'file'} of this run, expected {what}"


def private(run: RunFolder) -> Iterator[str]:
    """A line for every file that holds a path of a machine or a secret: the first one of it."""
    for path in sorted(path for path in run.path.rglob("*.json*") if path.is_file()):
        lines = path.suffix == ".jsonl"
        records = read_jsonl(path, run.path) if lines else [read_json(path, limits.STORED_BYTES, run.path)]
        for number, record in enumerate(records, 1):
            if (found := next(_leaks(record), None)) is not None:
                field, text, shown = found
                line = f" line {number}:" if lines else ""
                yield f"{path}:{line} {field} holds {brief(text)}, a path or a secret, expected {brief(shown)}"
                break


def _leaks(value: Any, field: str = "") -> Iterator[tuple[str, str, str]]:
    """(field, text, what it should be) of every text that has something of a machine in it."""
    if isinstance(value, str):
        short = Shortener()
        shown = short.command(value) if field.endswith("command") else short.text(value)
        if short.changed:
            yield field.lstrip("."), value, shown
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from _leaks(name, f"{field}.{name}")
            if name not in _KEPT:
                yield from _leaks(part, f"{field}.{name}")
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _leaks(part, f"{field}.{index}")
