"""Which pixels of the source picture each resized pixel, and so each token, is made of: along one axis.

Resizing is separable, so a token's receptive field is a product of two spans. A source pixel belongs to a resized
pixel as soon as its weight in it is not zero: all of the antialiasing filter's reach counts, not the cell alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from coreheads.errors import UserError

Spans = NDArray[np.int64]
"""[n, 2]: first source pixel and the one after the last; two equal numbers where nothing is seen."""

NO_WEIGHT = 1e-6
"""Weights up to this are zero: the filter is evaluated in float32, where they cannot be told from rounding."""


def _triangle(x: NDArray[np.float64]) -> NDArray[np.float64]:
    height: NDArray[np.float64] = np.maximum(1 - np.abs(x), 0.0)
    return height


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' cubic convolution with a = -1/2, as Pillow and torch's antialiased resizing use it."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = -0.5 * (((x - 5) * x + 8) * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _lanczos(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


_FILTERS: dict[int, tuple[float, Callable[[NDArray[np.float64]], NDArray[np.float64]]]] = {
    1: (3.0, _lanczos),
    2: (1.0, _triangle),
    3: (2.0, _cubic),
}
"""Pillow's number of a filter -> its reach in pixels of the coarser grid, and its weight at a distance."""


@lru_cache(maxsize=4096)
def resized(source: int, target: int, resample: int) -> Spans:
    """Source pixels of each of ``target`` pixels that an antialiased resizing makes of ``source``, int [target, 2].

    resample: Pillow's number of the filter (1 Lanczos, 2 bilinear, 3 bicubic). Output i is centred at
    (i + 0.5) * source / target; when shrinking, the filter is stretched by that factor. The result is shared: do not
    write into it. UserError for another filter.
    """
    if source == target:
        pixels = np.arange(source)
        return np.stack([pixels, pixels + 1], axis=1)
    if resample not in _FILTERS:
        raise UserError(f"processor: resample is {resample}, expected 1 (Lanczos), 2 (bilinear) or 3 (bicubic)")
    reach, weight = _FILTERS[resample]
    scale = source / target
    stretch = max(scale, 1.0)
    centre = (np.arange(target) + 0.5) * scale
    taps = 2 * math.ceil(reach * stretch) + 2
    pixel = np.floor(centre - reach * stretch).astype(np.int64)[:, None] + np.arange(taps)
    weights = weight((pixel + 0.5 - centre[:, None]) / stretch)
    weights[(pixel < 0) | (pixel >= source)] = 0
    counts = np.abs(weights / weights.sum(axis=1, keepdims=True)) > NO_WEIGHT
    rows = np.arange(target)
    first = pixel[rows, counts.argmax(axis=1)]
    last = pixel[rows, taps - 1 - counts[:, ::-1].argmax(axis=1)]
    return np.stack([first, last + 1], axis=1)


def cells(pixels: Spans, start: NDArray[np.int64], length: int) -> Spans:
    """What patches of ``length`` pixels see, int [n, 2]: patch k is made of pixels start[k] to start[k] + length - 1.

    pixels: what each pixel sees, [p, 2]. Pixels before the first or after the last are padding and see nothing.
    """
    inside = start[:, None] + np.arange(length)
    real = (inside >= 0) & (inside < len(pixels))
    found = pixels[np.clip(inside, 0, len(pixels) - 1)]
    first = np.where(real, found[..., 0], np.iinfo(np.int64).max).min(axis=1)
    last = np.where(real, found[..., 1], 0).max(axis=1)
    seen = real.any(axis=1)
    return np.stack([np.where(seen, first, 0), np.where(seen, last, 0)], axis=1)


def side_by_side(source: int, target: int, cell: int, resample: int, count: int | None = None) -> Spans:
    """What patches of ``cell`` pixels see, one beside the other from the first of ``target`` pixels on, int [n, 2].

    source: pixels before resizing. count: of patches; None is as many as fit.
    """
    number = target // cell if count is None else count
    return cells(resized(source, target, int(resample)), np.arange(number) * cell, cell)


def interpolated(parts: Spans, count: int) -> NDArray[np.int64]:
    """What each of ``count`` positions sees that a bilinear resizing without antialiasing makes of ``parts``.

    parts: [n, 2]. Int [count, 2, 2]: the spans of the (at most) two parts with weight, which may lie apart; the
    second is (0, 0) where there is one part only, or where the two join to one span. Position i is centred at
    (i + 0.5) * n / count - 0.5 (torch's ``align_corners=False``).
    """
    position = np.clip((np.arange(count) + 0.5) * len(parts) / count - 0.5, 0, None)
    low = np.floor(position).astype(np.int64)
    high = np.minimum(low + 1, len(parts) - 1)
    share = position - low
    # a share is a multiple of 1 / (2 * count): what is smaller is rounding
    tiny = 0.1 / count
    one, two = parts[low].copy(), parts[high].copy()
    one[(share > 1 - tiny) & (high != low)] = 0
    two[(share < tiny) | (high == low)] = 0
    empty_one, empty_two = one[:, 0] == one[:, 1], two[:, 0] == two[:, 1]
    one[empty_one] = two[empty_one]
    two[empty_one] = 0
    joined = ~empty_one & ~empty_two & (two[:, 0] <= one[:, 1])
    one[joined, 1] = np.maximum(one[joined, 1], two[joined, 1])
    two[joined] = 0
    return np.stack([one, two], axis=1)
