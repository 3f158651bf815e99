"""Rendered pages on disk: by content, resolution and page number; bounded; shared by processes; never in the way."""

from __future__ import annotations

import contextlib
import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from coreheads.cache import cache_folder
from coreheads.errors import UserError
from coreheads.files import write_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BYTES = 8 << 30
_CHECK_EVERY = 64
"""How many pages are written between two looks at the folder's size."""


@dataclass(frozen=True)
class PageCache:
    """PNG files <key>.png in one folder, at most about ``max_bytes`` in all; the least recently used go first.

    A file appears complete or not at all, so several processes may share the folder. Whatever fails (a full disk, a
    folder that cannot be written, a file that another process has just removed) only means that a page is drawn anew.
    """

    folder: Path = field(default_factory=lambda: cache_folder("pages"))
    max_bytes: int = MAX_BYTES

    def get(self, key: str) -> Image | None:
        """The page, or None where it is not kept."""
        from coreheads.media.images import open_image

        path = self.folder / f"{key}.png"
        try:
            page = open_image(path, "kept pages")
            os.utime(path)  # used now: goes last
        except (OSError, UserError):
            return None
        return page

    def put(self, key: str, page: Image) -> None:
        """Keep a page, if that can be done."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            stream = io.BytesIO()
            page.save(stream, "PNG", compress_level=1)
            write_bytes(self.folder / f"{key}.png", stream.getvalue())
            if int.from_bytes(os.urandom(2), "big") % _CHECK_EVERY == 0:
                self.trim()

    def trim(self) -> None:
        """Remove the least recently used files until the rest is within bounds."""
        files = []
        for entry in os.scandir(self.folder):
            with contextlib.suppress(FileNotFoundError):  # another process may be trimming, too
                about = entry.stat()
                files.append((about.st_mtime_ns, about.st_size, entry.path))
        total = 0
        for _, size, path in sorted(files, reverse=True):
            total += size
            if total > self.max_bytes:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
