"""VidCom2: of each frame the vision tokens that stand out stay, and more of the frames that stand out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from coreheads.adapters.patches.drop_vision import DropVision, first_of_groups, shared_out, unit
from coreheads.adapters.patches.hooks import Cut
from coreheads.adapters.prompt.frames import Frames

SCALES = (1 / 8, 1 / 4, 1 / 2, 1, 2)
"""Of the Gaussian kernels that are added up."""
TEMPERATURE = 0.01


@dataclass(frozen=True)
class VidCom2(DropVision):
    """Keeps in every frame the tokens least like their clip and their frame, and more in frames unlike their clip.

    Definition, clip by clip: of f, what the layer would read, the half of the channels that varies least over the
    clip's tokens (rounded down, at least one; of equal ones the first) is scaled to length 1. The likeness of x to a
    centre c is g(x, c) = sum over a in 1/8, 1/4, 1/2, 1, 2 of exp(-|x - c|^2 / 2a); centres are means. A token's score
    is g to the clip's centre plus g to its frame's, and the lowest stay, of equal ones the first. A frame of the T
    of a clip gets the share keep (1 + p - 1/T) of its tokens, at most all, where p is the softmax over the
    clip's frames of minus the mean g to the clip's centre, over 0.01. Frames and clips are those of
    ``coreheads.adapters.prompt.frames``.

    Source: arXiv 2505.14454 (EMNLP 2025).

    Published defaults: ``keep`` of 0.25 (ours too), before the first layer. What differs: exactly round(keep v) tokens
    stay, or one a frame where that is more. The frames' shares are rounded down, to at least one token; what is
    missing goes one by one to the frame furthest below its share, what is too much is taken from the one furthest
    above. Published for videos: here pages and pictures of one size that follow each other are taken as a clip's
    frames, and a picture alone is a clip of one frame, whose most unusual tokens stay. ``layer`` above 0 is ours.
    Positions are kept. It answers by ``Adapter.generate`` only, which knows the frames.
    """

    name: ClassVar[str] = "vidcom2"
    cites: ClassVar[str] = "arXiv 2505.14454"
    by_frames = True

    def least(self, frames: Frames) -> int:
        """One a frame."""
        return int(frames.frame[-1]) + 1

    def choose(self, cut: Cut, features: Tensor, count: int) -> Tensor:
        """Scores and shares clip by clip, the sum over all."""
        clips, frames = cut.frames.clip.to(features.device), cut.frames.frame.to(features.device)
        scores, wanted = features.new_zeros(len(features), dtype=torch.double), []
        for clip in range(int(clips[-1]) + 1):
            own = clips == clip
            first = int(frames[own][0])
            to_clip, to_frame = likeness(features[own].double(), frames[own] - first)
            scores[own] = to_clip + to_frame
            sizes = (frames[own] - first).bincount()
            share = torch.softmax(-_mean(to_clip[:, None], frames[own] - first)[:, 0] / TEMPERATURE, 0)
            wanted += (count / len(features) * (1 + share - 1 / len(sizes)) * sizes).tolist()
        sizes = frames.bincount()
        quotas = shared_out(count, wanted, [1] * len(sizes), sizes.tolist())
        return first_of_groups(scores.argsort(stable=True), frames, quotas)


def likeness(features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
    """g of a clip's tokens [v, hidden size] to the clip's centre and to their frames', [v] each."""
    steady = features.var(0, correction=0).argsort(stable=True)[: max(1, features.shape[1] // 2)]
    tokens = unit(features[:, steady.sort().values])
    return _gaussians(tokens - tokens.mean(0)), _gaussians(tokens - _mean(tokens, frames)[frames])


def _gaussians(distance: Tensor) -> Tensor:
    squared = distance.square().sum(1)
    return torch.stack([torch.exp(-squared / (2 * scale)) for scale in SCALES]).sum(0)


def _mean(values: Tensor, groups: Tensor) -> Tensor:
    """The mean of each group's rows."""
    sizes = groups.bincount()
    return values.new_zeros(len(sizes), values.shape[1]).index_add_(0, groups, values) / sizes[:, None]
