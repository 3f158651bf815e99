"""Reading and writing files so that a crash leaves the old one or the new one, never half of one."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coreheads import limits, strict_json
from coreheads.errors import UserError, one_line
from coreheads.opening import no_link, open_file
from coreheads.text import json_text

TEMPORARY = ".*.tmp"
"""What the temporary names look like that a killed process may leave."""

_DISK = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up", errno.EROFS: "it is read-only"}


@contextmanager
def write_errors(path: str | Path) -> Iterator[None]:
    """Turn "cannot write there" into one clear line; any other fault of the system passes."""
    try:
        yield
    except OSError as error:
        name = error.filename or path
        if error.errno in _DISK:
            raise UserError(f"{name}: cannot be written, {_DISK[error.errno]}") from None
        if isinstance(error, PermissionError | NotADirectoryError | FileExistsError | IsADirectoryError):
            raise UserError(f"{name}: cannot be written ({error.strerror}), expected a folder to write to") from None
        raise


def write_bytes(path: str | Path, data: bytes, sync: bool = True) -> Path:
    """Write to a temporary name beside ``path``, then rename; on disk when it returns.

    sync: without it a machine that goes away may leave less of the file, as one of many small ones may be.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            if sync:
                os.fsync(stream.fileno())
        # mkstemp makes files private; what we write is as readable as any other file of the user
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
        if sync:
            _sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return path


def write_text(path: str | Path, text: str) -> Path:
    # half of a surrogate pair, which JSON may name and UTF-8 has no bytes for, is shown as what it is
    return write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: str | Path, value: Any) -> Path:
    """UTF-8 JSON; NaN and infinities are refused, because JSON has none."""
    return write_bytes(path, _encoded(value, indent=1))


def read_json(path: str | Path, most: int | None = None, within: Path | None = None) -> Any:
    """The content of a JSON file; UserError for one that cannot be read or is none.

    most: bytes that it may have, by default ``limits.JSON_BYTES``. within: as for :func:`opening.open_file`.
    """
    return strict_json.parsed(read_bytes(path, limits.JSON_BYTES if most is None else most, within), f"{path}: is")


def append_jsonl(path: str | Path, *records: Any, sync: bool = True) -> None:
    """Append lines in one write, which a process that is killed afterwards cannot take back.

    Where they cannot be written, the file is as it was before. sync: have them on disk, too, where they survive a
    machine that goes away; else see to it with :func:`sync_file`.
    """
    path = Path(path)
    data = b"".join(_encoded(record) for record in records)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    try:
        with open(path, "ab", buffering=0, opener=no_link) as stream:
            before = stream.seek(0, os.SEEK_END)
            try:
                written = stream.write(data)
                if written != len(data):
                    stream.write(data[written:])  # says what is wrong
                if sync:
                    os.fsync(stream.fileno())
            except BaseException:
                with contextlib.suppress(OSError):
                    stream.truncate(before)
                raise
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    if new:
        _sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Have on disk what was written to the file."""
    with open(path, "rb+", opener=no_link) as stream:
        try:
            os.fsync(stream.fileno())
        except OSError as error:
            error.filename = str(path)
            raise


def cut_half_line(path: Path) -> None:
    """Take off the half line at the end of a JSON-lines file that a killed process left."""
    data = read_bytes(path, limits.LINES_BYTES)
    if data and not data.endswith(b"\n"):
        with open(path, "r+b", opener=no_link) as stream:
            stream.truncate(data.rfind(b"\n") + 1)


def read_bytes(path: str | Path, most: int, within: Path | None = None) -> bytes:
    """The content of a file; UserError where it cannot be read. most, within: as for :func:`opening.open_file`."""
    try:
        with open_file(Path(path), most, within) as stream:
            return stream.read(most)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None


def read_jsonl(path: str | Path, within: Path | None = None) -> Iterator[Any]:
    """The records of a JSON-lines file, none where it is not there; a last line cut off by a crash is left out.

    within: as for :func:`opening.open_file`.
    """
    path = Path(path)
    try:
        stream = open_file(path, limits.LINES_BYTES, within)
    except FileNotFoundError:
        return
    with stream:
        number = 0
        while line := stream.readline(limits.LINE_BYTES + 1):
            number += 1
            if len(line) > limits.LINE_BYTES:
                raise UserError(f"{path}: line {number} has more than {limits.LINE_BYTES:,} bytes")
            if not line.strip():
                continue
            try:
                yield strict_json.parsed(line, f"{path}: line {number} is")
            except strict_json.NotJson:
                if not line.endswith(b"\n"):
                    return
                raise


def is_hidden(name: str) -> bool:
    """Whether a file's or folder's name says that it is no data: dot files, and what editors and systems leave."""
    editors = name.endswith("~") or name.startswith("~$") or (name.startswith("#") and name.endswith("#"))
    return editors or name.startswith(".") or name in {"__MACOSX", "Thumbs.db", "desktop.ini"}


def matching(folder: Path, pattern: str) -> list[Path]:
    """What matches below the folder, sorted, but nothing hidden; ``*`` stays in a folder, ``**`` does not."""
    return sorted(path for path in folder.glob(pattern) if not any(map(is_hidden, path.relative_to(folder).parts)))


def sweep(folder: Path) -> None:
    """Remove the temporary files that a killed process left in the folder."""
    for leftover in folder.glob(TEMPORARY):
        with contextlib.suppress(OSError):
            leftover.unlink()


def _encoded(value: Any, indent: int | None = None) -> bytes:
    """One JSON text that ends its line."""
    return (json_text(value, indent) + "\n").encode()


def regular(path: Path, most: int, what: str, error: type[UserError] = UserError) -> Path:
    """The path itself, before it is opened.

    Args:
        path: Where a file is to be.
        most: Bytes that it may have.
        what: What it should be, such as "a PDF".
        error: What is raised, in one line, where it is not there, is no file that can be read to its end (a folder,
            pipe, socket or device), or is larger.
    """
    try:
        limits.check_file(path, most)
    except FileNotFoundError:
        raise error(f"{path}: no such file, expected {what}") from None
    except OSError as problem:
        raise error(f"{path}: cannot be opened ({problem.strerror or one_line(problem)}), expected {what}") from None
    except ValueError as problem:  # also a name with a null character
        raise error(f"{path}: {problem}") from None
    return path


def whole_file(path: Path, most: int, what: str, error: type[UserError] = UserError) -> bytes:
    """All bytes of a file; arguments and errors as for ``regular``, also where it cannot be read."""
    regular(path, most, what, error)
    try:
        return path.read_bytes()
    except OSError as problem:
        raise error(f"{path}: cannot be read ({problem.strerror or one_line(problem)}), expected {what}") from None


def _sync_folder(folder: Path) -> None:
    """Have the folder's list of names on disk, too, where the system can do that."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
