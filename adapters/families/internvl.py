"""InternVL (the ``-HF`` checkpoints of InternVL3.5).

A picture is stretched onto the grid of square tiles whose shape is nearest to its own, at most ``max_patches`` of
them; when there is more than one tile, the whole picture squashed into one tile follows as the last. Video frames
are squashed into one tile each. A tile's patches are joined two by two (pixel shuffle), so that a token sees a
square of 2 x 2 patches; tokens run row by row within a tile, tiles row by row within the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers.models.got_ocr2.image_processing_got_ocr2 import get_optimal_tiled_canvas

from coreheads.adapters.families.base import Adapter
from coreheads.adapters.families.settings import number_of_frames, whole_number
from coreheads.adapters.prompt.processing import EncodedMedia, LoadedMedium, image_inputs, video_inputs
from coreheads.adapters.prompt.prompt import EncodedMedium, Medium
from coreheads.adapters.prompt.receptive import Spans, side_by_side
from coreheads.adapters.prompt.token_map import View, grid


class InternVL(Adapter):
    """Adapter of ``InternVLForConditionalGeneration``.

    Settings: num_frames (shown of each video, from the middles of as many equal parts; all of a shorter video);
    min_tiles, max_tiles (of a picture, its thumbnail not counted; 1 tile and no thumbnail at max_tiles=1).
    """

    settings = ("num_frames", "min_tiles", "max_tiles")

    def configure(
        self, num_frames: int | None = None, min_tiles: int | None = None, max_tiles: int | None = None
    ) -> None:
        self.num_frames = number_of_frames(self.processor, num_frames)
        part = self.processor.image_processor
        if min_tiles is not None:
            part.min_patches = whole_number("min_tiles", min_tiles)
        part.max_patches = whole_number(
            "max_tiles", part.max_patches if max_tiles is None else max_tiles, least=part.min_patches
        )

    @property
    def vision_token_ids(self) -> tuple[int, ...]:
        return (self.processor.image_token_id,)

    def frames(self, total: int, fps: float) -> list[int]:
        """The middle frames of ``num_frames`` equal parts, as the processor samples; every frame of a shorter video."""
        count = min(self.num_frames, total)
        return [int((part + 0.5) * total / count) for part in range(count)]

    def process(self, loaded: Sequence[LoadedMedium]) -> EncodedMedia:
        # pictures and frames are tiles of one tensor, in the order of the prompt; each video is processed by itself,
        # because the processor joins only videos of equally many frames
        pictures = [item.picture for item in loaded if item.picture is not None]
        images = image_inputs(self.processor, pictures, crop_to_patches=True) if pictures else {}
        tiles = iter(torch.split(images["pixel_values"], [int(n) for n in images["num_patches"]]) if images else ())
        pixels, encoded, number = [], [], 0
        for item in loaded:
            medium = item.medium()
            if item.video is not None:
                frames = video_inputs(self.processor, [item.video])
                pixels.append(frames["pixel_values_videos"][0])
                word = self.processor.replace_video_token(frames, 0)
                view = self._squashed(medium, self.processor.video_processor).repeated(len(medium.frames))
            else:
                pixels.append(next(tiles))
                word = self.processor.replace_image_token(images, number)
                view = self._tiled(medium)
                number += 1
            encoded.append(EncodedMedium(item.source, medium, word, view))
        return EncodedMedia({"pixel_values": torch.cat(pixels) if len(pixels) > 1 else pixels[0]}, encoded)

    def _squashed(self, medium: Medium, part: Any) -> View:
        """The whole picture in one tile."""
        rows = self._cells(medium.height, part.size["height"], part)
        columns = self._cells(medium.width, part.size["width"], part)
        return grid(rows, columns, medium.height, medium.width)

    def _tiled(self, medium: Medium) -> View:
        part = self.processor.image_processor
        tile = (part.size["height"], part.size["width"])
        columns, rows = get_optimal_tiled_canvas(
            (medium.height, medium.width), tile, part.min_patches, part.max_patches
        )
        y = np.split(self._cells(medium.height, rows * tile[0], part), rows)
        x = np.split(self._cells(medium.width, columns * tile[1], part), columns)
        views = [grid(row, column, medium.height, medium.width) for row in y for column in x]
        if len(views) > 1:
            views.append(self._squashed(medium, part))
        return sum(views[1:], views[0])

    def _cells(self, source: int, target: int, part: Any) -> Spans:
        """Source pixels of each token along one axis, ``target`` pixels after resizing."""
        config = self.model.config
        cell = int(config.vision_config.patch_size[0] / config.downsample_ratio)
        return side_by_side(source, target, cell, part.resample)
