"""Opens files that somebody else may have made: regular ones, of bounded size, and within a folder no link.

A folder itself may be a link, as the user named it: only what is inside is strict.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from coreheads import limits
from coreheads.errors import UserError

NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_AT_ONCE = getattr(os, "O_NONBLOCK", 0)
"""A pipe that nobody writes to would be waited for."""
_LINKS = (errno.ELOOP, errno.EMLINK, errno.ENOTDIR)
"""What systems say of a link that is not to be followed."""


def open_file(path: Path, most: int, within: Path | None = None) -> BinaryIO:
    """Open a file for reading.

    Args:
        path: The file.
        most: Bytes that it may have.
        within: The folder that it lies in, where that is somebody else's: no link is followed below it.

    Raises:
        FileNotFoundError: It is not there.
        UserError: It is a folder, a pipe, a socket, a device, too large, cannot be read, or a link leads to it.
    """
    try:
        handle = _handle(path, within)
        try:
            about = os.fstat(handle)
            if stat.S_ISDIR(about.st_mode):
                raise UserError(f"{path}: is a folder, expected a file")
            if not stat.S_ISREG(about.st_mode):
                raise ValueError("is a pipe or a device, expected a file")
            limits.check(about.st_size, most, "bytes")
            return os.fdopen(handle, "rb")
        except BaseException:
            os.close(handle)
            raise
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name with a null character, too
        if getattr(error, "errno", None) == errno.ENXIO:
            raise UserError(f"{path}: cannot be read (is a socket, expected a file)") from None
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None


def inside(folder: Path, *names: str) -> Path:
    """The path of something in a folder of somebody else's, which need not be there.

    Raises:
        UserError: It is a link, or a link or ``..`` leads to it, so that it may lie elsewhere.
    """
    path = folder.joinpath(*names)
    place = folder
    try:
        for part in path.relative_to(folder).parts:
            place = place / part
            if part == ".." or place.is_symlink():
                raise _leads_out(path)
    except (OSError, ValueError):  # an absolute name, one that is too long or has a null character
        raise _leads_out(path) from None
    return path


def no_link(path: str, flags: int) -> int:
    """An opener for :func:`open`: a link may have been put there since it was looked at."""
    return os.open(path, flags | NO_LINK, 0o666)


def _leads_out(path: Path) -> UserError:
    return UserError(f"{path}: is a link or leads out of the run folder, expected a file in it")


def _handle(path: Path, within: Path | None) -> int:
    """The file opened, whatever it is; every folder on the way is opened by its name in the one before."""
    if within is not None and os.open not in os.supports_dir_fd:  # then it is looked at before, at least
        path, within = inside(within, *path.relative_to(within).parts), None
    if within is None:
        return os.open(path, os.O_RDONLY | _AT_ONCE)
    *folders, name = path.relative_to(within).parts
    if ".." in (*folders, name):
        raise _leads_out(path)
    here = os.open(within, _FOLDER)
    try:
        for folder in folders:
            below = os.open(folder, _FOLDER | NO_LINK, dir_fd=here)
            os.close(here)
            here = below
        return os.open(name, os.O_RDONLY | NO_LINK | _AT_ONCE, dir_fd=here)
    except OSError as error:
        if error.errno in _LINKS:
            raise _leads_out(path) from None
        raise
    finally:
        os.close(here)
