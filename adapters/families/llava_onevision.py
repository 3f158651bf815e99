"""LLaVA-OneVision.

One picture is seen twice: squashed into a square base view, then, keeping its shape, padded onto a canvas of square
tiles. Each tile is encoded by itself; the padding's rows or columns of features are cut off again, the map is
interpolated down where it is too large (anyres_max_9), and a newline token ends each of its rows. Several pictures
are padded to squares and seen once each, with one newline token at the end. Video frames are squashed to squares,
their features pooled by interpolation, with one newline token after the last frame.

A square view of S pixels holds S // P patches of P pixels a side: what is left over at its right and bottom edge is
seen by no token of that view, for tiles in the middle of the picture as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor, nn
from transformers.image_processing_utils import select_best_resolution

from coreheads.adapters.families.base import Adapter
from coreheads.adapters.families.settings import number_of_frames
from coreheads.adapters.prompt.messages import Chat, Kind
from coreheads.adapters.prompt.processing import EncodedMedia, LoadedMedium, processed
from coreheads.adapters.prompt.prompt import EncodedMedium, Prompt
from coreheads.adapters.prompt.receptive import Spans, cells, interpolated, resized, side_by_side
from coreheads.adapters.prompt.token_map import View, grid, nothing

ENLARGED = 1.1
"""A feature map is interpolated down when it is this much larger, along a side, than the largest one allowed."""


class LlavaOnevision(Adapter):
    """Adapter of ``LlavaOnevisionForConditionalGeneration``.

    Settings: num_frames (shown of each video, evenly spread from the first to the last; a shorter video repeats
    frames, because the model takes all videos of a batch as one tensor).
    """

    settings = ("num_frames",)

    def configure(self, num_frames: int | None = None) -> None:
        self.num_frames = number_of_frames(self.processor, num_frames)

    def frames(self, total: int, fps: float) -> list[int]:
        """Evenly spread from the first frame to the last, rounded down."""
        return [int(index) for index in np.linspace(0, total - 1, self.num_frames)]

    def collate_vision(self, prompts: Sequence[Prompt]) -> dict[str, Tensor]:
        """Tiles of all pictures as one tensor, [pictures, most tiles, 3, S, S]: pictures of fewer are filled up."""
        tiles = [prompt.inputs["pixel_values"].shape[1] for prompt in prompts if "pixel_values" in prompt.inputs]
        most = max(tiles, default=0)
        return super().collate_vision([_filled(prompt, most) for prompt in prompts])

    def _render(self, chat: Chat) -> str:
        """The chat template shows a message's images first, then its videos, then its texts.

        Where the parts stand in another order, they are handed to it as one text, which it leaves as it is.
        """
        return super()._render([_in_order(message, self.placeholders) for message in chat])

    def process(self, loaded: Sequence[LoadedMedium]) -> EncodedMedia:
        inputs, words = processed(self.processor, loaded, together=True)
        alone = sum(item.picture is not None for item in loaded) == 1
        encoded = []
        for item, word in zip(loaded, words, strict=True):
            medium = item.medium()
            if item.video is not None:
                view = self._video(medium.width, medium.height).repeated(len(medium.frames)) + nothing(1)
                view.patch[-1] = len(medium.frames) - 1
            elif alone:
                view = self._tiled(medium.width, medium.height)
            else:
                view = self._padded(medium.width, medium.height)
            encoded.append(EncodedMedium(item.source, medium, word, view))
        return EncodedMedia(inputs, encoded)

    @property
    def _patch(self) -> int:
        return int(self.model.config.vision_config.patch_size)

    @property
    def _side(self) -> int:
        """Patches along a side of a square view."""
        return int(self.model.config.vision_config.image_size) // self._patch

    def _squashed(self, source: int, target: int, part: Any) -> Spans:
        return side_by_side(source, target, self._patch, part.resample, self._side)

    def _video(self, width: int, height: int) -> View:
        part = self.processor.video_processor
        pooled = math.ceil(self._side / 2)
        rows = interpolated(self._squashed(height, part.size["height"], part), pooled)
        columns = interpolated(self._squashed(width, part.size["width"], part), pooled)
        return grid(rows, columns, height, width)

    def _padded(self, width: int, height: int) -> View:
        part, longest = self.processor.image_processor, max(width, height)

        def axis(source: int, target: int) -> Spans:
            seen = self._squashed(longest, target, part) - (longest - source) // 2
            return np.clip(seen, 0, source)

        rows, columns = axis(height, part.size["height"]), axis(width, part.size["width"])
        return grid(rows, columns, height, width) + nothing(1)

    def _tiled(self, width: int, height: int) -> View:
        part = self.processor.image_processor
        size = (part.size["height"], part.size["width"])
        base = grid(self._squashed(height, size[0], part), self._squashed(width, size[1], part), height, width)
        canvas = select_best_resolution((height, width), part.image_grid_pinpoints)
        rows, columns = self._canvas_axes(height, width, canvas, size[0], int(part.resample))
        limit = int(self.processor.vision_aspect_ratio.removeprefix("anyres_max_"))
        ratio = math.sqrt(len(rows) * len(columns) / (limit * self._side**2))
        if ratio > ENLARGED:
            rows, columns = (interpolated(spans, int(len(spans) // ratio)) for spans in (rows, columns))
        return base + grid(rows, columns, height, width, separated=True)

    def _canvas_axes(
        self, height: int, width: int, canvas: tuple[int, int], tile: int, resample: int
    ) -> tuple[Spans, Spans]:
        """What the rows and the columns of the tiles' joint feature map see, without the padding's."""
        scale = min(canvas[0] / height, canvas[1] / width)
        features = [size // tile * self._side for size in canvas]
        kept = _without_padding(height, width, features[0], features[1])
        axes = []
        for source, size, count, keep in zip((height, width), canvas, features, kept, strict=True):
            shown = min(math.ceil(source * scale), size)
            index = np.arange(count)
            start = index // self._side * tile + index % self._side * self._patch - (size - shown) // 2
            cut = (count - keep) // 2
            axes.append(cells(resized(source, shown, resample), start[cut : count - cut], self._patch))
        return axes[0], axes[1]


def _without_padding(height: int, width: int, rows: int, columns: int) -> tuple[int, int]:
    """How many rows and columns of a padded feature map hold the picture, before they are cut alike on both sides."""
    if width / height > columns / rows:
        return int(round(height * (columns / width), 7)), columns
    return rows, int(round(width * (rows / height), 7))


def _filled(prompt: Prompt, tiles: int) -> Prompt:
    """The prompt with that many tiles a picture, of which the model reads the first ones."""
    pixels = prompt.inputs.get("pixel_values")
    if pixels is None or pixels.shape[1] == tiles:
        return prompt
    filled = nn.functional.pad(pixels, (0, 0, 0, 0, 0, 0, 0, tiles - pixels.shape[1]))
    return replace(prompt, inputs={**prompt.inputs, "pixel_values": filled})


def _in_order(message: dict[str, Any], placeholders: Mapping[str, Kind]) -> dict[str, Any]:
    kinds = [part["type"] for part in message["content"]]
    if kinds == sorted(kinds, key=["image", "video", "text"].index):
        return message
    words = {kind: word for word, kind in placeholders.items()}
    text = "".join(part["text"] if part["type"] == "text" else words[part["type"]] for part in message["content"])
    return {**message, "content": [{"type": "text", "text": text}]}
