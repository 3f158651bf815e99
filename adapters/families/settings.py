"""Checking the settings that a family takes; each error is a UserError that names the setting."""

from __future__ import annotations

from typing import Any

from coreheads.adapters import value_checks

FRAMES = 32
"""Frames of a video where neither the settings nor the checkpoint's video processor say a number."""


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """The value, where it is a whole number of at least ``least``."""
    return value_checks.whole_number(f"setting {name}:", value, least)


def number_of_frames(processor: Any, chosen: int | None) -> int:
    """How many frames of a video are shown: as chosen, else the processor's own number, else ``FRAMES``."""
    return whole_number("num_frames", processor.video_processor.num_frames or FRAMES if chosen is None else chosen)
