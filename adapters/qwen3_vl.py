"""Qwen3-VL, dense and mixture of experts.

Pictures are resized to whole merged patches (``merge_size`` x ``patch_size`` pixels square); a merged token (row,
column) sees its cell of that grid, row by row. Videos pair the sampled frames {2t, 2t+1}, the last one repeated when
their number is odd, with the pair's mean time as text before it. The grid is the one the processor reports, never
computed again. Resizing blends a few pixels across a cell's edge; those do not count as seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers.video_utils import VideoMetadata

from coreheads.adapters.base import Adapter, Opened, Vision
from coreheads.adapters.images import open_image
from coreheads.adapters.messages import Source
from coreheads.adapters.prompt import Medium, Prompt, TokenMap
from coreheads.adapters.video import Sampled, sample
from coreheads.errors import UserError


class Qwen3VL(Adapter):
    """Adapter of ``Qwen3VLForConditionalGeneration`` and ``Qwen3VLMoeForConditionalGeneration``.

    Settings: fps, min_frames, max_frames (how videos are sampled); min_pixels, max_pixels (of a picture, after
    resizing); video_min_pixels, video_max_pixels (of all sampled frames together); cap_pixels_per_frame.
    """

    settings = (
        "fps",
        "min_frames",
        "max_frames",
        "min_pixels",
        "max_pixels",
        "video_min_pixels",
        "video_max_pixels",
        "cap_pixels_per_frame",
    )

    def configure(self, **settings: Any) -> None:
        video = self.processor.video_processor
        # its default is announced to change: say it, so that the number of tokens does not depend on the version
        if getattr(video, "cap_pixels_per_frame", None) is None:
            video.cap_pixels_per_frame = False
        edges = {"min": "shortest_edge", "max": "longest_edge"}
        for name, value in settings.items():
            if name == "cap_pixels_per_frame":
                if not isinstance(value, bool):
                    raise UserError(f"setting {name}: {value!r}, expected true or false")
                video.cap_pixels_per_frame = value
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
                raise UserError(f"setting {name}: {value!r}, expected a number above 0")
            if name.endswith("_pixels"):
                part = video if name.startswith("video_") else self.processor.image_processor
                edge = edges[name.removeprefix("video_").removesuffix("_pixels")]
                part.size = {**{key: part.size[key] for key in edges.values()}, edge: int(value)}
            else:
                setattr(video, name, value if name == "fps" else int(value))

    @property
    def vision_token_ids(self) -> tuple[int, ...]:
        return self.processor.image_token_id, self.processor.video_token_id

    @property
    def placeholders(self) -> tuple[str, ...]:
        return self.processor.image_token, self.processor.video_token

    @property
    def vision_modules(self) -> list[nn.Module]:
        return [self.model.model.visual]

    def text_inputs(self, ids: Tensor) -> dict[str, Tensor]:
        image, video = self.vision_token_ids
        kinds = (ids == image).int() + 2 * (ids == video).int()
        return {**super().text_inputs(ids), "mm_token_type_ids": kinds}

    def position_ids(self, prompt: Prompt) -> Tensor:
        """[3, 1, L]: time, row and column; computed from this prompt alone, whatever the model saw before."""
        if not prompt.media:
            return super().position_ids(prompt)[None].expand(3, -1, -1)
        names = ("input_ids", "mm_token_type_ids", "image_grid_thw", "video_grid_thw")
        inputs = {name: prompt.inputs[name] for name in names if name in prompt.inputs}
        positions: Tensor = self.model.model.get_rope_index(**inputs)[0]
        return positions

    def see(self, sources: Sequence[Source]) -> Vision:
        opened = [self._open(source) for source in sources]
        if not opened:
            empty = TokenMap(torch.zeros(0).long(), torch.zeros(0).long(), torch.zeros(0, 4).double())
            return Vision({}, [], [], empty)
        pictures = [item.picture for item in opened if item.picture is not None]
        videos = [item.video for item in opened if item.video is not None]
        image, video = self.placeholders
        words = [video if item.video else image for item in opened]
        try:
            features = self.processor(
                text=["".join(words)],
                images=pictures or None,
                videos=[torch.from_numpy(item.frames).permute(0, 3, 1, 2) for item in videos] or None,
                videos_kwargs={
                    "video_metadata": [_metadata(item) for item in videos] or None,
                    "do_sample_frames": False,
                    "input_data_format": "channels_first",
                },
                return_text_replacement_offsets=True,
                return_tensors="pt",
            )
        except ValueError as error:  # such as an aspect ratio beyond 200
            shown = ", ".join(item.source.name for item in opened)
            raise UserError(f"{shown}: refused by the processor ({error})") from error
        names = ("pixel_values", "image_grid_thw", "pixel_values_videos", "video_grid_thw")
        expansions = [found["replacement"] for found in features["text_replacement_offsets"][0]]
        media, geometry = self._map(opened, features)
        return Vision({name: features[name] for name in names if name in features}, expansions, media, geometry)

    def _open(self, source: Source) -> Opened:
        if source.kind == "image":
            return Opened(source, picture=open_image(source.value, source.where))  # type: ignore[arg-type]
        return Opened(source, video=sample(source.value, self._frames, source.start, source.end))  # type: ignore[arg-type]

    def _frames(self, total: int, fps: float) -> list[int]:
        """The processor's own rule; at least two frames (one repeated), because it refuses to resize one alone."""
        video = self.processor.video_processor
        rate = None if video.num_frames else video.fps
        metadata = VideoMetadata(total_num_frames=total, fps=fps)
        indices = [int(i) for i in video.sample_frames(metadata, num_frames=video.num_frames, fps=rate)]
        return indices if len(indices) > 1 else indices * video.temporal_patch_size

    def _map(self, opened: Sequence[Opened], features: Any) -> tuple[list[Medium], TokenMap]:
        grids = {kind: iter(features.get(f"{kind}_grid_thw", ())) for kind in ("image", "video")}
        merge = self.processor.image_processor.merge_size
        pair = self.processor.video_processor.temporal_patch_size
        media, patches, boxes = [], [], []
        for item in opened:
            patch_count, rows, columns = next(grids[item.source.kind]).tolist()
            media.append(_medium(item, patch_count, pair))
            cells = cell_boxes(rows // merge, columns // merge)
            patches.append(torch.arange(patch_count).repeat_interleave(len(cells)))
            boxes.append(cells.repeat(patch_count, 1))
        index = torch.repeat_interleave(torch.arange(len(media)), torch.tensor([len(box) for box in boxes]))
        return media, TokenMap(index, torch.cat(patches), torch.cat(boxes))


def cell_boxes(rows: int, columns: int) -> Tensor:
    """Boxes of a grid's cells row by row, float64 [rows * columns, 4], x0 y0 x1 y1 in 0..1."""
    # exact quotients, so that a region given as pixel / size meets a cell's edge without rounding
    x = torch.arange(columns + 1, dtype=torch.float64) / columns
    y = torch.arange(rows + 1, dtype=torch.float64) / rows
    top, left = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.stack([x[left], y[top], x[left + 1], y[top + 1]], dim=-1).reshape(-1, 4)


def _medium(item: Opened, patches: int, pair: int) -> Medium:
    name = item.source.name
    if item.video is None:
        assert item.picture is not None
        return Medium("image", name, item.picture.width, item.picture.height)
    video = item.video
    padded = [*video.indices, *[video.indices[-1]] * (-len(video.indices) % pair)]
    frames = tuple(tuple(padded[start : start + pair]) for start in range(0, len(padded), pair))
    if len(frames) != patches:
        raise RuntimeError(f"{name}: {len(frames)} pairs of frames, {patches} in the processor's grid")
    height, width = video.frames.shape[1:3]
    return Medium("video", name, width, height, frames, video.fps, video.total)


def _metadata(video: Sampled) -> VideoMetadata:
    return VideoMetadata(
        total_num_frames=video.total,
        fps=video.fps,
        duration=video.total / video.fps,
        height=video.frames.shape[1],
        width=video.frames.shape[2],
        frames_indices=list(video.indices),
    )
