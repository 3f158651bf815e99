"""What the options of ``coreheads bench`` mean; UserError names the option, the value and what was expected."""

from __future__ import annotations

import re
from typing import Literal

from coreheads.bench.heads import SPREADS
from coreheads.errors import UserError


def lengths(text: str) -> list[int]:
    """``"8k,32768"`` -> [8192, 32768]; k is 1,024."""
    found = []
    for part in _parts("--context", text):
        match = re.fullmatch(r"(\d+)(k?)", part, re.IGNORECASE)
        if match is None or int(match[1]) < 1:
            raise UserError(f"--context: {part!r}, expected a number of tokens such as 8192 or 8k")
        found.append(int(match[1]) * (1024 if match[2] else 1))
    return sorted(set(found))


def fractions(text: str) -> list[float]:
    """``"0.05,0.1"`` -> [0.05, 0.1]."""
    found = []
    for part in _parts("--fraction", text):
        try:
            number = float(part)
        except ValueError:
            number = 0.0
        if not 0 < number <= 1:
            raise UserError(f"--fraction: {part!r}, expected numbers above 0 and at most 1 (0.05 means 5 %)")
        found.append(number)
    return list(dict.fromkeys(found))


def patterns(sink: str, window: str) -> list[tuple[int, int]]:
    """(sink, window) pairs; one sink goes with every window, and the other way round."""
    sinks, windows = (
        [_whole(name, part, least) for part in _parts(name, text)]
        for name, text, least in (("--sink", sink, 0), ("--window", window, 1))
    )
    count = max(len(sinks), len(windows))
    for name, numbers in (("--sink", sinks), ("--window", windows)):
        if len(numbers) not in (1, count):
            raise UserError(f"{name}: {len(numbers)} values, expected 1 or {count}, as many as of the other")
    return [(sinks[i % len(sinks)], windows[i % len(windows)]) for i in range(count)]


def selections(text: str | None, profile: bool) -> list[str]:
    """Names of selections; by default the top of a profile, else both spreads."""
    if text is None:
        return ["top"] if profile else list(SPREADS)
    names = _parts("--selection", text)
    known = (*(("top",) if profile else ()), *SPREADS)
    for name in names:
        if name not in known:
            more = "" if profile else "; top needs --heads FILE"
            raise UserError(f"--selection: {name!r}, expected {', '.join(known)}{more}")
    return names


def granularity(text: str) -> Literal["query", "kv"]:
    """``query`` or ``kv``."""
    if text == "query":
        return "query"
    if text == "kv":
        return "kv"
    raise UserError(f"--granularity: {text!r}, expected query or kv")


def _parts(option: str, text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise UserError(f"{option}: {text!r}, expected at least one value")
    return parts


def _whole(option: str, text: str, least: int) -> int:
    if not text.isdigit() or int(text) < least:
        raise UserError(f"{option}: {text!r}, expected a whole number of at least {least}")
    return int(text)
