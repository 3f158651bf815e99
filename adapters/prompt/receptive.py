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
"""[n, k, 2]: up to k runs of source pixels, each its first pixel and the one after its last, in their order; (0, 0)
where there are fewer. Mostly k is 1; a pixel that lies just where a filter crosses zero between its lobes leaves a gap.
"""

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
    """Source pixels of each of ``target`` pixels that an antialiased resizing makes of ``source`` pixels.

    Output i is centred at (i + 0.5) * source / target; when shrinking, the filter is stretched by that factor.
    ``resample`` is Pillow's number of the filter. The result [target, k, 2] is shared: do not write into it.
    """
    if source == target:
        pixels = np.arange(source)
        return np.stack([pixels, pixels + 1], axis=1)[:, None]
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
    before = np.pad(counts, ((0, 0), (1, 1)))
    return _listed(counts & ~before[:, :-2], counts & ~before[:, 2:], pixel, pixel + 1)


def _listed(
    opens: NDArray[np.bool_], closes: NDArray[np.bool_], first: NDArray[np.int64], stop: NDArray[np.int64]
) -> Spans:
    """The runs that begin at ``first`` where ``opens`` and end before ``stop`` where ``closes``; all [n, m]."""
    runs = np.zeros((len(opens), max(1, int(opens.sum(axis=1).max(initial=0))), 2), np.int64)
    for side, (marks, values) in enumerate(((opens, first), (closes, stop))):
        row, column = np.nonzero(marks)
        runs[row, marks.cumsum(axis=1)[row, column] - 1, side] = values[row, column]
    return runs


def _joined(spans: Spans) -> Spans:
    """Runs in any order, of which some may overlap, as runs that lie apart; int [n, m, 2] to [n, k, 2]."""
    nothing = spans[..., 0] == spans[..., 1]
    first = np.where(nothing, np.iinfo(np.int64).max, spans[..., 0])
    order = first.argsort(axis=1, kind="stable")
    first = np.take_along_axis(first, order, axis=1)
    reach = np.maximum.accumulate(np.take_along_axis(np.where(nothing, 0, spans[..., 1]), order, axis=1), axis=1)
    real = ~np.take_along_axis(nothing, order, axis=1)
    opens = real.copy()
    opens[:, 1:] &= first[:, 1:] > reach[:, :-1]
    closes = real.copy()
    closes[:, :-1] &= opens[:, 1:] | ~real[:, 1:]
    return _listed(opens, closes, first, reach)


def cells(pixels: Spans, start: NDArray[np.int64], length: int) -> Spans:
    """What patches see, [m, k', 2], of ``length`` pixels from ``start`` [m] on; ``pixels`` [n, k, 2] is what each sees.

    Those before the first or after the last are padding, and see nothing.
    """
    inside = start[:, None] + np.arange(length)
    real = (inside >= 0) & (inside < len(pixels))
    spans = np.where(real[..., None, None], pixels[np.clip(inside, 0, len(pixels) - 1)], 0)
    return _joined(spans.reshape(len(start), length * pixels.shape[1], 2))


def side_by_side(source: int, target: int, cell: int, resample: int, count: int | None = None) -> Spans:
    """What ``count`` patches see, [count, k, 2]: each has ``cell`` of the ``target`` pixels, one beside the other.

    Those are resized from ``source`` pixels. None is as many patches as fit.
    """
    number = target // cell if count is None else count
    return cells(resized(source, target, int(resample)), np.arange(number) * cell, cell)


def interpolated(parts: Spans, count: int) -> Spans:
    """What each of ``count`` positions sees that a bilinear resizing without antialiasing makes of ``parts``.

    Each is made of the (at most) two parts with weight, which may lie apart. Position i is centred at
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
    two[share < tiny] = 0
    return _joined(np.concatenate([one, two], axis=1))
