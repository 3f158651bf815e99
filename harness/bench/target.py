"""What a benchmark runs: a model and prompts of an exact number of tokens. A loaded one gets noise through its own
processor; one with random weights gets random tokens, and its vision tower, apart, pixels for as many vision tokens.
Speed depends on shapes, not on values."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from coreheads.adapters.checkpoints import device_map, loading, location, published
from coreheads.adapters.checkpoints.adapter import load_adapter
from coreheads.adapters.checkpoints.embedded import TINY
from coreheads.adapters.checkpoints.random_weights import random_model
from coreheads.adapters.checkpoints.shapes import empty_model
from coreheads.adapters.generation.cache import PreallocatedCache
from coreheads.adapters.generation.chunked_prefill import chunked_prefill
from coreheads.adapters.generation.devices import input_device
from coreheads.adapters.generation.structure import cache_argument, head_shape
from coreheads.adapters.generation.vision_cache import VisionCache
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.adapters.prompt.prompt import TEXT_INPUTS, Prompt
from coreheads.errors import UserError
from coreheads.timing.interleaved import seconds_preparing

if TYPE_CHECKING:
    from coreheads.adapters.families.base import Adapter

SIDES = (1024, 512, 256, 128, 64)
"""Pixels of a picture's side: the largest of which a prompt holds several. A processor may resize them."""
TEXT_SHARE = 0.1
"""Of a prompt's tokens, at least, that are text."""
QWEN_SIDE = 32
"""Merged tokens of a side of a picture for Qwen3-VL: 1,024 tokens."""
TILES = 8
"""Tiles that go through a vision tower at a time in the other families."""


@dataclass
class Workload:
    """A prompt of ``tokens`` tokens.

    inputs: of ``model.forward``, text and media, batch rows alike. after: the position after the last one.
    prepare: prepares the prompt anew and gives the seconds it took; vision: runs the vision tower alone. None where
    the target cannot.
    """

    tokens: int
    inputs: dict[str, Tensor]
    after: int
    vision_tokens: int = 0
    prepare: Callable[[], float] | None = None
    vision: Callable[[], object] | None = None

    @property
    def batch(self) -> int:
        return self.inputs["input_ids"].shape[0]

    def next_token(self, number: int, token: int = 0) -> dict[str, Tensor]:
        """Inputs of the ``number``-th token after the prompt, counted from 0, the same one in every row."""
        positions = self.inputs["position_ids"][..., -1:]
        return {
            "input_ids": torch.full((self.batch, 1), token, device=positions.device),
            "position_ids": torch.full_like(positions, self.after + number),
        }


@dataclass
class Target:
    """A model on its device. weights: "loaded", "random", or "none" on the meta device."""

    name: str
    weights: str
    model: Any  # transformers' models have no types
    adapter: Adapter | None = None
    vision_cache: VisionCache = field(default_factory=VisionCache)

    def forward(self, cache: Cache, **inputs: Tensor) -> Tensor:
        """Logits of the last token, [batch, 1, vocabulary]."""
        logits: Tensor = self.model(**inputs, **{self._cache_name: cache}, use_cache=True, logits_to_keep=1).logits
        return logits

    def prefill(self, cache: Cache, workload: Workload, chunk: int | None = None) -> Tensor:
        """Logits after the prompt, [batch, 1, vocabulary]; chunk: tokens computed at a time, None: all."""
        with nullcontext() if chunk is None else chunked_prefill(self.model, chunk):
            return self.forward(cache, **workload.inputs)

    def cache(self, tokens: int, patch: Hybrid | None = None) -> Cache:
        """The cache of the patch, or one with room for so many tokens."""
        return PreallocatedCache(self.shape[0], tokens) if patch is None else patch.cache(self.model)

    @cached_property
    def _cache_name(self) -> str:
        return cache_argument(self.model)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(layers, query heads, KV heads)."""
        return head_shape(self.model)

    def remembering(self) -> AbstractContextManager[None]:
        """Inside the block the vision tower answers from memory for pixels that it has seen."""
        return nullcontext() if self.adapter is None else self.vision_cache.active(self.adapter.vision_modules)

    def workload(self, tokens: int, batch: int = 1) -> Workload:
        """A prompt of exactly so many tokens, ``batch`` times."""
        if self.adapter is None:
            return _random_prompt(self.model, tokens, batch)
        return _pictures(self.adapter, tokens, batch)


def load(name: str, random_weights: bool, device: str, dtype: str | None) -> Target:
    """The model to measure; UserError for one that cannot be had. dtype: None is bfloat16 on a GPU, else float32."""
    where = device_map.asked(device)
    on_gpu = not isinstance(where, dict) or where[""].startswith("cuda")
    dtype = dtype or ("bfloat16" if on_gpu else "float32")
    if not random_weights:
        adapter = load_adapter(name, device=device, dtype=dtype)
        return Target(name, "loaded", adapter.model, adapter)
    full_name, config = _configuration(name)
    number = loading.dtype_of(config, dtype)
    return Target(full_name, "random", random_model(config, number, device_map.made(name, where, config, dtype)))


def shapes(name: str, dtype: str) -> Target:
    """A model of which only the shapes are there, on the meta device; UserError for one that is not known."""
    full_name, config = _configuration(name)
    return Target(full_name, "none", empty_model(config, loading.dtype_of(config, dtype)))


def _configuration(name: str) -> tuple[str, Any]:
    """A published shape by its id or the beginning of it, else that of a checkpoint's folder."""
    known = [known for known in published.names() if known == name or known.startswith(f"{name}-")]
    if known:
        return known[0], published.config(known[0])
    if name == TINY or Path(name).expanduser().exists():
        return name, loading.config(name, location.locate(name), trust_remote_code=False)
    return name, published.config(name)  # says which there are


def _random_prompt(model: Any, tokens: int, batch: int) -> Workload:
    config = model.config
    generator = torch.Generator().manual_seed(tokens)
    ids = torch.randint(0, config.text_config.vocab_size, (1, tokens), generator=generator)
    for name in ("image_token_id", "video_token_id"):
        if (token := getattr(config, name, None)) is not None:
            ids[ids == token] = 0
    inputs = {"input_ids": ids, "position_ids": torch.arange(tokens)[None]}
    inputs = {name: value.expand(batch, -1).to(input_device(model)) for name, value in inputs.items()}
    vision_tokens, vision = _vision(model, int(tokens * (1 - TEXT_SHARE)))
    return Workload(tokens, inputs, tokens, vision_tokens, vision=vision)


def _vision(model: Any, tokens: int) -> tuple[int, Callable[[], object]]:
    """(vision tokens, what computes them): as near below ``tokens`` as whole pictures or tiles come, at least one."""
    device, dtype = input_device(model), model.dtype
    config = model.config
    vision = config.vision_config
    if hasattr(model.model, "visual"):
        count = max(1, tokens // QWEN_SIDE**2)
        side = QWEN_SIDE * vision.spatial_merge_size
        width = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
        pixels = torch.randn(count * side**2, width, device=device, dtype=dtype)
        grid = torch.tensor([[1, side, side]] * count, device=device)
        return count * QWEN_SIDE**2, lambda: model.model.visual(pixels, grid_thw=grid)
    size = vision.image_size if isinstance(vision.image_size, list | tuple) else [vision.image_size] * 2
    patch = vision.patch_size if isinstance(vision.patch_size, list | tuple) else [vision.patch_size] * 2
    a_tile = getattr(config, "image_seq_length", None) if config.model_type == "internvl" else None
    a_tile = a_tile or (size[0] // patch[0]) * (size[1] // patch[1])
    count = max(1, tokens // a_tile)
    tiles = torch.randn(min(count, TILES), 3, *size, device=device, dtype=dtype)

    def run() -> None:
        for start in range(0, count, TILES):
            model.model.multi_modal_projector(_features(model, tiles[: min(TILES, count - start)]))

    return count * a_tile, run


def _features(model: Any, tiles: Tensor) -> Tensor:
    """What the family's projector takes."""
    states: Tensor = model.model.vision_tower(pixel_values=tiles).last_hidden_state
    if model.config.model_type != "internvl":
        return states
    states = states[:, 1:]  # without the class token
    side = int(states.shape[1] ** 0.5)
    grid = states.reshape(len(tiles), side, side, -1)
    folded: Tensor = model.model.pixel_shuffle(grid, scale_factor=model.config.downsample_ratio)
    return folded.reshape(len(tiles), -1, folded.shape[-1])


def _pictures(adapter: Adapter, tokens: int, batch: int) -> Workload:
    from PIL import Image

    def prepare(count: int) -> Prompt:
        pictures = [{"type": "image", "image": picture.copy()} for _ in range(count)]
        return adapter.prepare([{"role": "user", "content": [*pictures, {"type": "text", "text": "where is it?"}]}])

    for side in SIDES:
        picture = Image.effect_noise((side, side), 64).convert("RGB")
        one, two = prepare(1).tokens, prepare(2).tokens
        if one <= tokens // 4:
            break
    if tokens < one:
        raise UserError(f"--context is {tokens}, expected at least {one} tokens: a picture and a question")
    count = 1 + int(max(0, (1 - TEXT_SHARE) * tokens - one)) // (two - one)
    prompt = prepare(count)
    inputs = adapter.collate([prompt] * batch)
    fill = tokens - prompt.tokens
    # the text is drawn out, so that the length is the one asked for
    for name in TEXT_INPUTS:
        if name in inputs and fill:
            inputs[name] = torch.cat([inputs[name], inputs[name][:, -1:].expand(-1, fill)], 1)
    positions = inputs["position_ids"]
    after = int(positions.max()) + 1
    further = torch.arange(after, after + fill, device=positions.device)
    inputs["position_ids"] = torch.cat([positions, further.expand(*positions.shape[:-1], -1)], -1)
    preparing = partial(seconds_preparing, partial(prepare, count))
    return Workload(tokens, inputs, after + fill, len(prompt.vision_tokens), preparing)
