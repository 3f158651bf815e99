"""Runs that die, and disks that fill up, at a chosen write: in a forked process, which has everything loaded."""

from __future__ import annotations

import errno
import io
import os
import signal
import stat
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import vl_convert
from PIL import Image

from coreheads.cli import main

Fault = Callable[[int, int | None], None]
"""Called at a write with its number from 1 and, where a file was written but is not on disk yet, its descriptor."""


@contextmanager
def at_writes(fault: Fault) -> Iterator[None]:
    """Every write of coreheads.files passes by here twice: before a file is on disk, and before it gets its name."""
    from coreheads import files

    class Watched:
        """The module ``os``, watched."""

        def __init__(self) -> None:
            self.count = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def fsync(self, handle: int) -> None:
            if stat.S_ISREG(os.fstat(handle).st_mode):
                self.count += 1
                fault(self.count, handle)
            os.fsync(handle)

        def replace(self, old: Any, new: Any) -> None:
            self.count += 1
            fault(self.count, None)
            os.replace(old, new)

    before = files.os
    files.os = Watched()  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        files.os = before


def killed_at(number: int) -> Fault:
    """The process is gone at the n-th write; of a file that is not on disk yet the last bytes are lost."""

    def fault(count: int, handle: int | None) -> None:
        if count == number:
            if handle is not None:
                os.ftruncate(handle, max(0, os.fstat(handle).st_size - 7))
            os.kill(os.getpid(), signal.SIGKILL)

    return fault


def full_from(number: int) -> Fault:
    """The disk is full from the n-th write on, which is half done."""

    def fault(count: int, handle: int | None) -> None:
        if count >= number:
            if handle is not None:
                os.ftruncate(handle, max(0, os.fstat(handle).st_size - 7))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return fault


@contextmanager
def stand_in_pictures() -> Iterator[None]:
    """Blank pictures in place of vl-convert's, whose threads do not survive a fork: who asks it there waits forever."""
    blank = io.BytesIO()
    Image.new("RGB", (64, 64)).save(blank, "PNG")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("vegalite_to_png", "svg_to_png"):
            patch.setattr(vl_convert, name, lambda *_, **__: blank.getvalue())
        patch.setattr(vl_convert, "vegalite_to_svg", lambda *_, **__: "<svg></svg>")
        patch.setattr(vl_convert, "javascript_bundle", lambda *_: "")
        yield


def in_fork(arguments: list[str], fault: Fault) -> int:
    """The exit status of the command in a process of its own, negative for the signal that ended it."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            with stand_in_pictures(), at_writes(fault):
                status = main(arguments)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)
