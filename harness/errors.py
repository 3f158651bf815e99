"""The errors that mean "your input is wrong", or too large for this machine."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ADDRESS = re.compile(r"<[^<>]* at 0x[0-9a-fA-F]+>")

_NUMBER = re.compile(r"\[Errno -?\d+\] ")


class UserError(Exception):
    """Input that cannot be used.

    The message is one line that names the file, the field, the value and what was expected; the command
    line prints it without a traceback and exits with status 2. It can be written wherever text can: half characters,
    which input may hold, are shown as escapes.
    """

    def __init__(self, message: str) -> None:
        super().__init__(escaped(message))


class BadSample(UserError):
    """One sample that cannot be used: it is counted as unscored, never as wrong, and the others go on."""


class OutOfMemory(UserError):
    """What was asked for does not fit into this machine's memory, however little is done at a time."""


def escaped(text: str) -> str:
    """``text``, with half characters shown as the escapes that they were written as."""
    return text.encode("utf-8", "backslashreplace").decode()


def one_line(error: Exception) -> str:
    """The first line of an error's text, without addresses in memory and numbers of system errors, or its type where
    it has none."""
    text = _NUMBER.sub("", _ADDRESS.sub("it", str(error))).strip()
    return text.splitlines()[0] if text else type(error).__name__


def brief(value: object) -> str:
    """A value for a message, not longer than a line."""
    words = repr(value)
    return words if len(words) <= 80 else f"{words[:77]}..."


def nearest(name: object, known: Iterable[str]) -> str:
    """`` (did you mean 'hybrid'?)`` for what resembles one of the known names, else an empty text: ends a message."""
    from difflib import get_close_matches

    close = get_close_matches(str(name)[:200], list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def expected_one_of(name: object, known: Iterable[str]) -> str:
    """``expected one of a, b (did you mean 'a'?)``: how a message about an unknown name ends."""
    names = list(known)
    return f"expected one of {', '.join(names)}{nearest(name, names)}"
