"""What ``coreheads bench`` is asked for; UserError names the option, the value and what was expected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from coreheads.errors import UserError, brief

if TYPE_CHECKING:
    from coreheads.heads.profile import HeadProfile
    from coreheads.heads.types import Granularity

Value = TypeVar("Value")

SPREADS = ("clustered", "scattered")
"""Selections without a head profile, see ``bench.heads``."""


MOST_TOKENS = 2**31 - 1
"""In a prompt, a sink or a window: kernels count in 32 bits."""
MOST_VALUES, MOST_MEASURED = 1000, 10_000
"""Values of an option; and context lengths x selections x fractions x patterns."""


@dataclass(frozen=True)
class Plan:
    """How often and how much. prefill_chunk: tokens of a prompt computed at a time, None: all."""

    repeats: int = 10
    warmup: int = 1
    decode_tokens: int = 16
    batch: int = 1
    prefill_chunk: int | None = None


@dataclass(frozen=True)
class Settings:
    """What is measured, and where it is written.

    heads: a head profile, needed by the selection "top". patterns: (sink, window). dtype: "auto" is the checkpoint's
    own; None is bfloat16 on a GPU, else float32. out: bench.json; details and a picture go beside it. ram, longest:
    also measure what RAM costs, and the longest context that fits.
    """

    model: str
    contexts: list[int]
    fractions: list[float]
    selections: list[str]
    patterns: list[tuple[int, int]]
    out: Path
    heads: HeadProfile | None = None
    random_weights: bool = False
    device: str = "auto"
    dtype: str | None = None
    granularity: Granularity = "query"
    plan: Plan = field(default_factory=Plan)
    threads: int | None = None
    ram: bool = False
    longest: bool = False

    def __post_init__(self) -> None:
        count = len(self.contexts) * len(self.selections) * len(self.fractions) * len(self.patterns)
        if count > MOST_MEASURED:
            what = "--context x --selection x --fraction x --window"
            raise UserError(f"{what}: {count:,} measurements, expected at most {MOST_MEASURED:,}")


def lengths(text: str) -> list[int]:
    """``"8k,32768"`` -> [8192, 32768]; k is 1,024."""

    def tokens(part: str) -> int:
        number = part.lower().removesuffix("k")
        return int(number) * (1 if number == part else 1024)

    expected = "a number of tokens such as 8192 or 8k (below 2**31)"
    return sorted(set(_values("--context", text, tokens, lambda number: 0 < number <= MOST_TOKENS, expected)))


def fractions(text: str) -> list[float]:
    """``"0.05,0.1"`` -> [0.05, 0.1]."""
    expected = "numbers above 0 and at most 1 (0.05 means 5 %)"
    return list(dict.fromkeys(_values("--fraction", text, float, lambda share: 0 < share <= 1, expected)))


def patterns(sink: str, window: str) -> list[tuple[int, int]]:
    """(sink, window) pairs; one sink goes with every window, and the other way round."""
    sinks, windows = _wholes("--sink", sink, 0), _wholes("--window", window, 1)
    count = max(len(sinks), len(windows))
    for name, numbers in (("--sink", sinks), ("--window", windows)):
        if len(numbers) not in (1, count):
            raise UserError(f"{name}: {len(numbers)} values, expected 1 or {count}, as many as of the other")
    return [(sinks[i % len(sinks)], windows[i % len(windows)]) for i in range(count)]


def selections(text: str | None, profile: bool) -> list[str]:
    """Names of selections; by default the top of a profile, else both spreads."""
    if text is None:
        return ["top"] if profile else list(SPREADS)
    known = (*(("top",) if profile else ()), *SPREADS)
    expected = ", ".join(known) + ("" if profile else "; top needs --heads FILE")
    return _values("--selection", text, str, known.__contains__, expected)


def granularity(text: str) -> Granularity:
    """``query`` or ``kv``."""
    if text not in ("query", "kv"):
        raise UserError(f"--granularity: {text!r}, expected query or kv")
    return "kv" if text == "kv" else "query"


def _wholes(option: str, text: str, least: int) -> list[int]:
    expected = f"a whole number of at least {least} (below 2**31)"
    return _values(option, text, int, lambda number: least <= number <= MOST_TOKENS, expected)


def _values(
    option: str, text: str, parse: Callable[[str], Value], fits: Callable[[Value], bool], expected: str
) -> list[Value]:
    """The values between commas, at least one; ``parse`` raises ValueError for what is none."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise UserError(f"{option}: {brief(text)}, expected at least one value")
    if len(parts) > MOST_VALUES:
        raise UserError(f"{option}: {len(parts):,} values, expected at most {MOST_VALUES:,}")
    values = []
    for part in parts:
        try:
            values.append(parse(part))
            if not fits(values[-1]):
                raise ValueError
        except ValueError:
            raise UserError(f"{option}: {brief(part)}, expected {expected}") from None
    return values
