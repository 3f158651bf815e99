"""Boxes as (x0, y0, x1, y1), half open: a box of whole pixels covers x0 <= x < x1."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from coreheads.regions import Box
from coreheads.tasks.scoring.families import normalised

NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_FOUR = re.compile(
    rf"\[\s*({NUMBER})\s*,\s*({NUMBER})\s*,\s*({NUMBER})\s*,\s*({NUMBER})\s*\]"
    rf"|\(\s*({NUMBER})\s*,\s*({NUMBER})\s*\)\s*,?\s*\(\s*({NUMBER})\s*,\s*({NUMBER})\s*\)"
)


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


def read_box(response: str, family: str) -> Box | None:
    """The first box of a response, normalised to 0..1; None where there is none.

    Read are ``[x0, y0, x1, y1]`` (so also ``[[...]]`` and ``{"bbox_2d": [...]}``) and ``(x0, y0) (x1, y1)``. The
    numbers mean what ``tasks.scoring.families`` says of the family, whatever they are: no second scale is tried.
    Corners are not put in order.
    """
    match = _FOUR.search(response)
    if match is None:
        normalised((0, 0, 0, 0), family)  # an unknown family is refused whatever was answered
        return None
    corners = [float(number) for number in match.groups() if number is not None]
    return normalised(corners, family) if all(math.isfinite(number) for number in corners) else None
