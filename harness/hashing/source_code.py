"""What the code of this package says, as a short text: stored answers are those of the code that asked for them."""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_PACKAGES = ("coreheads.adapters", "coreheads.tasks", "coreheads")
"""Each in a folder of its own in the source tree; the inner ones first."""


def code_hash(
    modules: Iterable[str], rooms: Sequence[str], without: Sequence[str] = (), more: Iterable[bytes] = ()
) -> str:
    """SHA-256 (hex) of modules' source and of all that they import from some rooms, at the top or within a function.

    Comments count too; how lines end does not. Nothing is imported.

    Args:
        modules: Full names: ``coreheads.tasks.mlvu.task``.
        rooms: Packages and modules of which what is imported counts.
        without: Those among them of which it does not.
        more: What else is to count.
    """
    found: dict[str, bytes] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if path is not None and name not in found:
            found[name] = path.read_bytes()
            waiting += [target for target in _imported(found[name]) if _in(target, rooms) and not _in(target, without)]
    content = hashlib.sha256()
    for name in sorted(found):
        content.update(f"\0{name}\0".encode() + found[name].replace(b"\r\n", b"\n"))
    for part in more:
        content.update(b"\0" + part)
    return content.hexdigest()


@cache
def whole_hash() -> str:
    """SHA-256 (hex) of every Python file and YAML of the package; how lines end does not count."""
    content = hashlib.sha256()
    for package in _PACKAGES:
        top = _folder(package)
        for folder, folders, names in os.walk(top, followlinks=True):
            # installed, the inner packages are folders of the outer one
            inner = {"adapters", "tasks"} if package == "coreheads" and Path(folder) == top else set()
            folders[:] = sorted(name for name in folders if name not in inner)
            for path in (Path(folder, name) for name in sorted(names) if name.endswith((".py", ".yaml"))):
                content.update(f"\0{package}/{path.relative_to(top).as_posix()}\0".encode())
                content.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return content.hexdigest()


def _in(module: str, rooms: Sequence[str]) -> bool:
    return any(f"{module}.".startswith(f"{room}.") for room in rooms)


@cache
def _imported(source: bytes) -> tuple[str, ...]:
    """Names that the imports of a module may mean: of ``from a import b`` both ``a`` and ``a.b``."""
    return tuple(_names(source))


def _names(source: bytes) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _file(module: str) -> Path | None:
    package = next(name for name in _PACKAGES if f"{module}.".startswith(f"{name}."))
    path = _folder(package).joinpath(*module.removeprefix(package).strip(".").split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


@cache
def _folder(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
