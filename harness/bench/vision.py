"""The vision tower on its own: pixels of the right shape for a model that has no processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

QWEN_SIDE = 32
"""Merged tokens of a side of a picture for Qwen3-VL: 1,024 tokens."""
BATCH = 8
"""Tiles that go through a vision tower at a time in the other families."""


def synthetic_vision(model: Any, tokens: int) -> tuple[int, Callable[[], object]]:
    """(vision tokens, what computes them): as near below ``tokens`` as whole pictures or tiles come, at least one."""
    device, dtype = model.device, model.dtype
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
    tiles = torch.randn(min(count, BATCH), 3, *size, device=device, dtype=dtype)

    def run() -> None:
        for start in range(0, count, BATCH):
            model.model.multi_modal_projector(_features(model, tiles[: min(BATCH, count - start)]))

    return count * a_tile, run


def _features(model: Any, tiles: torch.Tensor) -> torch.Tensor:
    """What the family's projector takes."""
    states: torch.Tensor = model.model.vision_tower(pixel_values=tiles).last_hidden_state
    if model.config.model_type != "internvl":
        return states
    states = states[:, 1:]  # without the class token
    side = int(states.shape[1] ** 0.5)
    grid = states.reshape(len(tiles), side, side, -1)
    folded: torch.Tensor = model.model.pixel_shuffle(grid, scale_factor=model.config.downsample_ratio)
    return folded.reshape(len(tiles), -1, folded.shape[-1])
