"""Our cache folder, and building something large in it once: under another name first, renamed when complete."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from coreheads.errors import UserError

_STALE_S = 3600.0

_HELD: dict[Path, int] = {}
"""Open descriptors of the folders that this process uses, each with a shared lock that ends with the process."""


def cache_folder(name: str) -> Path:
    """$XDG_CACHE_HOME or ~/.cache, then coreheads/``name``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "coreheads" / name


def build_once(target: Path, build: Callable[[Path], None]) -> Path:
    """``target``, a folder, made by ``build(temporary folder)`` where it is missing.

    A crash leaves nothing half made, and of two processes that build at once the first to finish wins. UserError
    where the folder cannot be written or the disk is full.
    """
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            build(temporary)
            temporary.chmod(0o755)
            try:
                temporary.rename(target)
            except OSError:
                if not target.is_dir():  # else another process was faster; its folder is the same as ours
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        full = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror
        raise UserError(f"{target}: cannot be made ({full}), expected a folder to write to") from None
    return target


def sweep(root: Path) -> None:
    """Remove what killed processes have left, but not what a running one is building."""
    for leftover in root.glob(".*-*"):
        if time.time() - leftover.stat().st_mtime > _STALE_S:
            shutil.rmtree(leftover, ignore_errors=True)


def hold(folder: Path) -> bool:
    """Keep a folder of the cache from ``remove_unused`` of all processes while this one lives; False if it is gone."""
    if folder not in _HELD:
        with suppress(OSError):  # where nothing can be locked, nothing is removed either
            opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            _HELD[folder] = opened
            fcntl.flock(opened, fcntl.LOCK_SH)
    if folder.is_dir():
        return True
    if folder in _HELD:
        os.close(_HELD.pop(folder))
    return False


def remove_unused(folders: Iterable[Path]) -> list[Path]:
    """Remove those of the folders that no process holds; what could be removed. A link is left as it is."""
    removed = []
    for folder in folders:
        with suppress(OSError):
            opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                gone = folder.rename(folder.with_name(f".{folder.name}-unused"))  # what is left half removed is swept
            finally:
                os.close(opened)
            shutil.rmtree(gone, ignore_errors=True)
            removed.append(folder)
    return removed
