"""One process at a time in a run's folder, and whether the last one ended as it should.

``run.lock`` names its holder (pid, when that process began, host) and is held by the system's own lock, which drops
with the process, however it dies. It stays empty after an orderly end: what still stands in it names a dead process.
Where the file system has no such lock, or does not share it between machines, ``run.pid`` stands in its place: whoever
makes the file holds the run.
"""

from __future__ import annotations

import errno
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from coreheads import environment
from coreheads.errors import UserError
from coreheads.files import writing

_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_OWN_MACHINE_ONLY = {"nolock", "local_lock=flock", "local_lock=all", "localflock"}
"""Mount options with which another machine does not see a lock."""


@dataclass(frozen=True)
class Holder:
    """A process: created is when it began, in seconds since the epoch, so that another one of its pid is not it."""

    pid: int
    host: str
    created: float
    since: str = ""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @property
    def here(self) -> bool:
        return self.host == platform.node()

    def lives(self) -> bool:
        """Whether it runs; only to be asked of a process of this machine."""
        import psutil

        try:
            return abs(psutil.Process(self.pid).create_time() - self.created) < 2
        except psutil.NoSuchProcess:
            return False
        except psutil.Error:
            return True  # somebody else's, who says nothing of it


@contextmanager
def locked(folder: Path, name: str = "run") -> Iterator[Holder | None]:
    """Hold a run's folder, which exists; gives the process that died while it held it, None where none did.

    name: of the lock's files. UserError that names pid and host of the process that holds it now.
    """
    path = folder / f"{name}.lock"
    if path.is_symlink():
        raise UserError(f"{path}: is a link, expected a file of the run")
    with writing(path):
        stream = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+")
    with stream:
        if _held_by_system(stream, folder):
            left = _read(stream)
            with _noted(stream, folder):
                yield left
        else:
            with _held_by_file(folder / f"{name}.pid") as left:
                yield left


def _held_by_system(stream: IO[str], folder: Path) -> bool:
    """Take the system's lock; False where there is none of use."""
    import fcntl

    if _mount_options(folder) & _OWN_MACHINE_ONLY:
        return False
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _refused(folder, _read(stream)) from None
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise
    return True


@contextmanager
def _noted(stream: IO[str], folder: Path) -> Iterator[None]:
    """Have this process's name in the lock file inside the block."""
    with writing(folder):
        stream.seek(0)
        stream.truncate()
        stream.write(_own())
        stream.flush()
    try:
        yield
    finally:
        with suppress(OSError):  # then it says that this process died, which costs a line
            os.ftruncate(stream.fileno(), 0)


@contextmanager
def _held_by_file(path: Path) -> Iterator[Holder | None]:
    """Hold a file that only one process can make."""
    left = None
    with writing(path):
        while not _made(path):
            with suppress(FileNotFoundError), path.open() as stream:
                left = _read(stream)
                if left is None or not left.here or left.lives():
                    sure = f"; if that process has died, delete {path}"
                    raise _refused(path.parent, left, "" if left is not None and left.here else sure)
                _take_away(path, left)
    try:
        yield left
    finally:
        path.unlink(missing_ok=True)


def _made(path: Path) -> bool:
    """Make the file, complete from the beginning; False where it is there."""
    own = path.with_name(f".{path.name}.{platform.node()}-{os.getpid()}.tmp")
    own.write_text(_own(), encoding="utf-8")
    try:
        os.link(own, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        try:
            with path.open("x", encoding="utf-8") as stream:
                stream.write(_own())
        except FileExistsError:
            return False
    finally:
        own.unlink(missing_ok=True)
    return True


def _take_away(path: Path, dead: Holder) -> None:
    """Remove a dead process's file, and no other: another process may have been faster."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    path.rename(aside)
    with aside.open() as stream:
        found = _read(stream)
    if found != dead:
        aside.rename(path)
        raise _refused(path.parent, found)
    aside.unlink()


def _own() -> str:
    import psutil

    own = Holder(os.getpid(), platform.node(), psutil.Process().create_time(), environment.now())
    return json.dumps(asdict(own)) + "\n"


def _read(stream: IO[str]) -> Holder | None:
    """The process that the file names; None where it names none."""
    try:
        stream.seek(0)
        found = json.loads(stream.read(10_000))
        return Holder(int(found["pid"]), str(found["host"]), float(found["created"]), str(found.get("since", "")))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return None


def _refused(folder: Path, holder: Holder | None, more: str = "") -> UserError:
    who = "another process" if holder is None else f"{holder} (since {holder.since})" if holder.since else str(holder)
    return UserError(f"{folder}: {who} works in this folder now; wait, or give another one{more}")


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
