"""The tasks by name. Nothing heavy is imported until a task's media are opened."""

from __future__ import annotations

from pathlib import Path

from coreheads.errors import UserError, expected_one_of
from coreheads.tasks.catalogue import TASKS
from coreheads.tasks.task import Task


def names() -> list[str]:
    """Every task's name."""
    return list(TASKS)


def get(name: str) -> Task:
    """The task of that name.

    Args:
        name: As ``coreheads tasks`` lists it.

    Raises:
        UserError: There is none; the message has the known names.
    """
    if name not in TASKS:
        raise UserError(f"task: {name!r}, {expected_one_of(name, TASKS)}")
    return TASKS[name]


def path() -> Path:
    """The folder for lmms-eval's ``--include_path``."""
    return Path(__file__).resolve().parent
