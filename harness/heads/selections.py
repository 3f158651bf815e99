"""Rules that pick heads: from a profile (top, bottom, layer-matched), from the model's shape (random), or by name.

One order serves them all: highest score first, equal scores by (layer, head); top and bottom are its two ends."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from coreheads.errors import UserError, expected_one_of
from coreheads.heads.ranking import order
from coreheads.heads.types import Heads, by_layer, head_name

Scores = npt.NDArray[np.float64]
Shape = tuple[int, int]
"""(layers, query heads of a layer)."""

Kind = Literal["top", "all", "explicit", "none", "random", "layer_matched", "bottom"]
"""The rules' names, in the order of a board's rows."""
KINDS: tuple[Kind, ...] = get_args(Kind)
SEEDED = frozenset[str]({"random", "layer_matched"})
"""Kinds that draw: a control needs several seeds."""
SCORED = frozenset[str]({"top", "bottom", "layer_matched"})
"""Kinds that go by a profile's scores."""
SIZED = SEEDED | {"top", "bottom"}
"""Kinds that take a fraction."""


def head_count(fraction: float, total: int) -> int:
    """``max(1, round(fraction * total))``: how many of ``total`` heads a fraction means; in (0, 1] or UserError."""
    number = isinstance(fraction, int | float) and not isinstance(fraction, bool)
    if not number or not math.isfinite(fraction) or not 0 < fraction <= 1:
        raise UserError(f"fraction is {fraction!r}, expected above 0 and at most 1 (0.05 means 5 %)")
    return max(1, round(fraction * total))


def every(shape: Shape) -> Heads:
    """All heads of a language model of this shape."""
    return frozenset((layer, head) for layer in range(shape[0]) for head in range(shape[1]))


def top(scores: Scores, fraction: float) -> Heads:
    """The highest-scoring heads of ``scores`` [layers, heads]."""
    return _heads(order(scores)[: head_count(fraction, scores.size)], scores.shape[1])


def bottom(scores: Scores, fraction: float) -> Heads:
    """The lowest-scoring heads of ``scores`` [layers, heads]."""
    return _heads(order(scores)[::-1][: head_count(fraction, scores.size)], scores.shape[1])


def random(shape: Shape, fraction: float, seed: int = 0) -> Heads:
    """Heads drawn uniformly without replacement from the whole language model."""
    total = shape[0] * shape[1]
    drawn = np.random.default_rng(seed).choice(total, head_count(fraction, total), replace=False)
    return _heads(drawn, shape[1])


def layer_matched(shape: Shape, heads: Heads, seed: int = 0) -> Heads:
    """Random heads, per layer as many as ``heads`` has there, from that layer's other heads.

    Where a layer has too few others, they are drawn from all heads of the layer and may coincide with ``heads``.
    """
    explicit(heads, shape)
    rng = np.random.default_rng(seed)
    drawn: set[tuple[int, int]] = set()
    for layer, taken in by_layer(heads).items():
        others = [head for head in range(shape[1]) if head not in taken]
        pool = others if len(others) >= len(taken) else list(range(shape[1]))
        drawn.update((layer, int(head)) for head in rng.choice(pool, len(taken), replace=False))
    return frozenset(drawn)


def explicit(heads: Iterable[Any], shape: Shape | None = None) -> Heads:
    """Heads by name (``"L2H5"``) or as [layer, head] pairs from 0; UserError for none, or one outside ``shape``."""
    named = frozenset(_parse(head) for head in heads)
    if not named:
        raise UserError("heads is empty, expected at least one head such as L2H5 or [2, 5]")
    for layer, head in sorted(named):
        if shape is not None and not (0 <= layer < shape[0] and 0 <= head < shape[1]):
            raise UserError(
                f"head {head_name((layer, head))} does not exist: the model has layers 0 to {shape[0] - 1} "
                f"and heads 0 to {shape[1] - 1}"
            )
    return named


def select(
    kind: str | None,
    scores: Scores | None,
    shape: Shape,
    fraction: float | None = None,
    seed: int = 0,
    heads: Iterable[Any] = (),
) -> Heads:
    """The heads that a rule picks.

    Args:
        kind: one of ``KINDS``; None, the dense model's, picks none.
        scores: [layers, heads]; top, bottom and layer_matched need them.
        shape: of the language model.
        fraction: of all heads; ``SIZED`` kinds need it (layer_matched matches the top).
        seed: for ``SEEDED`` kinds.
        heads: for explicit.

    Raises:
        UserError: the kind is not known, a head does not exist, or something that the kind needs is not given.
    """
    if kind is None or kind == "none":
        return frozenset()
    if kind == "all":
        return every(shape)
    if kind == "explicit":
        return explicit(heads, shape)
    if kind not in SIZED:
        raise UserError(f"selection is {kind!r}, {expected_one_of(kind, KINDS)}")
    if fraction is None:
        raise UserError(f"selection {kind} has no fraction, expected one such as 0.05")
    if kind == "random":
        return random(shape, fraction, seed)
    if scores is None:
        raise UserError(f"selection {kind} needs a head profile (heads.json), none is given")
    if kind == "bottom":
        return bottom(scores, fraction)
    return top(scores, fraction) if kind == "top" else layer_matched(shape, top(scores, fraction), seed)


def _heads(indices: Iterable[Any], width: int) -> Heads:
    return frozenset((int(index) // width, int(index) % width) for index in indices)


def _parse(head: Any) -> tuple[int, int]:
    if isinstance(head, str) and (match := re.fullmatch(r"\s*L(\d+)\s*H(\d+)\s*", head, re.IGNORECASE)):
        return int(match[1]), int(match[2])
    if isinstance(head, Sequence) and not isinstance(head, str) and len(head) == 2:
        layer, index = head
        if all(isinstance(part, Integral) and not isinstance(part, bool) for part in (layer, index)):
            return int(layer), int(index)
    raise UserError(f"head {head!r} is not understood, expected a name such as L2H5 or [layer, head] from 0")
