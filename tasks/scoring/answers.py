"""Reading structured answers: JSON within prose, numbers, the part after "Answer:"."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_OPENING = re.compile(r"[\[{]")
_ANSWER = re.compile(r"answer\s*:", re.IGNORECASE)


def json_values(response: str) -> Iterator[Any]:
    """The outermost JSON objects and arrays of a response, in order; what is no JSON is passed over."""
    decoder = json.JSONDecoder()
    position = 0
    while opening := _OPENING.search(response, position):
        try:
            value, position = decoder.raw_decode(response, opening.start())
        except (ValueError, RecursionError):
            position = opening.end()
        else:
            yield value


def number(value: Any) -> float | None:
    """A finite number, or the first one in a text such as "3.4 s"; else None."""
    if isinstance(value, str):
        match = _NUMBER.search(value)
        value = float(match[0]) if match else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        finite = float(value)
    except OverflowError:
        return None
    return finite if math.isfinite(finite) else None


def numbers(value: Any, count: int) -> list[float] | None:
    """A list of exactly ``count`` finite numbers, else None."""
    if not isinstance(value, list) or len(value) != count:
        return None
    values = [known for part in value if (known := number(part)) is not None]
    return values if len(values) == count else None


def box_of(item: Any) -> list[float] | None:
    """The four numbers of a box given as a list, or under bbox_2d, bbox or box."""
    if isinstance(item, dict):
        item = next((item[name] for name in ("bbox_2d", "bbox", "box") if name in item), None)
    return numbers(item, 4)


def after_answer(response: str) -> str:
    """What follows the last "Answer:", or the whole response."""
    return _ANSWER.split(response)[-1].strip()
