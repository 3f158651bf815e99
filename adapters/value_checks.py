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


def one_of(what: str, value: object, known: Iterable[str]) -> None:
    """UserError where a value is none of the known names; it names them and the nearest of them."""
    names = list(known)
    if value not in names:
        raise UserError(f"{what} {value!r}, {expected_one_of(value, names)}")
