"""Where the vision tokens are, during a forward call and through all later calls with the same cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from coreheads.adapters.generation.structure import cache_of, language_model
from coreheads.adapters.patches.control import Control

REMEMBERED = "_coreheads_vision"
"""Kept on the cache, not on the model: it lives, is copied and is dropped with the keys that it describes."""


def vision_ids(model: nn.Module) -> Tensor:
    """Input ids that stand for vision tokens, ascending; TypeError where the model's configuration names none."""
    inner: nn.Module = getattr(model, "model", model)
    config: Any = inner.config
    placeholders = {getattr(config, name, None) for name in ("image_token_id", "video_token_id")} - {None}
    if inner is language_model(model) or not placeholders:
        raise TypeError(f"{type(model).__name__} has no image or video token: its vision tokens cannot be told")
    return torch.tensor(sorted(placeholders))


@contextmanager
def track_vision(model: nn.Module, holder: Control) -> Iterator[None]:
    """Read ``holder.vision`` off every call's input_ids: placeholders of images and videos are vision tokens.

    TypeError where the model's configuration names no image or video token.
    """
    inner: nn.Module = getattr(model, "model", model)
    tokens = vision_ids(model)
    before: list[Tensor | None] = []

    def enter(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        before.append(holder.vision)
        ids = kwargs.get("input_ids", args[0] if args else None)
        holder.vision = None
        if ids is None:
            return
        mask = torch.isin(ids, tokens.to(ids.device))
        past = cache_of(kwargs)
        if past is not None:
            length = int(past.get_seq_length())
            if length:
                known = getattr(past, REMEMBERED, None)
                if known is None or known.shape[0] != mask.shape[0] or known.shape[1] < length:
                    return
                mask = torch.cat([known[:, :length], mask], dim=1)
            setattr(past, REMEMBERED, mask)
        holder.vision = mask

    def leave(_module: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
        made = cache_of(output) if isinstance(output, Mapping) else None
        if made is not None and holder.vision is not None:
            setattr(made, REMEMBERED, holder.vision)
        holder.vision = before.pop() if before else None

    hooks = [
        inner.register_forward_pre_hook(enter, with_kwargs=True),
        inner.register_forward_hook(leave, always_call=True),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
