"""The stock Qwen3-VL computation on a packed batch, with the decoder's hidden states within reach."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface, Qwen3VLForConditionalGeneration

from coreheads.adapters.structure import language_model
from coreheads.adapters.tiny.packing import Batch

PACKED = "coreheads_packed"


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
    before = query.shape[2] - attention_mask.shape[2]
    head = F.scaled_dot_product_attention(
        query[:, :, :before], key[:, :, :before], value[:, :, :before], is_causal=True, scale=scaling
    )
    # padding rows see nothing of their own segment but all of the prefix, so no row is empty
    tail = F.scaled_dot_product_attention(query[:, :, before:], key, value, attn_mask=attention_mask, scale=scaling)
    return torch.cat([head, tail], 2).transpose(1, 2).contiguous(), None


def use_packed_attention(model: Qwen3VLForConditionalGeneration) -> None:
    """Switch the language model (not the vision tower) to ``packed_attention``."""
    AttentionInterface.register(PACKED, packed_attention)
    language_model(model).config._attn_implementation = PACKED


def embed_pictures(model: Qwen3VLForConditionalGeneration, batch: Batch) -> tuple[Tensor, list[Tensor]]:
    """(merged vision tokens [V, hidden], the deepstack features of each deepstack layer)."""
    output = model.model.visual(batch.pixels, grid_thw=batch.grid)
    return output.pooler_output, output.deepstack_features


def decoder_states(model: Qwen3VLForConditionalGeneration, batch: Batch) -> Tensor:
    """Last hidden states [B, L, hidden], after the final norm."""
    vision, deepstack = embed_pictures(model, batch)
    embedded = model.get_input_embeddings()(batch.input_ids)
    embedded = embedded.masked_scatter(batch.is_vision[..., None], vision.to(embedded.dtype))
    states: Tensor = (
        language_model(model)(
            inputs_embeds=embedded,
            position_ids=batch.position_ids,
            attention_mask=batch.seen,
            visual_pos_masks=batch.is_vision,
            deepstack_visual_embeds=deepstack,
            use_cache=False,
        )
    ).last_hidden_state
    return states
