"""Reading answers: what a response says after its reasoning, JSON within prose, numbers, times.

A reader of this room prefers the form that the prompt asks for, and returns nothing where it has not understood the
whole value: the response is ``unparsed`` then, and no other value is scored in its place.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_OPENING = re.compile(r"[\[{]")
# also as a heading
_ANSWER = re.compile(r"answer\s*[:：]|(?:^|\n)[#*_ \t]*(?:final )?answer[#*_ \t]*\n", re.IGNORECASE)
_NEXT = re.compile(r"\n\s*(?=[*#\s]*(?:question|user|human)\s*[:：])", re.IGNORECASE)
_REASONING = r"think(?:ing)?|thought|reasoning"
_BEGUN = re.compile(rf"[<◁](?:{_REASONING})[>▷]", re.IGNORECASE)
_ENDED = re.compile(rf"[<◁]/(?:{_REASONING})[>▷]", re.IGNORECASE)
_PLAIN = {0xFF01 + index: 0x21 + index for index in range(94)} | {0x3000: 0x20, 0x2212: 0x2D, 0xFE63: 0x2D}
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d+)?)", re.ASCII)
_UNITS = re.compile(
    r"(?:(\d+(?:\.\d+)?)\s*h(?:ours?|rs?)?\.?)?\s*"
    r"(?:(\d+(?:\.\d+)?)\s*m(?:in(?:ute)?s?)?\.?)?\s*"
    r"(?:(\d+(?:\.\d*)?|\.\d+)\s*s(?:ec(?:ond)?s?)?\.?)?",
    re.ASCII | re.IGNORECASE,
)


def answered(response: str) -> str:
    """What follows the last closing tag of a model's reasoning; nothing where reasoning was begun and not ended."""
    said = _ENDED.split(response)[-1]
    return _BEGUN.split(said)[0]


def folded(text: str) -> str:
    """The text with ASCII's characters in place of their fullwidth forms and of the Unicode minus."""
    return text.translate(_PLAIN)


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


def json_objects(response: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of a response, each before those within it, in order."""
    for value in json_values(response):
        waiting = [value]
        while waiting:
            item = waiting.pop()
            if isinstance(item, dict):
                yield item
            parts = item.values() if isinstance(item, dict) else item
            waiting += [part for part in parts if isinstance(part, dict | list)][::-1]


def number(value: Any) -> float | None:
    """A finite number, or a text that is one; else None."""
    if isinstance(value, str):
        match = _NUMBER.fullmatch(folded(value).strip())
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


def seconds(value: Any) -> float | None:
    """A time in seconds: a number, "3.4 s", "1m5s", "01:05" (m:s) or "00:01:05.5" (h:m:s); else None.

    Frames, decimal commas, and a clock's 60 seconds or more are not understood.
    """
    if not isinstance(value, str):
        return number(value)
    said = folded(value).strip().removeprefix("<").removesuffix(">").strip()
    if (plain := number(said)) is not None:
        return plain
    if clock := _CLOCK.fullmatch(said):
        hours, minutes, rest = float(clock[1] or 0), float(clock[2]), float(clock[3])
        return number(hours * 3600 + minutes * 60 + rest) if rest < 60 and (minutes < 60 or not clock[1]) else None
    if not said or not (parts := _UNITS.fullmatch(said)):
        return None
    return number(sum(float(part or 0) * unit for part, unit in zip(parts.groups(), (3600, 60, 1), strict=True)))


def after_answer(response: str) -> str:
    """What follows the last "Answer:", or the whole response; never what a model says while it reasons.

    Nor what it says after an answer to a next question, which it asks itself.
    """
    first, *following = _NEXT.split(answered(response))
    said = first if _ANSWER.search(first) else "\n".join([first, *following])
    return _ANSWER.split(said)[-1].strip()
