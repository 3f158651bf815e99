"""The tasks by name. Nothing heavy is imported until a task's media are opened."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from coreheads import named
from coreheads.errors import UserError, expected_one_of, one_line
from coreheads.tasks.catalogue import TASKS
from coreheads.tasks.task import Task

_INCLUDED: dict[str, Task] = {}


def include(folder: str | Path) -> list[str]:
    """Add the tasks of a folder for this process: every module of it that has a ``TASK``, with its lmms-eval YAML
    beside it. Gives their names.

    Raises:
        UserError: It is no folder or has no task, a module cannot be loaded, or a name is another task's.
    """
    place = Path(folder).expanduser().resolve()
    if not place.is_dir():
        raise UserError(f"include: {folder}: no such folder, expected one with a task's module and YAML")
    named.search(str(place))
    found = []
    for path in sorted(place.glob("*.py")):
        if path.stem.startswith(("test_", "_")) or not path.stem.isidentifier():
            continue
        try:
            module = import_module(path.stem)
        except Exception as error:  # whatever it does
            raise UserError(f"include: {path}: cannot be loaded ({one_line(error)})") from error
        task = getattr(module, "TASK", None)
        if not isinstance(task, Task):
            continue
        if Path(str(module.__file__)).resolve() != path or task.module != path.stem:
            raise UserError(f"include: {path}: module {path.stem!r} is another one, rename the file and TASK.module")
        if task.name in TASKS or (task.name in _INCLUDED and _INCLUDED[task.name].folder != place):
            raise UserError(f"include: {path}: task {task.name!r} is there already, expected another name")
        if not task.yaml.is_file():
            raise UserError(f"include: {task.yaml}: not there, expected the YAML of task {task.name}")
        _INCLUDED[task.name] = task
        found.append(task.name)
    if not found:
        raise UserError(f"include: {folder}: no module there has a TASK")
    return found


def names() -> list[str]:
    """Every task's name, included ones last."""
    return [*TASKS, *_INCLUDED]


def get(name: str) -> Task:
    """The task of that name.

    Args:
        name: As ``coreheads tasks`` lists it.

    Raises:
        UserError: There is none; the message has the known names.
    """
    known = {**TASKS, **_INCLUDED}
    if name not in known:
        raise UserError(f"task: {name!r}, {expected_one_of(name, known)}")
    return known[name]


def path() -> Path:
    """The folder for lmms-eval's ``--include_path``."""
    return Path(__file__).resolve().parent


def paths() -> list[Path]:
    """Every folder with tasks, ours first."""
    return list(dict.fromkeys([path(), *(task.folder for task in _INCLUDED.values())]))
