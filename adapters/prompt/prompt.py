"""A prepared prompt: what the model takes, and which pixels each of its vision tokens sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from coreheads.adapters.prompt.messages import Kind, Source
from coreheads.adapters.prompt.token_map import TokenMap, View
from coreheads.errors import UserError
from coreheads.media.video import EPSILON
from coreheads.regions import Region

SLACK = 1e-6
"""Overlap below this share of the picture's side is rounding, not overlap."""

TEXT_INPUTS = ("input_ids", "attention_mask", "mm_token_type_ids")
"""Model inputs with a column for every token; all others hold the media."""


@dataclass(frozen=True)
class Medium:
    """One image, page or video of a prompt.

    Attributes:
        kind: Image or video.
        name: Its path, or its place in the messages.
        width: Pixels as shown upright, before the processor resizes.
        height: Likewise.
        frames: For each temporal patch of a video the source frames that it holds (a repeated frame stands twice);
            empty for an image.
        seconds: When a player shows them, counted from the source video's first frame.
        fps: Frames a second of the source video, the mean where it varies.
        total: Number of frames of the source video.
    """

    kind: Kind
    name: str
    width: int
    height: int
    frames: tuple[tuple[int, ...], ...] = ()
    seconds: tuple[tuple[float, ...], ...] = ()
    fps: float | None = None
    total: int | None = None

    def times(self, patch: int) -> tuple[float, ...]:
        """Seconds of the frames in a temporal patch: index / fps at a constant rate, else their time stamps."""
        return self.seconds[patch] if self.seconds else ()


@dataclass(frozen=True)
class EncodedMedium:
    """What a family's processor made of one medium: the text that stands for it, ``expansion``, and what tokens see."""

    source: Source
    medium: Medium
    expansion: str
    view: View


@dataclass
class Prompt:
    """A prompt of one sample.

    Attributes:
        inputs: What ``model.forward`` takes, a batch of one, on the model's device.
        query_tokens: LongTensor [|Q|], positions in input_ids, ascending, on the CPU.
        vision_tokens: LongTensor [|V|], likewise.
        media: In the order of the messages, which is how regions count them.
        geometry: What each vision token sees.
        text: As the chat template renders it, before placeholders are expanded.
        query: The part of the text that ``query_tokens`` stand for.
        preprocess_s: Seconds spent preparing it; None when media were taken over from another prompt.
        encoded: The media in the order of their tokens.
        share: Of each medium's vision tokens that it was asked to be shown with; 1 is all.
    """

    inputs: dict[str, Tensor]
    query_tokens: Tensor
    vision_tokens: Tensor
    media: list[Medium]
    geometry: TokenMap
    text: str
    query: str | None = None
    preprocess_s: float | None = None
    encoded: list[EncodedMedium] = field(default_factory=list, repr=False)
    share: float = 1.0

    @property
    def tokens(self) -> int:
        """Length of the prompt in tokens, those of vision included."""
        return int(self.inputs["input_ids"].shape[-1])

    @property
    def vision_inputs(self) -> dict[str, Tensor]:
        """The model inputs that hold the media."""
        return {name: value for name, value in self.inputs.items() if name not in TEXT_INPUTS}

    def locate(self, regions: Sequence[Region]) -> Tensor:
        """The vision tokens whose receptive pixels overlap one of the regions.

        Space: a token counts as soon as any of its weight comes from a pixel that shares an area with the region's
        box (less than a millionth of the picture's side is rounding). A token's pixels are all that its input
        depends on: its patch, what the resizing filter blends into it from beyond the patch's edge, every tile or
        base view that shows the place, and each cell of an interpolated feature map that goes into it. Time: a
        temporal patch is touched when one of its sampled frames lies in [start, end), by the time at which a player
        shows it (``Medium.seconds``).

        Args:
            regions: Boxes and spans of the prompt's media.

        Returns:
            LongTensor [|G|], positions in input_ids, ascending; empty when nothing is touched (``explain`` says why).

        Raises:
            UserError: If a region is malformed, or of a medium that the prompt does not have.
        """
        mask = torch.zeros(len(self.vision_tokens), dtype=torch.bool)
        for region in regions:
            mask |= self._touched(region)
        return self.vision_tokens[mask]

    def explain(self, regions: Sequence[Region]) -> str:
        """Why ``locate`` is empty.

        Args:
            regions: Those that ``locate`` was given.

        Returns:
            One line; "" when it is not empty.

        Raises:
            UserError: As ``locate``.
        """
        if not regions:
            return "no region was given"
        if len(self.locate(regions)):
            return ""
        return "; ".join(dict.fromkeys(self._reason(region) for region in regions))

    def _check(self, region: Region) -> Medium:
        if not self.media:
            raise UserError(f"{region}: media is {region.media}, but the prompt has no image or video")
        region.check(len(self.media))
        medium = self.media[region.media]
        if medium.kind == "image" and (region.start is not None or region.end is not None):
            raise UserError(
                f"{region}: start is {region.start} and end is {region.end}, but media {region.media} is an image"
            )
        return medium

    def _touched(self, region: Region) -> Tensor:
        medium = self._check(region)
        x0, y0, x1, y1 = region.box or (0.0, 0.0, 1.0, 1.0)
        box = self.geometry.box
        width = box[:, 2].clamp(max=x1) - box[:, 0].clamp(min=x0)
        height = box[:, 3].clamp(max=y1) - box[:, 1].clamp(min=y0)
        mask = torch.zeros(len(self.vision_tokens), dtype=torch.bool)
        mask[self.geometry.token[(width > SLACK) & (height > SLACK)]] = True
        mask &= self.geometry.media == region.media
        if medium.kind == "video":
            patches = [any(_within(time, region) for time in medium.times(p)) for p in range(len(medium.frames))]
            mask[mask.clone()] = torch.tensor(patches)[self.geometry.patch[mask]]
        return mask

    def _reason(self, region: Region) -> str:
        medium = self._check(region)
        name = f"media {region.media}"
        if region.box is not None:
            x0, y0, x1, y1 = region.box
            if min(x1 - x0, y1 - y0) <= SLACK:
                return f"{name}: the box {region.box} has no area"
            if min(x1, y1) <= SLACK or max(x0, y0) >= 1 - SLACK:
                return f"{name}: the box {region.box} lies outside the picture"
        if medium.kind == "video":
            times = [time for patch in range(len(medium.frames)) for time in medium.times(patch)]
            if not any(_within(time, region) for time in times):
                near = ", ".join(f"{time:.2f}" for time in sorted(set(times), key=lambda t: _distance(t, region))[:2])
                return f"{name}: no sampled frame from {region.start} to {region.end} s (nearest at {near} s)"
        return f"{name}: no vision token sees the box {region.box}"


def _within(time: float, region: Region) -> bool:
    after = region.start is None or time >= region.start - EPSILON
    return after and (region.end is None or time < region.end - EPSILON)


def _distance(time: float, region: Region) -> float:
    return min((abs(time - edge) for edge in (region.start, region.end) if edge is not None), default=0.0)
