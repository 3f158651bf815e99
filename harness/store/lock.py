"""One process at a time in a run's folder: ``run.lock`` is held by the system's lock, which drops with the process, or
where no lock is seen by all machines ``run.pid``, by whoever makes it. ``run.owner`` names the process and goes at an
orderly end: one that stands there while the lock is free names a dead process."""

from __future__ import annotations

import errno
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout
from pydantic import TypeAdapter

from coreheads import environment
from coreheads.errors import UserError
from coreheads.files import write_errors
from coreheads.opening import no_link
from coreheads.text import visible

_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_OWN_MACHINE_ONLY = {"nolock", "local_lock=flock", "local_lock=all", "localflock"}
"""Mount options with which another machine does not see a lock."""


class _Lock(FileLock):
    """A class of our own: of the plain one, lmms-eval makes all locks of a file the same lock, held at once by all of
    the process."""


@dataclass(frozen=True)
class LockOwner:
    """A process that holds, or held, a folder. since: UTC, ISO 8601."""

    pid: int
    host: str
    since: str = ""

    def __str__(self) -> str:
        return visible(f"process {self.pid} on {self.host[:200]}")


@contextmanager
def locked(folder: Path, name: str = "run") -> Iterator[LockOwner | None]:
    """Hold a folder that exists.

    Args:
        folder: The run's folder, or one that is published into.
        name: Of the lock's files.

    Yields:
        The process that died while it held the folder, None where none did.

    Raises:
        UserError: Another process holds it; names its pid and host.
    """
    lock, marker, note = (folder / f"{name}.{kind}" for kind in ("lock", "pid", "owner"))
    for path in (lock, marker, note):
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise UserError(f"{path}: is a link or no file, expected a file of the run")
    with write_errors(folder):
        held = _acquired(lock, marker, note)
    try:
        died = _read(note)
        with write_errors(note), open(note, "w", encoding="utf-8", opener=no_link) as stream:
            stream.write(json.dumps(asdict(LockOwner(os.getpid(), platform.node(), environment.now()))) + "\n")
        try:
            yield died
        finally:
            with suppress(OSError):  # then it says that this process died, which costs a line
                note.unlink()
    finally:
        held.release()


def _acquired(lock: Path, marker: Path, note: Path) -> BaseFileLock:
    """The system's lock, or that by a file, which takes away a dead process's of this machine by itself."""
    if not _mount_options(lock.parent) & _OWN_MACHINE_ONLY:
        try:
            return _taken(_Lock(lock, blocking=False, fallback_to_soft=False), note)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
    return _taken(SoftFileLock(marker, blocking=False), note, marker)


def _taken(lock: BaseFileLock, note: Path, marker: Path | None = None) -> BaseFileLock:
    try:
        lock.acquire()
    except Timeout:
        owner = _read(note)
        since = f" (since {visible(owner.since[:40])})" if owner is not None and owner.since else ""
        who = "another process" if owner is None else f"{owner}{since}"
        here = owner is not None and owner.host == platform.node()
        more = "" if marker is None or here else f"; if that process has died, delete {marker}"
        raise UserError(f"{note.parent}: {who} works in this folder now; wait, or give another one{more}") from None
    return lock


def _read(note: Path) -> LockOwner | None:
    """The process that the file names; None where it names none."""
    try:
        with note.open("rb") as stream:
            return TypeAdapter(LockOwner).validate_json(stream.read(10_000))
    except (OSError, ValueError):
        return None


def _mount_options(folder: Path) -> set[str]:
    """How the file system that the folder is on is mounted."""
    import psutil

    try:
        whole = folder.resolve()
        mounts = [part for part in psutil.disk_partitions(all=True) if whole.is_relative_to(part.mountpoint)]
    except OSError:
        return set()
    options = max(mounts, key=lambda part: len(part.mountpoint)).opts if mounts else ""
    return set(options.split(","))
