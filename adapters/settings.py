"""Checking the settings that a family takes."""

from __future__ import annotations

from typing import Any

from coreheads.errors import UserError


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """The value, where it is a whole number of at least ``least``; else a UserError that names the setting."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UserError(f"setting {name}: {value!r}, expected a whole number of at least {least}")
    return value
