"""A reference for the patches that shares no code with them: dense per-head masks, float64, one uncached forward."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface

from coreheads.adapters.tiny.model import build_model
from coreheads.adapters.tiny.processor import build_processor

LAYERS, HEADS, KV_HEADS = 2, 8, 4
Allowed = Callable[[int, int, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(layer, head, i [Q, 1], j [1, K], vision [K]) -> bool [Q, K]: what a head may see besides causality."""


def dense(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor, scaling: float) -> Tensor:
    """[B, H, Q, D] against [B, Hkv, K, D] with bool ``allowed`` [B, H, Q, K] -> [B, Q, H, D]; blind rows give 0."""
    repeats = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(repeats, 1).double(), value.repeat_interleave(repeats, 1).double()
    scores = (query.double() @ key.transpose(2, 3)) * scaling
    scores[~allowed] = float("-inf")
    weights = torch.exp(scores - scores.amax(-1, keepdim=True).nan_to_num(neginf=0.0))
    weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-300)
    return (weights @ value).transpose(1, 2)


def hybrid_rule(heads: set[tuple[int, int]], sink: int, window: int) -> Allowed:
    def allowed(layer: int, head: int, i: np.ndarray, j: np.ndarray, vision: np.ndarray) -> np.ndarray:
        return ((j < sink) | (j > i - window)) | ((layer, head) in heads)

    return allowed


def nothing_hidden(layer: int, head: int, i: np.ndarray, j: np.ndarray, vision: np.ndarray) -> np.ndarray:
    return np.ones((i.shape[0], j.shape[1]), bool)


def zero_rule(heads: set[tuple[int, int]]) -> Allowed:
    def allowed(layer: int, head: int, i: np.ndarray, j: np.ndarray, vision: np.ndarray) -> np.ndarray:
        return np.full((i.shape[0], j.shape[1]), (layer, head) not in heads)

    return allowed


def vision_rule(heads: set[tuple[int, int]], scope: str) -> Allowed:
    def allowed(layer: int, head: int, i: np.ndarray, j: np.ndarray, vision: np.ndarray) -> np.ndarray:
        if (layer, head) not in heads:
            return np.ones((i.shape[0], j.shape[1]), bool)
        reader_is_vision = vision[i[:, 0]][:, None]
        return ~vision[j[0]][None, :] | (reader_is_vision if scope == "text" else np.zeros_like(reader_is_vision))

    return allowed


def document_rule(sink: int) -> Allowed:
    def allowed(layer: int, head: int, i: np.ndarray, j: np.ndarray, vision: np.ndarray) -> np.ndarray:
        pages, number = [], 0
        for token, shown in enumerate(vision):
            number += bool(shown and (token == 0 or not vision[token - 1]))
            pages.append(number if shown else 0)
        page = np.array(pages)
        other = (page[i] != 0) & (page[j] != 0) & (page[i] != page[j])
        return ~other | (j < sink)

    return allowed


def both(first: Allowed, second: Allowed) -> Allowed:
    return lambda *args: first(*args) & second(*args)


@contextmanager
def oracle(
    model: Any, allowed: Allowed, vision: Tensor | None = None, uniform: Collection[tuple[int, int]] = ()
) -> Iterator[None]:
    """Dense attention with ``allowed``; ``vision`` is bool [B, L] of the padded prompt. Uncached forwards only.

    The heads ``uniform`` weigh all that they see alike.
    """

    def attend(
        module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, scaling: float, **_: Any
    ) -> Any:
        batch, heads, length, _width = query.shape
        table = torch.zeros(batch, heads, length, length, dtype=torch.bool)
        for b in range(batch):
            start = 0 if attention_mask is None else int((~attention_mask[b].bool()).sum())
            real = length - start
            i, j = np.arange(real)[:, None], np.arange(real)[None, :]
            seen = np.zeros(real, bool) if vision is None else vision[b, start:].numpy()
            for head in range(heads):
                table[b, head, start:, start:] = torch.from_numpy(
                    (j <= i) & allowed(module.layer_idx, head, i, j, seen)
                )
        alike = [head for layer, head in uniform if layer == module.layer_idx]
        query = query.index_fill(1, torch.tensor(alike, dtype=torch.long), 0)
        return dense(query, key, value, table, scaling).to(query.dtype), None

    AttentionInterface.register("dense_oracle", attend)
    AttentionMaskInterface.register("dense_oracle", lambda *_, attention_mask=None, **__: attention_mask)
    config = model.model.language_model.config
    before = config._attn_implementation
    config._attn_implementation = "dense_oracle"
    try:
        yield
    finally:
        config._attn_implementation = before


@cache
def tiny_model(seed: int = 0, kv_heads: int = KV_HEADS, dtype: torch.dtype = torch.float64) -> Any:
    """A random 2-layer model of 8 heads."""
    torch.set_num_threads(1)
    model = build_model(
        seed, hidden_size=64, num_hidden_layers=LAYERS, num_attention_heads=HEADS, num_key_value_heads=kv_heads
    )
    return model.to(dtype)


@cache
def processor() -> Any:
    return build_processor()


def prompt(texts: list[str], images: list[int], seed: int = 0) -> dict[str, Any]:
    """A left-padded batch; sample b has images[b] noise images of 64 x 48 pixels, 12 vision tokens each."""
    rng = np.random.default_rng(seed)
    conversations = []
    for text, count in zip(texts, images, strict=True):
        parts: list[dict[str, Any]] = [
            {"type": "image", "image": Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))}
            for _ in range(count)
        ]
        conversations.append([{"role": "user", "content": [*parts, {"type": "text", "text": text}]}])
    inputs = processor().apply_chat_template(
        conversations,
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"padding": True},
    )
    return {name: value.double() if name.startswith("pixel_values") else value for name, value in dict(inputs).items()}


def placeholders(model: Any) -> list[int]:
    return [model.config.image_token_id, model.config.video_token_id]


def positions(model: Any, inputs: dict[str, Any]) -> Tensor:
    """Rotary positions [3, B, L], for calls that do not carry the whole prompt."""
    names = ("input_ids", "attention_mask", "mm_token_type_ids", "image_grid_thw")
    found: Tensor = model.model.get_rope_index(**{name: inputs[name] for name in names})[0]
    return found


def vision_of(model: Any, inputs: dict[str, Any]) -> Tensor:
    ids: Tensor = inputs["input_ids"]
    return torch.isin(ids, torch.tensor(placeholders(model)))


def generate(model: Any, inputs: dict[str, Any], tokens: int, **settings: Any) -> Tensor:
    """New token ids [B, tokens]; a random model may not write placeholders, and never stops."""
    with torch.inference_mode():
        ids = model.generate(
            **inputs,
            **{"do_sample": False, **settings},
            min_new_tokens=tokens,
            max_new_tokens=tokens,
            suppress_tokens=placeholders(model),
        )
    return ids[:, inputs["input_ids"].shape[1] :]


def logits(model: Any, inputs: dict[str, Any], **settings: Any) -> Tensor:
    with torch.inference_mode():
        output: Tensor = model(**inputs, **{"use_cache": False, **settings}).logits
    return output


def state(model: Any) -> list[Any]:
    """Everything that a patch could have left on the model."""
    modules = list(model.modules())
    plain = [
        {name: value for name, value in vars(module).items() if not name.startswith("_") or "coreheads" in name}
        for module in modules
    ]
    hooks = [(dict(module._forward_pre_hooks), dict(module._forward_hooks)) for module in modules]
    configs = [model.config, model.model.config, model.config.text_config, model.config.vision_config]
    return [
        [sorted(vars(module)) for module in modules],
        [sorted(item) for item in plain],
        hooks,
        [copy.deepcopy(vars(config)) for config in configs],
    ]


def states(batch: int, kv_heads: int, repeats: int, rows: int, columns: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(seed)
    make = lambda heads, length: torch.randn(batch, heads, length, 8, dtype=torch.float64)  # noqa: E731
    return make(kv_heads * repeats, rows), make(kv_heads, columns), make(kv_heads, columns)


def window_mask(rows: int, columns: int, sink: int, window: int) -> torch.Tensor:
    mask = torch.zeros(rows, columns, dtype=torch.bool)
    for row in range(rows):
        i = columns - rows + row
        mask[row, : min(sink, i + 1)] = True
        mask[row, max(0, i - window + 1) : i + 1] = True
    return mask
