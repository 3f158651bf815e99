"""What the adapter tests share: a small random model, pictures and videos in memory, and messages."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image

from coreheads.adapters.families.qwen3_vl import Qwen3VL
from coreheads.adapters.tiny.model import build_model
from coreheads.adapters.tiny.processor import build_processor
from coreheads.media.video import Video

torch.set_num_threads(1)


@cache
def small_model() -> Any:
    model = build_model(0, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
    # with an output of its own, unlike the input's embedding, it does not just say the last token again
    weights = torch.randn(model.lm_head.weight.shape, generator=torch.Generator().manual_seed(0))
    model.lm_head.weight = torch.nn.Parameter(weights)
    return model


@cache
def small_adapter() -> Qwen3VL:
    return Qwen3VL(small_model(), build_processor(), id="small")


def eager(model: Any, inputs: dict[str, Any]) -> torch.Tensor:
    """What eager attention itself says of a batch of one, [layers, heads, L, L]."""
    config = model.model.language_model.config
    before, config._attn_implementation = config._attn_implementation, "eager"
    try:
        with torch.inference_mode():
            return torch.stack(model(**inputs, use_cache=False, output_attentions=True).attentions)[:, 0]
    finally:
        config._attn_implementation = before


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def video(frames: int, width: int, height: int, fps: float = 2.0, seed: int = 0) -> Video:
    pixels = np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    return Video(pixels, fps)


def image_part(value: Any) -> dict[str, Any]:
    return {"type": "image", "image": value}


def video_part(value: Any, **span: float) -> dict[str, Any]:
    return {"type": "video", "video": value, **span}


def text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def user(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def mixed() -> list[dict[str, Any]]:
    """System prompt, two pictures of different size, a video between them, text everywhere."""
    return [
        {"role": "system", "content": "you look at pictures"},
        {
            "role": "user",
            "content": [
                text_part("#0"),
                image_part(picture(70, 50)),
                text_part("#1 and a video "),
                video_part(video(7, 64, 48)),
                image_part(picture(33, 90, 1)),
                text_part("where is the red-star?"),
            ],
        },
    ]
