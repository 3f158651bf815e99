"""Boxes as (x0, y0, x1, y1), half open: a box of whole pixels covers x0 <= x < x1."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from coreheads.regions import Box
from coreheads.tasks.scoring.answers import answered, folded, numbers
from coreheads.tasks.scoring.families import normalised

_KEYS = ("bbox_2d", "bbox", "box")
_KEYED = tuple(re.compile(rf"""["']{name}["']\s*:\s*""") for name in _KEYS)
_EDGE = r"""\s*["']?\s*([-+]?(?!00)(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)\s*["']?\s*"""
_FOUR = re.compile(
    rf"\[{_EDGE},{_EDGE},{_EDGE},{_EDGE}\]"
    rf"|\[\s*\[{_EDGE},{_EDGE}\]\s*,\s*\[{_EDGE},{_EDGE}\]\s*\]"
    rf"|\({_EDGE},{_EDGE}\)\s*,?\s*\({_EDGE},{_EDGE}\)"
)
_POINTS = re.compile(rf"\({_EDGE},{_EDGE}\)(?:\s*,?\s*\({_EDGE},{_EDGE}\)){{2,}}")


def area(box: Sequence[float]) -> float:
    """0 for a box turned inside out."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def intersection(a: Sequence[float], b: Sequence[float]) -> float:
    """Area that both cover."""
    return area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union; 0 where neither has an area."""
    both = intersection(a, b)
    union = area(a) + area(b) - both
    return both / union if union > 0 else 0.0


def fraction_of(box: Sequence[float], width: float, height: float) -> Box:
    """A box in the units of ``width`` and ``height`` as a part of the picture, 0..1; what lies outside is cut off."""
    x0, y0, x1, y1 = (min(1.0, max(0.0, edge / side)) for edge, side in zip(box, (width, height) * 2, strict=True))
    return x0, y0, x1, y1


def scaled(box: Sequence[float], width: float, height: float) -> Box:
    """A box in 0..1 in the units of ``width`` and ``height``."""
    x0, y0, x1, y1 = box
    return x0 * width, y0 * height, x1 * width, y1 * height


def boxes_of(item: Any) -> list[list[float]]:
    """The boxes of a JSON value: four numbers, quoted or not, two corners, a list of such; or these under a key's name.

    The keys are bbox_2d, bbox and box. Empty where any part of the value is no box.
    """
    if isinstance(item, dict):
        item = next((item[name] for name in _KEYS if name in item), None)
    while isinstance(item, list) and len(item) == 1:
        item = item[0]
    if (box := numbers(item, 4)) is not None:
        return [box]
    parts = item if isinstance(item, list) else []
    corners = [corner for part in parts if (corner := numbers(part, 2)) is not None]
    if len(corners) == len(parts) == 2:
        return [[*corners[0], *corners[1]]]
    boxes = [box for part in parts if (box := numbers(part, 4)) is not None]
    return boxes if len(boxes) == len(parts) else []


def read_box(response: str, family: str) -> Box | None:
    """The first box of a response, normalised to 0..1; None where there is none.

    The first box under a key (``{"bbox_2d": [...]}``) is the one that counts, and where that cannot be read there is
    none; without a key read are ``[x0, y0, x1, y1]`` (so also ``[[...]]``), ``[[x0, y0], [x1, y1]]`` and
    ``(x0, y0) (x1, y1)``, but no more points than two. The numbers mean what ``tasks.scoring.families`` says of the
    family, whatever they are: no second scale is tried. Corners are not put in order.
    """
    normalised((0, 0, 0, 0), family)  # an unknown family is refused whatever was answered
    said = folded(answered(response))
    key = next((match for name in _KEYED if (match := name.search(said))), None)
    boxes: list[list[float]] = []
    if key is not None:
        with suppress(ValueError, RecursionError):
            boxes = boxes_of(json.JSONDecoder().raw_decode(said, key.end())[0])
    match = _FOUR.search(said) if key is None else _FOUR.match(said, key.end())
    if match is not None and not boxes and not _POINTS.match(said, match.start()):
        boxes = [[float(edge) for edge in match.groups() if edge is not None]]
    return normalised(boxes[0], family) if boxes and all(map(math.isfinite, boxes[0])) else None
