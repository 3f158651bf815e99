"""A run begun anew: what its folder holds is kept under another name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from pathlib import Path

from coreheads.errors import UserError
from coreheads.store.lock import locked


def kept_as(path: Path) -> Path | None:
    """The name that ``set_aside`` would give a run's folder: the first free one of <path>.before-1, -2 ...

    Of a link to a folder, beside that folder: runs stay on the disk that the link leads to. None where the folder holds
    no run.
    """
    if not (path / "manifest.json").exists():
        return None
    names = (Path(f"{path.resolve()}.before-{number}") for number in count(1))
    return next(name for name in names if not os.path.lexists(name))


def set_aside(path: Path, needed: Iterable[str | None] = ()) -> Path | None:
    """Give a run's folder another name, so that another run can begin under its own.

    Args:
        path: The run's folder, which need not exist.
        needed: What the other run is to read.

    Returns:
        The new name; None where the folder holds no run.

    Raises:
        UserError: A process works in the folder, something that is needed lies in it, or it cannot be moved.
    """
    target = kept_as(path)
    if target is None:
        return None
    inside = [name for name in (*needed, os.curdir) if name is not None and _is_in(name, path)]
    if inside:
        what = "this process's own folder" if inside[0] == os.curdir else inside[0]
        raise UserError(f"{path}: --fresh would move {what} away with it; give another --out")
    with locked(path):
        try:
            os.rename(folder := path.resolve(), target)
            if path.is_symlink():
                folder.mkdir()  # which the link leads to
        except OSError as error:
            raise UserError(f"{path}: cannot be moved to {target} ({error.strerror}); give another --out") from None
        for name in ("run.owner", "run.pid"):  # this process's, which are looked for under the old name
            with suppress(OSError):
                (target / name).unlink()
    return target


def _is_in(name: str, path: Path) -> bool:
    with suppress(OSError, RuntimeError, ValueError):  # a hub id, or no name of a file
        return Path(name).expanduser().resolve().is_relative_to(path.resolve())
    return False
