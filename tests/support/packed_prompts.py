"""One question of a packed batch as the stock model takes it."""

from __future__ import annotations

import torch

from coreheads.adapters.tiny.training.packing import Batch, Layout, prefix


def prompt_inputs(batch: Batch, row: int, number: int, layout: Layout) -> dict[str, torch.Tensor]:
    """The stock model's inputs for one question of a packed row, its answer included."""
    start = len(prefix(layout.kind, layout.pictures, layout.rows, layout.columns)[0])
    begin = start if number == 0 else batch.asked[row][number - 1].logits_at[-1] + 1
    end = batch.asked[row][number].logits_at[-1] + 1
    ids = torch.cat([batch.input_ids[row, :start], batch.input_ids[row, begin:end]])[None]
    patches = layout.vision_tokens * 4
    pixels = batch.pixels[row * patches : (row + 1) * patches]
    vision = batch.is_vision[row, :start]
    types = torch.zeros_like(ids)
    types[0, :start][vision] = 2 if layout.kind == "video" else 1
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "mm_token_type_ids": types}
    if layout.kind == "video":
        grid = torch.tensor([[layout.pictures, layout.rows * 2, layout.columns * 2]])
        return {**inputs, "pixel_values_videos": pixels, "video_grid_thw": grid}
    return {**inputs, "pixel_values": pixels, "image_grid_thw": batch.grid[: layout.pictures]}
