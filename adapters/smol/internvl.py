"""The checkpoint ``smol``: as InternVL, a tile of 12 x 12 cells a picture or frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from coreheads.adapters.smol import weights

if TYPE_CHECKING:
    from torch import Tensor

    from coreheads.adapters.smol.recogniser import Recogniser

ARCHITECTURE = "InternVLForConditionalGeneration"

SPECIAL = {
    "start_image_token": "<jupyter_start>",
    "end_image_token": "<jupyter_text>",
    "context_image_token": "<jupyter_output>",
    "video_token": "<jupyter_code>",
}
"""Tokens of SmolLM2 that no text has here (11, 12, 14, 13); they serve as InternVL's, so that no row is new."""

MOST_FRAMES = 64
"""Of a video that are shown: all, where it has fewer."""

TEMPLATE = (
    "{%- for message in messages -%}{%- if message.content is string -%}{{ message.content }}{%- else -%}"
    "{%- for part in message.content -%}{%- if part.type == 'text' -%}{{ part.text }}{%- elif part.type == 'image' -%}"
    "{{ '<jupyter_output>' }}{%- else -%}{{ '<jupyter_code>' }}{%- endif -%}{%- endfor -%}{%- endif -%}{%- endfor -%}"
)
"""One part after the other, no roles: this model answers better as the base model that it was before its chats."""


def config() -> dict[str, Any]:
    """What config.json says; known without the package."""
    from coreheads.tasks.smol.print import CELL, SIDE

    vision = {
        "hidden_size": 640,
        "num_hidden_layers": 2,
        "num_attention_heads": 10,
        "intermediate_size": 2048,
        "image_size": [SIDE * CELL] * 2,
        "patch_size": [CELL] * 2,
        "use_absolute_position_embeddings": False,
        "layer_scale_init_value": 1.0,
        "use_mean_pooling": True,
        "hidden_act": "gelu",
        "norm_type": "layer_norm",
        "layer_norm_eps": 1e-6,
    }
    return {
        "model_type": "internvl",
        "text_config": weights.text_config(),
        "vision_config": vision,
        "image_token_id": 14,
        "image_seq_length": SIDE * SIDE,
        "downsample_ratio": 1.0,
        "tie_word_embeddings": True,
        "dtype": "float32",
    }


def tower(embeddings: Tensor, words: Sequence[int], blank: int, recogniser: Recogniser) -> dict[str, Tensor]:
    """What the checkpoint holds beside the language model; arguments as ``tower.tower`` takes them."""
    from coreheads.adapters.smol.tower import tower as laid_out

    return laid_out(embeddings, words, blank, recogniser)


def processor(tokenizer: Any) -> Any:
    """Every picture is one tile of 12 x 12 cells."""
    from transformers import InternVLProcessor
    from transformers.models.got_ocr2.image_processing_got_ocr2 import GotOcr2ImageProcessor
    from transformers.models.internvl.video_processing_internvl import InternVLVideoProcessor

    from coreheads.tasks.smol.print import CELL, SIDE

    size = {"height": SIDE * CELL, "width": SIDE * CELL}
    half: dict[str, Any] = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    return InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(size=size, min_patches=1, max_patches=1, **half),
        tokenizer=tokenizer,
        video_processor=InternVLVideoProcessor(size=size, num_frames=MOST_FRAMES, **half),
        image_seq_length=SIDE * SIDE,
        chat_template=TEMPLATE,
    )
