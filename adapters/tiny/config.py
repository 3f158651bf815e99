"""The embedded model's shape: Qwen3-VL, dense, with 6 x 16 heads in the language model."""

from __future__ import annotations

from typing import Any

from transformers import Qwen3VLConfig

from coreheads.adapters.tiny.processor import MAX_TOKENS, MERGE, PATCH, TEMPORAL, build_tokenizer
from coreheads.tasks.mini.vocabulary import END, IMAGE, PAD, VIDEO, VISION_END, VISION_START

HIDDEN = 192


def model_config(**text: Any) -> Qwen3VLConfig:
    """The configuration; keyword arguments override fields of its text part (tests make it smaller)."""
    tokenizer = build_tokenizer()
    token = tokenizer.convert_tokens_to_ids
    head_dim = text.get("head_dim", 32)
    axis = head_dim // 6
    hidden = text.get("hidden_size", HIDDEN)
    return Qwen3VLConfig(
        text_config={
            "vocab_size": -(-len(tokenizer) // 64) * 64,
            "hidden_size": hidden,
            "intermediate_size": 2 * hidden,
            "num_hidden_layers": 6,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": head_dim,
            "max_position_embeddings": MAX_TOKENS,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 5e6,
                "mrope_section": [head_dim // 2 - 2 * axis, axis, axis],
                "mrope_interleaved": True,
            },
            "tie_word_embeddings": True,
            "pad_token_id": token(PAD),
            "eos_token_id": token(END),
            **text,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_heads": 4,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": TEMPORAL,
            "out_hidden_size": hidden,
            "num_position_embeddings": 256,
            "deepstack_visual_indexes": [0],
        },
        image_token_id=token(IMAGE),
        video_token_id=token(VIDEO),
        vision_start_token_id=token(VISION_START),
        vision_end_token_id=token(VISION_END),
        tie_word_embeddings=True,
    )
