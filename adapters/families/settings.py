"""Checking the settings that a family takes; each error is a UserError that names the setting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from coreheads.adapters import value_checks
from coreheads.errors import UserError, nearest

FRAMES = 32
"""Frames of a video where neither the settings nor the checkpoint's video processor say a number."""


def check_names(given: Iterable[str], known: Sequence[str], model_type: str) -> None:
    """UserError for a setting that the family does not know."""
    for name in given:
        if name not in known:
            near = nearest(name, known)
            raise UserError(f"setting {name}: {model_type} has none of that name{near}, expected {', '.join(known)}")


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """The value, where it is a whole number of at least ``least``."""
    return value_checks.whole_number(f"setting {name}:", value, least)


def number_of_frames(processor: Any, chosen: int | None) -> int:
    """How many frames of a video are shown: as chosen, else the processor's own number, else ``FRAMES``."""
    return whole_number("num_frames", processor.video_processor.num_frames or FRAMES if chosen is None else chosen)
