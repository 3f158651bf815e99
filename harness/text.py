"""Text of models and data in other formats, where it must stay text."""

from __future__ import annotations

import re
from typing import Any

TURNING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F])
"""Marks that turn the direction of writing: a name that holds one would turn the figures after it."""


def markdown(text: Any) -> str:
    """One line of GitHub-flavoured Markdown that shows ``text``: no tag, link, mark-up, mention or end of a cell."""
    plain = " ".join(str(text).translate(TURNING).split())
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")
    return re.sub(r"([\\`*\[\]|~])|(?<!\w)(_)|(_)(?!\w)", lambda found: "\\" + found.group(), plain)
