"""The three families with random weights: real model classes at reduced width, real processors, small tokenizers.

``published=True`` gives the processors the settings of the published checkpoints (tile and patch sizes, pixel
budgets, grids); otherwise tiles are smaller, with the same left-over at their edges, so that a test can try many.
The chat templates behave as the published ones do: LLaVA-OneVision's puts a message's images and videos before its
texts and shows no content that is a plain text, InternVL's writes a line break after each medium.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    GenerationConfig,
    InternVLProcessor,
    LlavaOnevisionProcessor,
    PreTrainedTokenizerFast,
    Qwen3VLProcessor,
)
from transformers.models.got_ocr2.image_processing_got_ocr2 import GotOcr2ImageProcessor
from transformers.models.internvl.video_processing_internvl import InternVLVideoProcessor
from transformers.models.llava_onevision.image_processing_llava_onevision import LlavaOnevisionImageProcessor
from transformers.models.llava_onevision.video_processing_llava_onevision import LlavaOnevisionVideoProcessor
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

from coreheads.adapters.families.base import Adapter
from coreheads.adapters.families.registry import family

FAMILIES = ("qwen3_vl", "llava_onevision", "internvl")
MOE = "qwen3_vl_moe"
"""Of the family of qwen3_vl: the same processor and geometry, experts in the language model."""
END, PAD = "<|im_end|>", "<|endoftext|>"

SPECIAL = {
    "qwen3_vl": {
        "image_token": "<|image_pad|>",
        "video_token": "<|video_pad|>",
        "vision_start_token": "<|vision_start|>",
        "vision_end_token": "<|vision_end|>",
    },
    "llava_onevision": {"image_token": "<image>", "video_token": "<video>"},
    "internvl": {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    },
}

_INLINE = (
    "{%- for m in messages -%}{{ '<|im_start|>' + m.role + '\\n' }}{%- for p in m.content -%}"
    "{%- if p.type == 'text' -%}{{ p.text }}{%- else -%}{{ {'image': IMAGE, 'video': VIDEO}[p.type] }}{%- endif -%}"
    "{%- endfor -%}{{ '<|im_end|>\\n' }}{%- endfor -%}"
)
_BY_KIND = (
    "{%- for m in messages -%}{{ '<|im_start|>' + m.role + ' ' }}"
    "{%- for kind in ('image', 'video') -%}{%- for p in m.content if p.type == kind -%}"
    "{{ '<' + kind + '>' }}{%- endfor -%}{%- endfor -%}"
    "{%- for p in m.content if p.type == 'text' -%}{{ '\\n' + p.text }}{%- endfor -%}"
    "{{ '<|im_end|>' }}{%- endfor -%}"
)
_ANSWER = "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
TEMPLATES = {
    "qwen3_vl": _INLINE.replace("IMAGE", "'<|vision_start|><|image_pad|><|vision_end|>'").replace(
        "VIDEO", "'<|vision_start|><|video_pad|><|vision_end|>'"
    )
    + _ANSWER,
    "internvl": _INLINE.replace("IMAGE", "'<IMG_CONTEXT>\\n'").replace("VIDEO", "'<video>\\n'") + _ANSWER,
    "llava_onevision": _BY_KIND + _ANSWER,
}

TEXTS = "question: where is the red-star ? answer café au lait النجمة الحمراء 红色的星星 🦄 user system page 0 1 2 "


NORMALISED = {
    "qwen3_vl": ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
    "llava_onevision": ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
    "internvl": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
}
"""Mean and deviation of the published processors."""


@cache
def tokenizer(model_type: str) -> PreTrainedTokenizerFast:
    """Byte-level pairs over composed characters, as those of the Qwen models are."""
    special = [PAD, "<|im_start|>", END, *SPECIAL[model_type].values()]
    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator([TEXTS * 4], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token=END,
        pad_token=PAD,
        padding_side="left",
        extra_special_tokens=SPECIAL[model_type],
    )


def processor(model_type: str, published: bool = False, **common: Any) -> Any:
    """The family's processor; ``common`` goes to its image and its video processor."""
    model_type = "qwen3_vl" if model_type == MOE else model_type
    mean, deviation = NORMALISED[model_type]
    common = {"image_mean": mean, "image_std": deviation, **common}
    shared = {"tokenizer": tokenizer(model_type), "chat_template": TEMPLATES[model_type]}
    if model_type == "qwen3_vl":
        patch, least, most = (16, 65536, 16777216) if published else (4, 256, 65536)
        sizes = {"patch_size": patch, "merge_size": 2, "temporal_patch_size": 2, **common}
        image = Qwen2VLImageProcessor(size={"shortest_edge": least, "longest_edge": most}, **sizes)
        least, most = (4096, 25165824) if published else (256, 262144)
        video = Qwen3VLVideoProcessor(size={"shortest_edge": least, "longest_edge": most}, **sizes)
        return Qwen3VLProcessor(image_processor=image, video_processor=video, **shared)
    if model_type == "llava_onevision":
        tile = {"height": llava_tile(published), "width": llava_tile(published)}
        sides = [tile["height"] * count for count in range(1, 7)]
        return LlavaOnevisionProcessor(
            image_processor=LlavaOnevisionImageProcessor(
                size=tile, image_grid_pinpoints=[[h, w] for h in sides for w in sides], **common
            ),
            video_processor=LlavaOnevisionVideoProcessor(size=tile, **common),
            num_image_tokens=(tile["height"] // 14) ** 2,
            vision_feature_select_strategy="full",
            vision_aspect_ratio="anyres_max_9",
            **shared,
        )
    tile = {"height": internvl_tile(published), "width": internvl_tile(published)}
    return InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(size=tile, min_patches=1, max_patches=12, **common),
        video_processor=InternVLVideoProcessor(size=tile, **common),
        image_seq_length=(tile["height"] // 28) ** 2,
        **shared,
    )


def llava_tile(published: bool) -> int:
    """27 or 4 patches of 14 pixels and 6 pixels left over."""
    return 384 if published else 62


def internvl_tile(published: bool) -> int:
    return 448 if published else 56


@cache
def model(model_type: str, published: bool = False, layers: int = 2, dtype: torch.dtype = torch.float32) -> Any:
    """The family's model class with random weights."""
    base = "qwen3_vl" if model_type == MOE else model_type
    names = tokenizer(base)
    ids = {name: names.convert_tokens_to_ids(word) for name, word in SPECIAL[base].items()}
    text = {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": layers,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "max_position_embeddings": 65536,
        "pad_token_id": names.pad_token_id,
        "eos_token_id": names.eos_token_id,
        "tie_word_embeddings": False,
    }
    vision: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    if base == "qwen3_vl":
        experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 48, "decoder_sparse_step": 1}
        text |= experts if model_type == MOE else {}
        rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 2, 2], "mrope_interleaved": True}
        vision = {
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "patch_size": 16 if published else 4,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "out_hidden_size": 64,
            "num_position_embeddings": 256,
            "deepstack_visual_indexes": [0],
        }
        parts = {
            "text_config": {"head_dim": 16, "rope_parameters": rope, **text},
            "vision_config": vision,
            "image_token_id": ids["image_token"],
            "video_token_id": ids["video_token"],
            "vision_start_token_id": ids["vision_start_token"],
            "vision_end_token_id": ids["vision_end_token"],
        }
    elif model_type == "llava_onevision":
        tile = llava_tile(published)
        sides = [tile * count for count in range(1, 7)]
        parts = {
            "text_config": {"model_type": "qwen2", **text},
            "vision_config": {
                "model_type": "siglip_vision_model",
                "image_size": tile,
                "patch_size": 14,
                "vision_use_head": False,
                **vision,
            },
            "image_token_index": ids["image_token"],
            "video_token_index": ids["video_token"],
            "image_grid_pinpoints": [[h, w] for h in sides for w in sides],
            "vision_aspect_ratio": "anyres_max_9",
            "vision_feature_layer": -1,
            "vision_feature_select_strategy": "full",
        }
    else:
        tile = internvl_tile(published)
        parts = {
            "text_config": {"model_type": "qwen3", "head_dim": 16, **text},
            "vision_config": {"model_type": "internvl_vision", "image_size": [tile, tile], **vision},
            "image_token_id": ids["context_image_token"],
            "image_seq_length": (tile // 28) ** 2,
            "downsample_ratio": 0.5,
        }
    config = AutoConfig.for_model(model_type, tie_word_embeddings=False, **parts)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = AutoModelForImageTextToText.from_config(config)
        # larger weights than at the start of a training, so that heads and answers differ
        with torch.no_grad():
            for name, parameter in made.named_parameters():
                if parameter.ndim > 1 and ("language_model" in name or "lm_head" in name):
                    parameter.normal_(0, 0.15)
    made.generation_config = GenerationConfig(eos_token_id=names.eos_token_id, pad_token_id=names.pad_token_id)
    return made.to(dtype).eval()


@cache
def adapter(model_type: str, published: bool = False, dtype: torch.dtype = torch.float32) -> Adapter:
    """An adapter of the small model; it is shared, so leave its settings alone."""
    return new_adapter(model_type, published, dtype)


def new_adapter(
    model_type: str, published: bool = False, dtype: torch.dtype = torch.float32, **settings: Any
) -> Adapter:
    made = family(model_type, "test")
    return made(model(model_type, published, dtype=dtype), processor(model_type, published), id=model_type, **settings)


def text_of(made: Adapter, ids: Sequence[int]) -> str:
    return str(made.processor.tokenizer.decode(list(ids)))
