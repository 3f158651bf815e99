"""What the tests of methods that drop vision tokens share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from coreheads.adapters.patches.drop_vision import DropVision
from coreheads.adapters.patches.hooks import Cut


def kept(patch: DropVision, cut: Cut) -> list[int]:
    """Numbers among the vision tokens."""
    found = patch.stay(cut)
    stay = found[0] if isinstance(found, tuple) else found
    stay = torch.ones(len(cut.places), dtype=torch.bool) if stay is None else stay
    assert bool(stay[~cut.vision].all())
    return stay[cut.vision].nonzero()[:, 0].tolist()  # type: ignore[no-any-return]


def cosine(a: Any, b: Any) -> float:
    """0 where one is zero."""
    length = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / length) if length else 0.0


def parts_by_hand(count: int, wanted: Sequence[float | Fraction], least: list[int], most: list[int]) -> list[int]:
    parts = [min(max(math.floor(want), low), high) for want, low, high in zip(wanted, least, most, strict=True)]
    everyone = range(len(parts))
    while sum(parts) < count:
        best = max((i for i in everyone if parts[i] < most[i]), key=lambda i: (wanted[i] - parts[i], -i))
        parts[best] += 1
    while sum(parts) > count:
        best = max((i for i in everyone if parts[i] > least[i]), key=lambda i: (parts[i] - wanted[i], -i))
        parts[best] -= 1
    return parts
