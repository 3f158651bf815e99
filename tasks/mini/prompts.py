"""The mini tasks' questions name their thing; this finds the name, which is the query."""

from __future__ import annotations

import re

from coreheads.adapters.tiny.vocabulary import NAMES
from coreheads.errors import UserError

FAMILY = "qwen"
"""The embedded model answers in Qwen3-VL's coordinates."""

_WORD = re.compile(r"[a-z]+-[a-z]+")
_KNOWN = frozenset(NAMES)


def name_in(question: str) -> str:
    """The only object name of a question such as "which page has the red-star?"."""
    names = [word for word in _WORD.findall(question) if word in _KNOWN]
    if len(names) != 1:
        raise UserError(f"question: {question!r}, expected the name of one object of the mini world")
    return str(names[0])
