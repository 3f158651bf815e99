"""Taking a machine's own paths out of what is published: of every absolute path only the last part is kept."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterable
from pathlib import Path, PureWindowsPath
from typing import Any

_REST = r"[^\s'\"`,;:)\]}<>|]*"
_POSIX = re.compile(r"(?<![\w.:/<~-])(?:~[\w.-]*/|/(?=[\w.@~-]+/|(?:home|root|tmp|mnt|data|Users)\b))" + _REST)
_WINDOWS = re.compile(r"(?<!\w)(?:[A-Za-z]:\\|\\\\)" + _REST)


class Shortener:
    """Shortens paths in texts and JSON values, and counts how many texts it changed.

    known: paths that may hold blanks, such as those of a configuration; they are looked for as they stand.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        self.changed = 0
        self._known = sorted({path.rstrip("/\\") for path in known if is_private(path)}, key=len, reverse=True)

    def value(self, value: Any, keep: Iterable[str] = ()) -> Any:
        """A JSON value with all its texts shortened, except those of the fields ``keep``."""
        kept = set(keep)
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(part, kept) for part in value]
        if isinstance(value, dict):
            return {
                self.text(str(name)): part if name in kept else self.command(part) if name == "command" else
                self.value(part, kept)
                for name, part in value.items()
            }  # fmt: skip
        return value

    def text(self, text: str) -> str:
        """A text with its paths shortened."""
        found = text
        for path in self._known:
            found = found.replace(path, _last(path))
        found = _WINDOWS.sub(lambda match: _last(match.group()), found)
        found = _POSIX.sub(lambda match: _last(match.group()), found)
        self.changed += found != text
        return found

    def command(self, text: Any) -> Any:
        """A command line, word by word, so that a path with blanks is one."""
        if not isinstance(text, str):
            return self.value(text)
        try:
            words = shlex.split(text)
        except ValueError:
            return self.text(text)
        short = []
        for word in words:
            option, sign, value = word.partition("=")
            if sign and is_private(value):
                short.append(f"{option}={_last(value)}")
            else:
                short.append(_last(word) if is_private(word) else word)
        if short == words:
            return self.text(text)
        self.changed += 1
        return self.text(shlex.join(short))

    def checkpoint(self, id: str) -> str:
        """A model's id; of a local folder its name and a digest of the path, so that two folders of one name differ."""
        if not is_private(id):
            return id
        self.changed += 1
        return f"{_last(id)}-{hashlib.sha256(id.encode()).hexdigest()[:8]}"


def is_private(path: str) -> bool:
    """Whether a text is a path that says something of a machine: absolute, or from a home folder."""
    return path.startswith(("/", "~", "\\\\")) or bool(re.match(r"[A-Za-z]:[\\/]", path))


def _last(path: str) -> str:
    windows = "\\" in path
    name = (PureWindowsPath(path) if windows else Path(path)).name
    return name if name and name != "~" else "..."
