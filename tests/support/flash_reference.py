"""What a FlashAttention kernel computes, in plain operations on any device: exactly, and with its rounding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def reference(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, window: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """As ``coreheads.adapters.kernels.flash.Kernel``, with all scores at once."""
    rows, columns = query.shape[2], key.shape[2]
    repeats = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
    places = torch.arange(columns - rows, columns, device=query.device)[:, None]
    distance = places - torch.arange(columns, device=query.device)[None]
    left, right = window
    hidden = torch.zeros_like(distance, dtype=torch.bool)
    if left >= 0:
        hidden |= distance > left
    if right >= 0:
        hidden |= -distance > right
    exact = torch.promote_types(query.dtype, torch.float32)
    scores = (query.to(exact) @ key.to(exact).mT) * scaling
    scores = scores.masked_fill(hidden, float("-inf"))
    lse = scores.logsumexp(-1)
    output = (scores - lse[..., None]).exp() @ value.to(exact)
    return output.to(value.dtype).transpose(1, 2), lse.transpose(1, 2)


def rounding(*given: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """What FlashAttention rounds: weights, relative to their row's largest, and outputs; it adds up in float32."""
    query, key, value, scaling, (left, right) = given
    places = torch.arange(key.shape[2] - query.shape[2], key.shape[2])[:, None]
    distance = places - torch.arange(key.shape[2])[None]
    hidden = ((distance > left) & (left >= 0)) | ((-distance > right) & (right >= 0))
    scores = (query.float() @ key.float().mT * scaling).masked_fill(hidden, float("-inf"))
    weights = (scores - scores.amax(-1, keepdim=True)).exp()
    sums = weights.sum(-1, keepdim=True)
    output = (weights.to(value.dtype).float() @ value.float() / sums).to(value.dtype)
    return output.transpose(1, 2), (scores.amax(-1) + sums[..., 0].log()).transpose(1, 2)


def rounding_gqa(query: Any, key: Any, value: Any, *rest: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return rounding(query, *(states.repeat_interleave(2, 1) for states in (key, value)), *rest)
