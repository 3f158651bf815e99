"""The code that asks a task's questions and scores their answers, as a short text."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from coreheads.hashing.source_code import code_hash
from coreheads.tasks.task import Task

_ROOMS = ("coreheads.media", "coreheads.regions", "coreheads.tasks")
_ELSEWHERE = (
    "coreheads.tasks.catalogue",
    "coreheads.tasks.mini.data",
    "coreheads.tasks.smol.data",
    "coreheads.tasks.reading",
)
"""Entries of other tasks; how mini data is made and files are read, which is seen in the records."""


def task_code(task: Task) -> str:
    """SHA-256 (hex) of the task's entry in the catalogue, its YAML, its module, and what that imports of this package.

    Of ``coreheads`` itself only media and regions count.
    """
    modules: tuple[str, ...] = (task.module, "coreheads.tasks.lmms", "coreheads.tasks.reading.documents")
    more = [repr(task).encode(), *_with_included(task.yaml)]
    if not task.module.startswith("coreheads."):
        modules = modules[1:]
        more.append(Path(str(import_module(task.module).__file__)).read_bytes())
    return code_hash(modules, _ROOMS, _ELSEWHERE, more)


def _with_included(path: Path) -> Iterator[bytes]:
    text = path.read_bytes().replace(b"\r\n", b"\n")
    yield text
    for line in text.decode().splitlines():
        if line.startswith("include:"):
            yield from _with_included(path.parent / line.partition(":")[2].strip())
