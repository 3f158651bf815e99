"""The stock Qwen3-VL computation on a packed batch, with the decoder's hidden states within reach."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface, Qwen3VLForConditionalGeneration

from coreheads.adapters.generation.structure import attention_modules, language_model
from coreheads.adapters.kernels.local import local_attention
from coreheads.adapters.tiny.training.packing import Batch

PACKED = "coreheads_packed"
NEAR = "_coreheads_near"
SINK, WINDOW = 4, 64
"""What a short-sighted head sees: the first and the last so many tokens."""


def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention over the prefix, masked attention for the packed segments: a third of the work of one mask.

    query [B, H, L, D], key and value [B, H_kv, L, D], attention_mask bool [B, 1, T, L] for the last T rows.
    """
    groups = query.shape[1] // key.shape[1]
    key, value = (tensor.repeat_interleave(groups, 1) for tensor in (key, value))
    scale = query.shape[3] ** -0.5 if scaling is None else scaling
    before = query.shape[2] - attention_mask.shape[2]
    near: tuple[Tensor, Tensor] | None = getattr(module, NEAR, None)
    if near is None:
        return _packed(query, key, value, attention_mask, scale).contiguous(), None
    heads, near_mask = near
    others = [head for head in range(query.shape[1]) if head not in heads.tolist()]
    parts = [_packed(query[:, others], key[:, others], value[:, others], attention_mask, scale)] if others else []
    query, key, value = query[:, heads], key[:, heads], value[:, heads]
    prefix = local_attention(query[:, :, :before], key[:, :, :before], value[:, :, :before], scale, SINK, WINDOW)
    tail = F.scaled_dot_product_attention(query[:, :, before:], key, value, attn_mask=near_mask, scale=scale)
    parts.append(torch.cat([prefix, tail.transpose(1, 2)], 1))
    order = torch.tensor([*others, *heads.tolist()]).argsort()
    return torch.cat(parts, 2)[:, :, order], None


def _packed(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float) -> Tensor:
    before = query.shape[2] - mask.shape[2]
    head = F.scaled_dot_product_attention(
        query[:, :, :before], key[:, :, :before], value[:, :, :before], is_causal=True, scale=scale
    )
    # padding rows see nothing of their own segment but all of the prefix, so no row is empty
    tail = F.scaled_dot_product_attention(query[:, :, before:], key, value, attn_mask=mask, scale=scale)
    return torch.cat([head, tail], 2).transpose(1, 2)


def near_sighted(batch: Batch) -> Tensor:
    """bool [B, 1, T, L]: what is left of ``batch.seen`` to a head that sees SINK and WINDOW tokens only.

    A segment's tokens count from the end of the prefix, as if each question stood alone.
    """
    before = batch.input_ids.shape[1] - batch.seen.shape[2]
    position = batch.position_ids[0]
    own = position[:, before:] - position[:, before - 1 : before] - 1
    distance = before + own[:, :, None] - torch.arange(before)
    near = (distance < WINDOW) | (torch.arange(before) < SINK)
    near = torch.cat([near, near.new_ones(*near.shape[:2], batch.seen.shape[3] - before)], 2)
    return batch.seen & near[:, None]


def make_near_sighted(model: Qwen3VLForConditionalGeneration, batch: Batch, odds: float, lookup_layer: int) -> None:
    """Draw what is short-sighted on this batch; odds of 0 restore sight to all.

    Each layer as a whole, with these odds; in the look-up layer each head by itself, with a quarter of them.
    """
    mask = near_sighted(batch) if odds > 0 else None
    for layer, module in enumerate(attention_modules(model)):
        near = None
        if mask is not None:
            every = int(module.config.num_attention_heads)  # type: ignore[union-attr, arg-type]
            if layer == lookup_layer:
                heads = (torch.rand(every) < odds / 4).nonzero()[:, 0]
            else:
                heads = torch.arange(every if float(torch.rand(())) < odds else 0)
            near = (heads, mask) if len(heads) else None
        setattr(module, NEAR, near)


def use_packed_attention(model: Qwen3VLForConditionalGeneration) -> None:
    """Switch the language model (not the vision tower) to ``packed_attention``."""
    AttentionInterface.register(PACKED, packed_attention)
    language_model(model).config._attn_implementation = PACKED  # type: ignore[union-attr]


def decoder_states(model: Qwen3VLForConditionalGeneration, batch: Batch) -> Tensor:
    """Last hidden states [B, L, hidden], after the final norm."""
    vision = model.model.visual(batch.pixels, grid_thw=batch.grid)
    embedded = model.get_input_embeddings()(batch.input_ids)
    embedded = embedded.masked_scatter(batch.is_vision[..., None], vision.pooler_output.to(embedded.dtype))
    states: Tensor = (
        language_model(model)(
            inputs_embeds=embedded,
            position_ids=batch.position_ids,
            attention_mask=batch.seen,
            visual_pos_masks=batch.is_vision,
            deepstack_visual_embeds=vision.deepstack_features,
            use_cache=False,
        )
    ).last_hidden_state
    return states
