"""What the tests of eviction share: prompts of every family, decoding after them, a patch that evicts by counting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from adapter_cases import image_part, mixed, picture, text_part, user
from family_cases import MOE, adapter
from patches_oracle import logits

from coreheads.adapters.generation.structure import cache_argument
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.hooks import Step
from coreheads.adapters.prompt.prompt import TEXT_INPUTS, Prompt

PROMPTS = [mixed(), user(image_part(picture(61, 60)), text_part("where is it ?"))]
STEPS = (1, 1, 3, 1)
"""Tokens of the calls after the prefill."""
MORE = torch.tensor([[41, 57, 101, 77, 203, 88], [99, 42, 60, 301, 55, 72]])
KV_HEADS, REPEATS, LAYERS = 4, 2, 2
CHOSEN = {(0, 1), (1, 2), (1, 5)}


@dataclass(frozen=True)
class Every(Patch):
    """Keeps every ``strides[h]``-th key of KV head h, and one more in every layer after the first."""

    strides: tuple[int, ...] = (2, 3, 3, 7)
    evicts = 1

    def kept_keys(self, step: Step) -> Sequence[torch.Tensor] | None:
        return [torch.tensor(places) for places in places_of(self.strides, step.layer, step.key.shape[2])]


def places_of(strides: tuple[int, ...], layer: int, tokens: int) -> list[list[int]]:
    return [list(range(0, tokens, stride + layer)) for stride in strides]


def net(model_type: str) -> Any:
    return adapter(model_type, dtype=dtype_of(model_type)).model


def dtype_of(model_type: str) -> torch.dtype:
    return torch.float32 if model_type == MOE else torch.float64


def near(model_type: str) -> dict[str, float]:
    return {"atol": 2e-5 if model_type == MOE else 1e-8, "rtol": 0}


@cache
def prompts(model_type: str) -> list[Prompt]:
    return [adapter(model_type, dtype=dtype_of(model_type)).prepare(messages) for messages in PROMPTS]


@cache
def inputs(model_type: str, row: int | None = None) -> dict[str, Any]:
    made, chosen = adapter(model_type, dtype=dtype_of(model_type)), prompts(model_type)
    batch = made.collate(chosen if row is None else [chosen[row]])
    wide = dtype_of(model_type)
    return {name: value.to(wide) if name.startswith("pixel_values") else value for name, value in batch.items()}


def extended(batch: dict[str, Any], more: torch.Tensor) -> dict[str, Any]:
    """The batch with further tokens behind every prompt."""
    longer = dict(batch)
    longer.setdefault("attention_mask", torch.ones_like(batch["input_ids"]))
    new = {"input_ids": more, "attention_mask": torch.ones_like(more), "mm_token_type_ids": torch.zeros_like(more)}
    for name in [name for name in TEXT_INPUTS if name in longer]:
        longer[name] = torch.cat([longer[name], new[name]], 1)
    places = batch["position_ids"]
    after = places.reshape(-1, *places.shape[-2:]).amax((0, 2))[:, None] + 1 + torch.arange(more.shape[1])
    longer["position_ids"] = torch.cat([places, after.expand(*places.shape[:-2], -1, -1)], -1)
    return longer


def decoded(model: Any, batch: dict[str, Any], more: torch.Tensor, made: Any) -> torch.Tensor:
    """Logits of the further tokens, after a prefill of the batch, through one cache."""
    past = {cache_argument(model): made, "use_cache": True}
    logits(model, batch, **past)
    longer, start, found = extended(batch, more), batch["input_ids"].shape[1], []
    for tokens in STEPS:
        part = {name: longer[name][..., start : start + tokens] for name in ("input_ids", "position_ids")}
        found.append(logits(model, {**part, "attention_mask": longer["attention_mask"][:, : start + tokens]}, **past))
        start += tokens
    return torch.cat(found, 1)
