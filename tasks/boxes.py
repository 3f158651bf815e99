"""Boxes as (x0, y0, x1, y1), half open: a box of whole pixels covers x0 <= x < x1."""

from __future__ import annotations

import re
from collections.abc import Sequence

from coreheads.errors import UserError
from coreheads.regions import Box

NUMBER = r"[-+]?\d+(?:\.\d+)?"
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


def family_of(name: str) -> str:
    """The family (qwen, internvl or llava) of a family or model type such as "qwen3_vl" or "llava_onevision"."""
    for family in ("qwen", "internvl", "llava"):
        if name.lower().startswith(family):
            return family
    raise UserError(f"family: {name!r}, expected a name that begins with qwen, internvl or llava")


def read_box(response: str, family: str) -> Box | None:
    """The first box of a response, normalised to 0..1; None where there is none.

    Read are ``[x0, y0, x1, y1]`` (so also ``[[...]]`` and ``{"bbox_2d": [...]}``) and ``(x0, y0) (x1, y1)``.
    The numbers mean what the family's own documentation says, whatever they are: Qwen 0-1000 of each side (Qwen3-VL;
    Qwen2.5-VL's absolute pixels are not read); InternVL 0-1000, but 0-1 where the four add up to less than 4, as in
    its evaluation script; LLaVA 0-1. No second scale is tried. Corners are not put in order.
    """
    family = family_of(family)
    match = _FOUR.search(response)
    if match is None:
        return None
    x0, y0, x1, y1 = (float(number) for number in match.groups() if number is not None)
    is_fraction = family == "llava" or (family == "internvl" and x0 + y0 + x1 + y1 < 4)
    scale = 1.0 if is_fraction else 1000.0
    return x0 / scale, y0 / scale, x1 / scale, y1 / scale
