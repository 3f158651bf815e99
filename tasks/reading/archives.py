"""Data sets of the hub that are published as archives: fetched and unpacked once, into our cache folder."""

from __future__ import annotations

import re
import shutil
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from coreheads import limits
from coreheads.cache import build_once, cache_folder
from coreheads.errors import UserError
from coreheads.tasks.reading.sources import Source
from coreheads.text import for_rich, visible

_ENDING = re.compile(r"\.(?:tar(?:\.gz)?(?:\.part-\w+)?|tgz|zip)$")


def unpacked(source: Source, names: Iterable[str]) -> Path:
    """A folder with what the hub's archives of these names hold, each unpacked when it is first asked for.

    An archive unpacks into the folder that it lies in; there must be room for the archive and its content.

    Args:
        source: A data set of the hub.
        names: Each an archive's without ``.tar.gz`` and the like (its parts are joined in order), or a plain file's.

    Raises:
        UserError: There is no such archive, or it is broken.
    """
    root = unpack_folder(source)
    for name in names:
        marker = root / ".unpacked" / name.replace("/", "--")
        if not marker.is_dir():
            parts = [file for file in source.names(f"{name}*") if file == name or _ENDING.fullmatch(file[len(name) :])]
            if not parts:
                raise UserError(f"{source.where(name)}: no such file or archive; give --data-root with a local copy")
            _unpack([source.file(file, "an archive") for file in parts], root / Path(name).parent, name, source)
            build_once(marker, lambda folder: None)
    return root


def unpack_folder(source: Source) -> Path:
    """Where the archives of a hub's data set are unpacked, those of a revision in a folder of their own."""
    name, revision = source.repository
    return cache_folder("hub") / "@".join(filter(None, (name, revision))).replace("/", "--")


def _unpack(files: Sequence[Path], folder: Path, name: str, source: Source) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    folder.mkdir(parents=True, exist_ok=True)
    size = sum(file.stat().st_size for file in files)
    room = limits.ARCHIVE_FREE + limits.ARCHIVE_RATIO * size
    print(visible(f"unpacking {source.where(name)} into {folder}"), file=sys.stderr)
    try:
        if files[0].suffix == ".zip":
            with zipfile.ZipFile(files[0]) as archive:
                _extract_zip(archive, folder, room)
        elif _ENDING.search(files[0].name):
            with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
                job = bar.add_task(for_rich(f"unpacking {name}"), total=size)
                stream: Any = _Joined(files, lambda count: bar.advance(job, count))
                with tarfile.open(fileobj=stream, mode="r|*") as archive:
                    _extract_tar(archive, folder, room)
        else:
            shutil.copyfile(files[0], folder / Path(name).name)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError, RuntimeError, zlib.error) as error:
        raise UserError(f"{source.where(name)}: cannot be unpacked ({error}), expected an archive") from None
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror or error}), expected room to unpack") from None


def _extract_zip(archive: zipfile.ZipFile, folder: Path, room: int) -> None:
    """ValueError for more members or bytes (``room``) than may be, and for names that lead out of the folder."""
    members = archive.infolist()
    limits.check(len(members), limits.ARCHIVE_MEMBERS, "members")
    limits.check(sum(member.file_size for member in members), room, "bytes in it")
    for member in members:
        # zipfile would keep it inside under another name, where nobody looks for it
        if ".." in Path(member.filename).parts or Path(member.filename).is_absolute():
            raise ValueError(f"member {member.filename!r} leads out of the folder")
    archive.extractall(folder)


def _extract_tar(archive: tarfile.TarFile, folder: Path, room: int) -> None:
    """As for a zip file; members are looked at as they come. Links and devices that are not safe are a TarError."""
    total = 0
    for count, member in enumerate(archive, 1):
        total += member.size
        limits.check(count, limits.ARCHIVE_MEMBERS, "members")
        limits.check(total, room, "bytes in it")
        archive.extract(member, folder, filter="data")


class _Joined:
    """The parts of a split archive, read one after the other as one stream; ``advance`` is told of every byte."""

    def __init__(self, files: Sequence[Path], advance: Callable[[int], object]) -> None:
        self._streams = [file.open("rb") for file in files]
        self._advance = advance

    def read(self, size: int) -> bytes:
        """``size`` bytes; fewer only at the end."""
        content = b""
        while self._streams and len(content) < size:
            content += self._streams[0].read(size - len(content))
            if len(content) < size:
                self._streams.pop(0).close()
        self._advance(len(content))
        return content
