"""Text for people and for files: of models and data, where it must stay text; of numbers; of names."""

from __future__ import annotations

import re
from typing import Any

_HALF = re.compile("[\ud800-\udfff]")

TURNING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F])
"""Marks that turn the direction of writing: a name that holds one would turn the figures after it."""


def encodable(text: str) -> bool:
    """Whether it is made of characters: half of a surrogate pair, which a JSON escape may name, is none."""
    return not _HALF.search(text)


def visible(text: str) -> str:
    """Text without control characters, line breaks or marks that turn the direction of writing."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def markdown(text: Any) -> str:
    """One line of GitHub-flavoured Markdown that shows ``text``: no tag, link, mark-up, mention or end of a cell."""
    plain = " ".join(str(text).translate(TURNING).split())
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")
    return re.sub(r"([\\`*\[\]|~])|(?<!\w)(_)|(_)(?!\w)", lambda match: "\\" + match.group(), plain)


def file_name(text: str) -> str:
    """``text`` with nothing a file system or a shell could stumble over, shortened without becoming ambiguous."""
    safe = re.sub(r"[^A-Za-z0-9_.=+-]+", "-", text).strip("-.") or "unnamed"
    if safe == text and len(safe) <= 150:
        return safe
    from hashlib import sha256

    return f"{safe[:140]}-{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def duration(seconds: float) -> str:
    """For people: 40 s, 12 min, 3 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def gib(size: float) -> str:
    """Bytes for people."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 / 10 else f"{size / 2**20:.1f} MiB"
