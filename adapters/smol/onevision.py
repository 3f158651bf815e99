"""The checkpoint ``smol-onevision``: the same words and weights as LLaVA-OneVision, a token a cell.

Several pictures are seen once each, a line break after each. One picture alone is seen twice, as the family does it:
the base view and, with a line break after each row, one tile of the same size, both of which can be read. A video's
features are pooled 2 x 2, which blends words: the chat template refuses videos.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from coreheads.adapters.smol import weights

if TYPE_CHECKING:
    from torch import Tensor

    from coreheads.adapters.smol.recogniser import Recogniser

ARCHITECTURE = "LlavaOnevisionForConditionalGeneration"

SPECIAL = {"image_token": "<jupyter_output>", "video_token": "<jupyter_code>"}
"""Tokens of SmolLM2 that no text has here (14, 13)."""

_REFUSED = (
    "{{ raise_exception('smol-onevision reads no videos, whose features this family pools 2 x 2; expected pictures, "
    "and no <jupyter_code> in a text') }}"
)

TEMPLATE = (
    "{%- for message in messages -%}{%- set content = [{'type': 'text', 'text': message.content}] "
    "if message.content is string else message.content -%}{%- for part in content -%}{%- if part.type == 'image' -%}"
    "{{ '<jupyter_output>' }}{%- elif part.type == 'text' and '<jupyter_code>' not in part.text -%}{{ part.text }}"
    "{%- else -%}" + _REFUSED + "{%- endif -%}{%- endfor -%}{%- endfor -%}"
)
"""As that of ``smol``; a video before or between other parts reaches it as the text of its placeholder."""


def config() -> dict[str, Any]:
    """What config.json says; known without the package."""
    from coreheads.tasks.smol.print import CELL, SIDE

    vision = {
        "model_type": "siglip_vision_model",
        "hidden_size": 640,
        "num_hidden_layers": 3,  # the recogniser's two, and a norm
        "num_attention_heads": 10,
        "intermediate_size": 2048,
        "image_size": SIDE * CELL,
        "patch_size": CELL,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-6,
        "vision_use_head": False,
    }
    return {
        "model_type": "llava_onevision",
        "text_config": weights.text_config(),
        "vision_config": vision,
        "image_token_index": 14,
        "video_token_index": 13,
        "image_grid_pinpoints": [[SIDE * CELL] * 2],
        "vision_aspect_ratio": "anyres_max_9",
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
        "tie_word_embeddings": True,
        "dtype": "float32",
    }


def tower(embeddings: Tensor, words: Sequence[int], blank: int, recogniser: Recogniser) -> dict[str, Tensor]:
    """What the checkpoint holds beside the language model; arguments as ``siglip`` takes them."""
    from coreheads.adapters.smol.siglip import siglip
    from coreheads.tasks.smol.print import SIDE

    return siglip(embeddings, words, blank, recogniser, SIDE * SIDE)


def processor(tokenizer: Any) -> Any:
    """A view is 12 x 12 cells, and a picture alone gets one tile besides."""
    from transformers import LlavaOnevisionProcessor
    from transformers.models.llava_onevision.image_processing_llava_onevision import LlavaOnevisionImageProcessor
    from transformers.models.llava_onevision.video_processing_llava_onevision import LlavaOnevisionVideoProcessor

    from coreheads.tasks.smol.print import CELL, SIDE

    size = {"height": SIDE * CELL, "width": SIDE * CELL}
    half: dict[str, Any] = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    return LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=[[SIDE * CELL] * 2], **half),
        tokenizer=tokenizer,
        video_processor=LlavaOnevisionVideoProcessor(size=size, **half),
        num_image_tokens=SIDE * SIDE,
        vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_9",
        chat_template=TEMPLATE,
    )
