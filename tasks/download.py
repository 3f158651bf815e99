"""What to type to have a task's data on this machine."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coreheads.tasks.task import Task


def download(task: Task, data_root: str | Path | None = None, options: Mapping[str, Any] | None = None) -> list[str]:
    """The command that fetches what the task reads into the data root, with a line around it; says so where there is
    none.

    Args:
        task: One whose data is not ours.
        data_root: Where it is to be; without one the command has DATA in its place.
        options: The task's: they may need only some of the archives.
    """
    if task.hub is None:
        return ["No command fetches it: it is brought together by hand, as the page below says."]
    given = data_root is not None and str(data_root) != "hub"
    root = str(Path(str(data_root)).expanduser()) if given else "DATA"
    names = task.functions().archives(task.settings(options))
    only = "".join(f" --include {shlex.quote(f'{name}*')}" for name in names)
    place = shlex.quote(f"{root}/{task.benchmark}")
    lines = [
        "To get it (without --data-root it is fetched from the hub when it is asked for):",
        f"  hf download --repo-type dataset {task.hub}{only} --local-dir {place}",
    ]
    if names:
        lines.append("Then unpack every archive in the folder where it lies; parts of one are joined first.")
    return lines if given else [*lines, f"Then give --data-root {root}."]
