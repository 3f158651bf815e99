"""What is named by ``module:name``: of an installed package, or of a file in the folder where the command is given."""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from importlib.metadata import EntryPoint

from coreheads.errors import UserError, nearest, one_line


def is_named(name: str) -> bool:
    """Whether a name says where it is; ours have no colon."""
    return ":" in name


def load(name: str, what: str) -> object:
    """The object ``module:name``. ``what`` it is begins the message of the UserError where there is none.

    The working folder is searched last, so that a file in it hides no package.
    """
    module, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), attribute)):
        raise UserError(f"{what} is {name!r}, expected module:name such as my_file:MyClass")
    search(os.getcwd())
    try:
        loaded = import_module(module)
    except Exception as error:  # whatever the module does
        raise UserError(f"{what} {name!r}: its module cannot be loaded ({one_line(error)})") from error
    if not hasattr(loaded, attribute):
        raise UserError(f"{what} {name!r}: {module} has no {attribute}{nearest(attribute, vars(loaded))}")
    found: object = getattr(loaded, attribute)
    return found


def load_point(point: EntryPoint, source: str) -> object:
    """What an entry point names; ``source`` begins the message of the UserError where it cannot be loaded."""
    try:
        found: object = point.load()
    except Exception as error:  # whatever its module does
        raise UserError(f"{source}: cannot be loaded ({type(error).__name__}: {one_line(error)})") from error
    return found


def fault(error: Exception) -> str:
    """An error in what was loaded, in a line: its type, its text, the innermost place of the code that raised it."""
    *_, frame = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__}: {one_line(error)}; {os.path.basename(frame.filename)} line {frame.lineno}"


def search(folder: str) -> None:
    """Have modules of this folder found, after all others."""
    if folder not in sys.path:
        sys.path.append(folder)
