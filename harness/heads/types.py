"""What a head is called everywhere: a (layer, query head) pair of the language model, both from 0."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

Head = tuple[int, int]
Heads = frozenset[Head]

SINK, WINDOW = 128, 1024
"""First and last tokens that a head sees in hybrid attention when it is not selected, unless others are asked for."""

Granularity = Literal["query", "kv"]
"""Whether single query heads attend fully, or all that share a KV head."""


def head_name(head: Head) -> str:
    """``(2, 5)`` -> ``"L2H5"``."""
    return f"L{head[0]}H{head[1]}"


def profile_name(model: str, score: str | None) -> str:
    """What the profile of a model by a head score is called: the model alone where that is RAM."""
    return model if score in (None, "ram") else f"{model} by {score}"


def by_layer(heads: Iterable[Head]) -> dict[int, list[int]]:
    """Query heads of each layer that has any, ascending."""
    layers: dict[int, list[int]] = {}
    for layer, head in sorted(heads):
        layers.setdefault(layer, []).append(head)
    return layers
