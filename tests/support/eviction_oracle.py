"""What eviction means, without the code that does it: choices in loops, and decoding that masks what was evicted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from patches_oracle import Allowed, dense, logits
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface

Kept = Sequence[Sequence[Sequence[int]]]
"""By layer and KV head the positions that stay."""


def rule_of(kept: Kept, prompt: int, repeats: int) -> Allowed:
    """What is evicted is hidden from the tokens after the prompt, and from no token of it."""

    def allowed(layer: int, head: int, i: np.ndarray, j: np.ndarray, vision: np.ndarray) -> np.ndarray:
        return (i < prompt) | (j >= prompt) | np.isin(j, kept[layer][head // repeats])

    return allowed


@contextmanager
def recording(model: Any) -> Iterator[list[tuple[np.ndarray, np.ndarray, float]]]:
    """Queries [H, n, D], keys [Hkv, n, D] and scaling of each layer of an uncached call with one sample."""
    seen: list[tuple[np.ndarray, np.ndarray, float]] = []

    def attend(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, scaling: float, **_: Any) -> Any:
        seen.append((query[0].double().numpy(), key[0].double().numpy(), scaling))
        length = query.shape[2]
        causal = torch.ones(length, length, dtype=torch.bool).tril().expand(1, query.shape[1], -1, -1)
        return dense(query, key, value, causal, scaling).to(query.dtype), None

    AttentionInterface.register("recording", attend)
    AttentionMaskInterface.register("recording", lambda *_, **__: None)
    config = model.model.language_model.config
    before = config._attn_implementation
    config._attn_implementation = "recording"
    try:
        yield seen
    finally:
        config._attn_implementation = before


def states_of(model: Any, inputs: dict[str, Any]) -> list[tuple[np.ndarray, np.ndarray, float]]:
    with recording(model) as seen:
        logits(model, inputs)
    return seen


def pooled_scores(
    query: np.ndarray, key: np.ndarray, scaling: float, window: int, near: int, kernel: int, pooling: str
) -> list[list[float]]:
    """By KV head the scores of all but the ``near`` last keys, by the last ``window`` queries of full attention."""
    heads, length, _ = query.shape
    repeats = heads // key.shape[0]
    found = []
    for kv in range(key.shape[0]):
        mass = np.zeros(length)
        rows = range(max(0, length - window), length)
        for head in range(kv * repeats, (kv + 1) * repeats):
            for row in rows:
                weights = [np.exp(scaling * float(query[head, row] @ key[kv, place])) for place in range(row + 1)]
                for place, weight in enumerate(weights):
                    mass[place] += weight / sum(weights) / repeats / len(rows)
        before = length - near
        scores = []
        for place in range(before):
            around = [
                mass[at] if 0 <= at < before else 0.0 for at in range(place - kernel // 2, place + kernel // 2 + 1)
            ]
            scores.append(sum(around) / kernel if pooling == "avg" else max(around))
        found.append(scores)
    return found


def best(scores: Sequence[float], count: int) -> list[int]:
    """The places of the highest scores, of equal ones the earlier."""
    return sorted(sorted(range(len(scores)), key=lambda place: (-scores[place], place))[:count])


def snapkv(scores: Sequence[Sequence[float]], length: int, count: int, near: int) -> list[list[int]]:
    """By KV head the positions that SnapKV keeps: ``count`` of them, the ``near`` last among them."""
    return [best(own, count - near) + list(range(length - near, length)) for own in scores]


def adakv(scores: Sequence[Sequence[float]], length: int, count: int, near: int, alpha: float) -> list[list[int]]:
    """By KV head the positions that AdaKV keeps."""
    share = count - near
    chosen = {(head, place) for head, own in enumerate(scores) for place in best(own, int(alpha * share))}
    others = [(-score, head, place) for head, own in enumerate(scores) for place, score in enumerate(own)]
    for _, head, place in sorted(others):
        if len(chosen) < share * len(scores):
            chosen.add((head, place))
    return [
        sorted(place for of, place in chosen if of == head) + list(range(length - near, length))
        for head in range(len(scores))
    ]
