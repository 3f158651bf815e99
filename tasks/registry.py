"""The tasks by name. Nothing heavy is imported until a task's media are opened."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from coreheads import named
from coreheads.errors import UserError, expected_one_of, one_line
from coreheads.tasks.catalogue import TASKS
from coreheads.tasks.task import Task

GROUP = "coreheads.tasks"
"""The entry points by which other packages name their tasks: ``name = "package.module:TASK"``, a ``Task``."""

_INCLUDED: dict[str, Task] = {}
"""Of folders, and those of other packages that were asked for."""


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
    """Every task's name: ours, included ones, and those of installed packages."""
    return list(dict.fromkeys([*TASKS, *_INCLUDED, *sorted(_foreign())]))


def get(name: str) -> Task:
    """The task of that name.

    Args:
        name: As ``coreheads tasks`` lists it.

    Raises:
        UserError: There is none, and the message has the known names; or another package's cannot be used.
    """
    known = {**TASKS, **_INCLUDED}
    if name in known:
        return known[name]
    foreign = _foreign()
    if name not in foreign:
        raise UserError(f"task: {name!r}, {expected_one_of(name, names())}")
    source = f"task {name!r} of entry point {foreign[name].value}"
    task = named.load_point(foreign[name], source)
    if not (isinstance(task, Task) and task.name == name):
        raise UserError(f"{source}: is no task, expected a Task whose name is {name!r}")
    if not task.yaml.is_file():
        raise UserError(f"{source}: {task.yaml} is not there, expected the task's YAML beside its module")
    return _INCLUDED.setdefault(name, task)


def path() -> Path:
    """The folder for lmms-eval's ``--include_path``."""
    return Path(__file__).resolve().parent


def _foreign() -> dict[str, EntryPoint]:
    """Tasks of installed packages by name, not loaded; our own names stay ours."""
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in TASKS}
