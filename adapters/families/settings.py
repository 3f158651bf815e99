"""Checking the settings that a family takes."""

from __future__ import annotations

import math
from typing import Any

from coreheads.errors import UserError

FRAMES = 32
"""Frames of a video where neither the settings nor the checkpoint's video processor say a number."""


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """The value, where it is a whole number of at least ``least``; else a UserError that names the setting."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UserError(f"setting {name}: {value!r}, expected a whole number of at least {least}")
    return value


def positive(name: str, value: Any) -> float:
    """The value, where it is a finite number above 0; else a UserError that names the setting."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise UserError(f"setting {name}: {value!r}, expected a number above 0")
    return value


def ordered(name: str, least: int, most: int) -> None:
    """UserError where a family's smallest number of something is above its largest."""
    if least > most:
        raise UserError(
            f"settings of {name}: the minimum is {least} and the maximum {most}, expected minimum <= maximum"
        )


def number_of_frames(processor: Any, chosen: int | None) -> int:
    """How many frames of a video are shown: as chosen, else the processor's own number, else ``FRAMES``."""
    return whole_number("num_frames", processor.video_processor.num_frames or FRAMES if chosen is None else chosen)
