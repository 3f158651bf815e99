"""EVS: of a video those vision tokens stay that differ from the same place one frame earlier."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import torch
from torch import Tensor

from coreheads.adapters.patches.drop_vision import DropVision, first_of_groups, shared_out, unit
from coreheads.adapters.patches.hooks import Cut
from coreheads.adapters.prompt.frames import Frames

NEW = 255.0
"""Dissimilarity of a token without one before it; that of others is at most 2."""


@dataclass(frozen=True)
class EVS(DropVision):
    """Keeps what changes from frame to frame: the tokens least like the one at the same place one frame earlier.

    Definition: the dissimilarity of a token is 1 - cos(f_t, f_t-1), f being what the layer would read at the same place
    in a frame and in the frame before; tokens of a clip's first frame are beyond all others. Of a clip of v tokens the
    most dissimilar ones stay, of equal ones the first, as many as is its part of the prompt's round(keep v), but
    at least its first frame. Frames and clips are those of ``coreheads.adapters.prompt.frames``.

    Source: Efficient Video Sampling, arXiv 2510.14624, in the form of vLLM's video pruning.

    Published defaults: before the first layer; it has no share of its own (its users report ``keep`` of 0.25 and 0.2).
    What differs: positions are kept, where the published method recomputes M-RoPE; several clips share the prompt's
    tokens in proportion to their lengths, so that the sum is exact, where each video's number is rounded down. It
    is published for videos and leaves pictures alone. Here pages and pictures of one size that follow each other are
    taken as a clip's frames, and a picture alone is a first frame and stays whole: more stays than was asked for.
    A token with no counterpart before it, as LLaVA-OneVision's newline behind a video, counts as new and stays.
    ``layer`` above 0 is ours. It answers by ``Adapter.generate`` only, which knows the frames.
    """

    name: ClassVar[str] = "evs"
    cites: ClassVar[str] = "arXiv 2510.14624"
    by_frames = True

    def least(self, frames: Frames) -> int:
        """All that is new."""
        return len(frames.clip) - int(earlier(frames)[1].sum())

    def choose(self, cut: Cut, features: Tensor, count: int) -> Tensor:
        """Clip by clip."""
        before, known = (found.to(features.device) for found in earlier(cut.frames))
        directions = unit(features)
        # 1 - cos of what has length 1, and exactly 0 of what has not changed
        change = torch.where(known, (directions - directions[before]).square().sum(1) / 2, NEW)
        clip = cut.frames.clip
        sizes, new = clip.bincount(), clip[~known.cpu()].bincount(minlength=int(clip[-1]) + 1)
        wanted = [Fraction(size * count, len(clip)) for size in sizes.tolist()]
        quotas = shared_out(count, wanted, new.tolist(), sizes.tolist())
        return first_of_groups(change.argsort(descending=True, stable=True), clip.to(features.device), quotas)


def earlier(frames: Frames) -> tuple[Tensor, Tensor]:
    """For each vision token the number of the one at its place in the frame before, and whether its clip has it."""
    width = int(frames.place.max()) + 1
    keys = frames.frame * width + frames.place
    before = torch.searchsorted(keys, keys - width)  # keys ascend, and what is looked for is below the last of them
    return before, (keys[before] == keys - width) & (frames.clip[before] == frames.clip)
