"""Several prompts as one left-padded batch of model inputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from coreheads.adapters.generation.protocol import GenerationAdapter
from coreheads.adapters.prompt.prompt import TEXT_INPUTS, Prompt
from coreheads.errors import UserError


def collate(adapter: GenerationAdapter, prompts: Sequence[Prompt], vision: bool = True) -> dict[str, Tensor]:
    """Inputs of ``model.forward`` for the adapter's prompts as rows of one batch.

    Args:
        adapter: The model's.
        prompts: At least one.
        vision: Whether the media are joined; else they are left out.

    Returns:
        Text inputs [B, L], L being the longest prompt's length, with padding before the shorter ones;
        ``attention_mask`` [B, L] is 0 on it, and left out where there is none (models take it for all ones).
        ``position_ids`` [..., B, L] are each prompt's own, 0 on padding. The media follow each other in the order of
        the rows, as the models expect them.

    Raises:
        UserError: If there are no prompts.
    """
    if not prompts:
        raise UserError("collate: no prompts, expected at least one")
    longest = max(prompt.tokens for prompt in prompts)
    pads = [longest - prompt.tokens for prompt in prompts]
    rows = list(zip(prompts, pads, strict=True))
    fill = {"input_ids": int(adapter.processor.tokenizer.pad_token_id or 0)}
    batch = {
        name: torch.cat([_padded(prompt.inputs[name], pad, fill.get(name, 0)) for prompt, pad in rows])
        for name in TEXT_INPUTS
        if name in prompts[0].inputs
    }
    if not any(pads):
        batch.pop("attention_mask", None)
    batch["position_ids"] = torch.cat([_padded(adapter.position_ids(prompt), pad) for prompt, pad in rows], dim=-2)
    return {**batch, **adapter.collate_vision(prompts)} if vision else batch


def _padded(values: Tensor, count: int, fill: int = 0) -> Tensor:
    """Left-padded along the last dimension."""
    return nn.functional.pad(values, (count, 0), value=fill) if count else values
