"""Estimates with their intervals in words."""

from __future__ import annotations

from coreheads.stats.significance import none_of
from coreheads.store.board import Interval


def interval(value: float | None, bounds: Interval | None, digits: int = 2, sign: bool = False) -> str:
    """``0.95 [0.90, 0.99]``; empty where not measured."""
    if value is None:
        return ""
    form = f"{{:{'+' if sign else ''}.{digits}f}}"
    text = form.format(value + 0.0)
    if bounds is not None:
        text += f" [{form.format(bounds[0] + 0.0)}, {form.format(bounds[1] + 0.0)}]"
    return text


def none_seen(bounds: Interval | None, count: int | None) -> str:
    """What an interval of [0, 0] cannot say: how often that which none of ``count`` samples showed may be so
    nevertheless (one-sided 95 % bound), as `` (0 of 64: below 4.6 %)``. Empty for others, and where no count is known.
    """
    if not count or bounds is None or any(bounds):
        return ""
    return f" (0 of {count:,}: below {100 * none_of(count):.2g} %)"
