"""Taking a machine's own paths, and what secrets an older version stored, out of what is published: of every absolute
path only the last part is kept."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Collection, Iterable
from pathlib import PureWindowsPath
from typing import Any

from coreheads.private import private_command_line, without_secrets

_REST = r"[^\s'\"`,;:)\]}<>|]*"
_PATH = re.compile(
    rf"(?<!\w)(?:[A-Za-z]:\\|\\\\){_REST}"
    rf"|(?<![\w.:/<~-])(?:~[\w.-]*/|/(?=[\w.@~-]+/|(?:home|root|tmp|mnt|data|Users)\b)){_REST}"
)


class Shortener:
    """Shortens paths in texts and JSON values, and counts how many texts it changed.

    known: paths that may hold blanks, such as those of a configuration; they are looked for as they stand.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        self.changed = 0
        self._known = sorted({path.rstrip("/\\") for path in known if is_private(path)}, key=len, reverse=True)

    def value(self, value: Any, keep: Collection[str] = (), field: str = "") -> Any:
        """A JSON value of ``field`` with all its texts shortened, except those of the fields ``keep``."""
        if isinstance(value, str):
            return self.command(value) if field == "command" else self.text(value)
        if isinstance(value, list):
            return [self.value(part, keep) for part in value]
        if isinstance(value, dict):
            return {
                self.text(str(name)): part if name in keep else self.value(part, keep, name)
                for name, part in value.items()
            }
        return value

    def text(self, text: str) -> str:
        """A text with its paths shortened."""
        short = without_secrets(text)
        for path in self._known:
            short = short.replace(path, _last(path))
        short = _PATH.sub(lambda match: _last(match.group()), short)
        self.changed += short != text
        return short

    def command(self, text: str) -> str:
        """A command line, word by word, so that a path with blanks is one."""
        shown = private_command_line(text)
        self.changed += shown != text
        text = shown
        try:
            words = shlex.split(text)
        except ValueError:
            return self.text(text)
        parts = [word.rpartition("=") for word in words]
        short = [f"{name}{sign}{_last(value) if is_private(value) else value}" for name, sign, value in parts]
        self.changed += short != words
        return self.text(text if short == words else shlex.join(short))

    def checkpoint(self, id: str) -> str:
        """A model's id; of a local folder its name and a digest of the path, so that two folders of one name differ."""
        if not is_private(id):
            return id
        self.changed += 1
        return f"{_last(id)}-{hashlib.sha256(id.encode()).hexdigest()[:8]}"


def is_private(path: str) -> bool:
    """Whether a text is a path that says something of a machine: absolute, or from a home folder."""
    return re.match(r"[/~]|\\\\|[A-Za-z]:[\\/]", path) is not None


def _last(path: str) -> str:
    name = PureWindowsPath(path).name  # which knows both kinds of slashes
    return name if name and name != "~" else "..."
