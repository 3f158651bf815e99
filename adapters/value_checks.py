"""Checks of single values, alike for settings, patches and calls: a UserError names the value and what was expected."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeGuard

from coreheads.errors import UserError, expected_one_of


def whole_number(what: str, value: object, least: int = 1) -> int:
    """The value; UserError where it is not of type int, or below ``least``. ``what`` is how the message begins."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UserError(f"{what} {value!r}, expected a whole number of at least {least}")
    return value


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a finite int or float; True and False are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def share(what: str, value: object, zero: bool = False) -> None:
    """UserError where the value is no number above 0 and up to 1; with ``zero`` it may be 0."""
    if not is_number(value) or not (0 <= value <= 1 if zero else 0 < value <= 1):
        expected = "a number from 0 to 1" if zero else "a number above 0 and up to 1"
        raise UserError(f"{what} {value!r}, expected {expected}")


def one_of(what: str, value: object, known: Iterable[str]) -> None:
    """UserError where a value is none of the known names; it names them and the nearest of them."""
    names = list(known)
    if value not in names:
        raise UserError(f"{what} {value!r}, {expected_one_of(value, names)}")
