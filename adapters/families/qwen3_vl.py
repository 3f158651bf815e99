"""Qwen3-VL, dense and mixture of experts.

Pictures are resized to whole merged patches (``merge_size`` x ``patch_size`` pixels square); a merged token (row,
column) sees its cell of that grid, row by row, and what resizing blends into the cell from around it. Videos pair the
sampled frames {2t, 2t+1}, the last one repeated when their number is odd, with the pair's mean time as text before
it. The grid is the one the processor reports, never computed again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize as image_size
from transformers.models.qwen3_vl.video_processing_qwen3_vl import smart_resize as video_size
from transformers.video_utils import VideoMetadata

from coreheads.adapters.families.base import Adapter
from coreheads.adapters.families.settings import whole_number
from coreheads.adapters.prompt.processing import EncodedMedia, LoadedMedium, processed
from coreheads.adapters.prompt.prompt import EncodedMedium, Prompt
from coreheads.adapters.prompt.receptive import side_by_side
from coreheads.adapters.prompt.token_map import grid
from coreheads.adapters.value_checks import is_number
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
        image, video = self.processor.image_processor, self.processor.video_processor
        # its default is announced to change: say it, so that the number of tokens does not depend on the version
        if getattr(video, "cap_pixels_per_frame", None) is None:
            video.cap_pixels_per_frame = False
        edges = {"min_pixels": "shortest_edge", "max_pixels": "longest_edge"}
        for name, value in settings.items():
            if name == "cap_pixels_per_frame":
                if not isinstance(value, bool):
                    raise UserError(f"setting {name}: {value!r}, expected true or false")
                video.cap_pixels_per_frame = value
            elif name == "fps":
                if not is_number(value) or value <= 0:
                    raise UserError(f"setting {name}: {value!r}, expected a number above 0")
                video.fps = value
            elif name.endswith("_pixels"):
                part = video if name.startswith("video_") else image
                sizes = {edge: part.size[edge] for edge in edges.values()}
                part.size = {**sizes, edges[name.removeprefix("video_")]: whole_number(name, value)}
            else:
                setattr(video, name, whole_number(name, value))
        for name, least, most in (
            ("pixels", image.size["shortest_edge"], image.size["longest_edge"]),
            ("video pixels", video.size["shortest_edge"], video.size["longest_edge"]),
            ("frames", video.min_frames, video.max_frames),
        ):
            if least > most:
                expected = f"the minimum is {least} and the maximum {most}, expected minimum <= maximum"
                raise UserError(f"settings of {name}: {expected}")

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

    def frames(self, total: int, fps: float) -> list[int]:
        """The processor's own rule; at least two frames (one repeated), because it refuses to resize one alone."""
        video = self.processor.video_processor
        rate = None if video.num_frames else video.fps
        metadata = VideoMetadata(total_num_frames=total, fps=fps)
        indices = [int(i) for i in video.sample_frames(metadata, num_frames=video.num_frames, fps=rate)]
        return indices if len(indices) > 1 else indices * video.temporal_patch_size

    shrinks = True

    def shrunk(self, loaded: Sequence[LoadedMedium], share: float) -> EncodedMedia:
        """Each medium by itself, under the largest bound of pixels that gives few enough tokens."""
        parts = [self._shrunk(item, share) for item in loaded]
        joined: dict[str, list[Tensor]] = {}
        for name, value in (pair for part in parts for pair in part.inputs.items()):
            joined.setdefault(name, []).append(value)
        inputs = {name: torch.cat(values) for name, values in joined.items()}
        return EncodedMedia(inputs, [medium for part in parts for medium in part.media])

    def _shrunk(self, item: LoadedMedium, share: float) -> EncodedMedia:
        part = self.processor.video_processor if item.video else self.processor.image_processor
        cell, medium = part.merge_size * part.patch_size, item.medium(part.temporal_patch_size)
        size, frames = dict(part.size), len(item.video.indices) if item.video else 1

        def tokens(least: int, most: int) -> int:
            """Of a temporal patch."""
            bounds = {"factor": cell, "min_pixels": least, "max_pixels": most}
            if not item.video:
                height, width = image_size(medium.height, medium.width, **bounds)
            else:
                height, width = video_size(frames, medium.height, medium.width, part.temporal_patch_size, **bounds)
            return int(height // cell * (width // cell))

        capped = bool(getattr(part, "cap_pixels_per_frame", False))
        full = tokens(size["shortest_edge"], _capped(part, size, frames) if capped else size["longest_edge"])
        allowed = max(1, int(share * full))
        # tokens never fall as the bound rises
        bounds = range(1, 2 * (frames + 1) * full * cell * cell)
        most = bisect_right(bounds, allowed, key=lambda most: tokens(1, most))
        changes: dict[str, Any] = {"size": {"shortest_edge": 1, "longest_edge": most}}
        changes |= {"cap_pixels_per_frame": False} if capped else {}
        before = {name: getattr(part, name) for name in changes}
        try:
            for name, value in changes.items():
                setattr(part, name, value)
            return self.process([item])
        finally:
            for name, value in before.items():
                setattr(part, name, value)

    def process(self, loaded: Sequence[LoadedMedium]) -> EncodedMedia:
        inputs, words = processed(self.processor, loaded)
        grids = {kind: iter(inputs.get(f"{kind}_grid_thw", ())) for kind in ("image", "video")}
        merge = self.processor.image_processor.merge_size
        pair = self.processor.video_processor.temporal_patch_size
        encoded = []
        for item, word in zip(loaded, words, strict=True):
            part = self.processor.video_processor if item.video else self.processor.image_processor
            patches, rows, columns = next(grids[item.source.kind]).tolist()
            medium = item.medium(pair)
            if item.video and len(medium.frames) != patches:
                raise RuntimeError(
                    f"{medium.name}: {len(medium.frames)} pairs of frames, {patches} in the processor's grid"
                )
            view = grid(
                side_by_side(medium.height, rows * part.patch_size, merge * part.patch_size, part.resample),
                side_by_side(medium.width, columns * part.patch_size, merge * part.patch_size, part.resample),
                medium.height,
                medium.width,
            )
            encoded.append(EncodedMedium(item.source, medium, word, view.repeated(patches)))
        return EncodedMedia(inputs, encoded)


def _capped(part: Any, size: dict[str, int], frames: int) -> int:
    """The most pixels of a video whose frames are capped one by one, as the processor counts them."""
    of_frame: int = part.max_video_tokens * (part.merge_size * part.patch_size) ** 2
    return max(min(of_frame, size["longest_edge"] // frames), int(1.05 * size["shortest_edge"])) * frames
