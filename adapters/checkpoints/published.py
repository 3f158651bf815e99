"""The checkpoints that the families are written for: their published shapes, known without any download.

The numbers are those of each checkpoint's config.json. They build the model with random weights, say what it needs
in memory, and list its heads; a checkpoint that is loaded brings its own configuration.
"""

from __future__ import annotations

from typing import Any

from coreheads.errors import UserError, expected_one_of


def _qwen3_vl(
    layers: int, hidden: int, intermediate: int, heads: int, vision: dict[str, Any], tied: bool = False
) -> dict[str, Any]:
    return {
        "model_type": "qwen3_vl",
        "text_config": {
            **_text(layers, hidden, intermediate, heads, 8, 151936, 262144, tied),
            "model_type": "qwen3_vl_text",
            "head_dim": 128,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 5e6,
                "mrope_section": [24, 20, 20],
                "mrope_interleaved": True,
            },
        },
        "vision_config": {
            **vision,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "out_hidden_size": hidden,
            "num_position_embeddings": 2304,
        },
        "image_token_id": 151655,
        "video_token_id": 151656,
        "vision_start_token_id": 151652,
        "vision_end_token_id": 151653,
        "tie_word_embeddings": tied,
    }


def _llava_onevision(
    layers: int, hidden: int, intermediate: int, heads: int, kv_heads: int, vocabulary: int, tied: bool
) -> dict[str, Any]:
    sides = range(384, 2305, 384)
    return {
        "model_type": "llava_onevision",
        "text_config": {
            **_text(layers, hidden, intermediate, heads, kv_heads, vocabulary, 32768, tied),
            "model_type": "qwen2",
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
        },
        "vision_config": {
            "model_type": "siglip_vision_model",
            "image_size": 384,
            "patch_size": 14,
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_attention_heads": 16,
            "num_hidden_layers": 26,
            "vision_use_head": False,
        },
        "image_token_index": 151646,
        "video_token_index": 151647,
        "image_grid_pinpoints": [[height, width] for height in sides for width in sides],
        "vision_aspect_ratio": "anyres_max_9",
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
        "tie_word_embeddings": tied,
    }


def _internvl(
    layers: int, hidden: int, intermediate: int, heads: int, vision: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "model_type": "internvl",
        "text_config": {
            **_text(layers, hidden, intermediate, heads, 8, 151936, 40960, False),
            "model_type": "qwen3",
            "head_dim": 128,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
        },
        "vision_config": {
            "model_type": "internvl_vision",
            "image_size": [448, 448],
            "patch_size": [14, 14],
            "attention_bias": True,
            **(vision or {}),
        },
        "image_token_id": 151671,
        "image_seq_length": 256,
        "downsample_ratio": 0.5,
        "tie_word_embeddings": False,
    }


def _text(
    layers: int, hidden: int, intermediate: int, heads: int, kv_heads: int, vocabulary: int, context: int, tied: bool
) -> dict[str, Any]:
    return {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocabulary,
        "max_position_embeddings": context,
        "tie_word_embeddings": tied,
    }


_QWEN_VISION = {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16}
_QWEN_VISION_SMALL = {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16}
_INTERN_VIT_6B = {
    "hidden_size": 3200,
    "intermediate_size": 12800,
    "num_hidden_layers": 45,
    "num_attention_heads": 25,
    "attention_bias": False,
    "use_qk_norm": True,
    "norm_type": "rms_norm",
}

_SHAPES: dict[str, dict[str, Any]] = {
    "Qwen/Qwen3-VL-4B-Instruct": _qwen3_vl(
        36, 2560, 9728, 32, {**_QWEN_VISION_SMALL, "deepstack_visual_indexes": [5, 11, 17]}, tied=True
    ),
    "Qwen/Qwen3-VL-8B-Instruct": _qwen3_vl(
        36, 4096, 12288, 32, {**_QWEN_VISION, "deepstack_visual_indexes": [8, 16, 24]}
    ),
    "Qwen/Qwen3-VL-32B-Instruct": _qwen3_vl(
        64, 5120, 25600, 64, {**_QWEN_VISION, "deepstack_visual_indexes": [8, 16, 24]}
    ),
    "llava-hf/llava-onevision-qwen2-0.5b-ov-hf": _llava_onevision(24, 896, 4864, 14, 2, 152000, tied=True),
    "llava-hf/llava-onevision-qwen2-7b-ov-hf": _llava_onevision(28, 3584, 18944, 28, 4, 152128, tied=False),
    "OpenGVLab/InternVL3_5-1B-HF": _internvl(28, 1024, 3072, 16),
    "OpenGVLab/InternVL3_5-4B-HF": _internvl(36, 2560, 9728, 32),
    "OpenGVLab/InternVL3_5-8B-HF": _internvl(36, 4096, 12288, 32),
    "OpenGVLab/InternVL3_5-14B-HF": _internvl(40, 5120, 17408, 40),
    "OpenGVLab/InternVL3_5-38B-HF": _internvl(64, 5120, 25600, 64, _INTERN_VIT_6B),
}


def names() -> list[str]:
    """Hub ids of the known checkpoints, a family after the other, small ones first."""
    return list(_SHAPES)


def shape(name: str) -> dict[str, Any]:
    """The configuration of a known checkpoint as config.json holds it; UserError names the known ones otherwise."""
    if name not in _SHAPES:
        raise UserError(f"model: {name!r} has no known shape, {expected_one_of(name, _SHAPES)}")
    return _SHAPES[name]


def config(name: str) -> Any:
    """The same as a configuration of transformers."""
    from transformers import AutoConfig

    fields = dict(shape(name))
    return AutoConfig.for_model(fields.pop("model_type"), **fields)
