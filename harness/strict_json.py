"""Reads JSON that could be written again: names once, numbers finite, nothing nested without end."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from coreheads import limits
from coreheads.errors import UserError

_NOT_FINITE = re.compile(rb"NaN|Infinity|[eE]\+?0*[1-9][0-9]{2}")
"""How numbers that no float holds are written; texts may hold it, too."""


class NotJson(UserError):
    """What ends too early, or was never JSON."""


class RepeatedKey(ValueError):
    """A JSON object has a name twice."""


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose names are there once, as ``object_pairs_hook``: of two, one would be lost without a word."""
    merged = dict(pairs)
    if len(merged) < len(pairs):
        names = [name for name, _ in pairs]
        raise RepeatedKey(f"{next(name for name in names if names.count(name) > 1)!r} is there twice in one object")
    return merged


def parsed(data: bytes, where: str) -> Any:
    """The value that JSON in UTF-8 stands for.

    Args:
        data: The text.
        where: The start of every message, up to and with its verb: ``FILE: line 3 is``.

    Raises:
        NotJson: It ends too early, or was never JSON.
        UserError: It names something twice in one object, is nested too deep, or holds a number that is not finite.
    """
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=distinct)
        _check_depth(data, value)
        if _NOT_FINITE.search(data):
            _check_finite(value, "")
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise NotJson(f"{where} not JSON ({error})") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists in lists without end
        raise UserError(f"{where} not JSON of use ({str(error).splitlines()[0]})") from None
    return value


def _check_depth(data: bytes, value: Any) -> None:
    """ValueError for lists and objects in each other that would take whoever walks through them off the stack."""
    if data.count(b"[") + data.count(b"{") <= limits.JSON_DEPTH:
        return  # as most lines
    level, depth = [value], 0
    while level := [part for part in level if isinstance(part, list | dict)]:
        depth += 1
        limits.check(depth, limits.JSON_DEPTH, "lists and objects within each other")
        level = [part for node in level for part in (node.values() if isinstance(node, dict) else node)]


def _check_finite(value: Any, place: str) -> None:
    """ValueError for what is no number in JSON, though Python reads it: it could not be written again."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{place.lstrip('.') or 'it'} is {value}, expected a finite number")
    for key, part in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        _check_finite(part, f"{place}.{key}" if isinstance(value, dict) else f"{place}[{key}]")
