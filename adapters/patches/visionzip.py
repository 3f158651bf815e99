"""VisionZip: the vision tokens stay that the vision tower attends to, and the others are merged into a few of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from coreheads.adapters.patches.cost import Shape
from coreheads.adapters.patches.drop_vision import DropVision, by_span, quotas, unit
from coreheads.adapters.patches.hooks import Cut
from coreheads.adapters.patches.tower import NOT_SEEN, check_tower
from coreheads.adapters.value_checks import share


@dataclass(frozen=True)
class VisionZip(DropVision):
    """Keeps the tokens that receive most attention in the vision tower, and a few that the others are merged into.

    Definition: in each unbroken run of vision tokens with k to keep, round(contextual k) are contextual and the others
    dominant: those that receive most attention in the tower's last block but one, of equal ones the first. Of the rest,
    m tokens in reading order, every floor(m / contextual)-th is a contextual token, from the first on; every
    other one goes to the contextual token whose keys in that block are nearest by cosine, of equal ones the first.
    What the layer reads of a contextual token is its own state plus the mean of those that went to it.

    Source: arXiv 2412.04467 (CVPR 2025). Scores: with a CLS token (InternVL) its attention; without (Qwen3-VL,
    LLaVA-OneVision) the mean that a patch receives within its picture, frame or tile; the mean over heads, and over the
    patches that are merged to a token. Where LLaVA-OneVision resizes its features, scores and keys are resized
    alike. Its newline tokens stand for no patch: they stay last of all, and are not merged.

    Published defaults: 54 + 10 of 576 tokens, 108 + 20 and 162 + 30, all with the same part of contextual ones (ours
    too), before the first layer. What differs: a share of the prompt's tokens in place of a number a picture, shared
    out over its runs, so that the sum is exact. Keys are those of all heads, with rotary positions where the tower has
    them. A tower with a single block is read there. Of a merged token DeepStack adds its own features alone. ``layer``
    above 0 is ours, and merges that layer's input states. Positions are kept. The scores are made of what the tower
    computed, in the prefill's time. A tower whose attention is switched off, as that of ``smol``, is refused.

    Attributes:
        contextual: Part of what is kept that others are merged into, 0 to 1; with 0 the others are dropped.
    """

    name: ClassVar[str] = "visionzip"
    cites: ClassVar[str] = "arXiv 2412.04467"
    reads_tower = True

    contextual: float = 10 / 64

    def __post_init__(self) -> None:
        super().__post_init__()
        share("VisionZip: contextual is", self.contextual, zero=True)

    def check(self, model: nn.Module) -> None:
        """UserError where the model has no such layer, or its vision tower says nothing."""
        super().check(model)
        check_tower(model)

    def choice_flops(self, shape: Shape, text: int, runs: Sequence[int]) -> int:
        """The scores of all patches, and in each run the others' keys with those of the contextual tokens."""
        count, tower = self.count(sum(runs)), shape.tower
        if count == sum(runs) or tower is None:
            return 0
        merged = [round(self.contextual * kept) for kept in quotas(runs, count)]
        others = [run - kept for run, kept in zip(runs, quotas(runs, count), strict=True)]
        nearest = sum(2 * left * targets * tower.width for left, targets in zip(others, merged, strict=True))
        return nearest + sum(tower.score_flops(run) for run in runs)

    def choose(self, cut: Cut, features: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Run by run."""
        assert cut.tower is not None
        vision = cut.vision.to(cut.ids.device)
        left = torch.isin(cut.is_vision.nonzero()[:, 0], cut.places[vision])
        known = cut.tower.tokens(cut.ids[cut.is_vision])  # where the tower lies
        scores, keys = (of_all[left.to(of_all.device)].to(features.device) for of_all in known)
        states = cut.hidden[cut.vision]
        chosen = torch.cat(
            [zipped(scores, keys, states, run, quota, self.contextual) for run, quota in by_span(cut, count)]
        )
        return chosen, states[chosen]


def zipped(scores: Tensor, keys: Tensor, states: Tensor, run: Tensor, quota: int, contextual: float) -> Tensor:
    """Numbers [quota] of the tokens of a run that stay; the others are added to ``states``.

    Args:
        scores: [v], attention received, ``NOT_SEEN`` where there is none.
        keys: [v, width].
        states: [v, hidden size]; changed in place.
        run: Long [n], the run's tokens, ascending.
        quota: At most n.
        contextual: Part of the quota.
    """
    seen = scores != NOT_SEEN
    merged = round(contextual * quota) if quota <= int(seen[run].sum()) else 0
    ranked = run[scores[run].argsort(descending=True, stable=True)]
    dominant, rest = ranked[: quota - merged], ranked[quota - merged :].sort().values
    rest = rest[seen[rest]]
    if not merged:
        return dominant
    is_target = torch.zeros(len(rest), dtype=torch.bool, device=rest.device)
    is_target[:: len(rest) // merged] = True
    is_target &= is_target.cumsum(0) <= merged
    targets, others = rest[is_target], rest[~is_target]
    nearest = (unit(keys[others]) @ unit(keys[targets]).T).argmax(1)
    exact = torch.promote_types(states.dtype, torch.float32)
    sums = states.new_zeros(merged, states.shape[1], dtype=exact).index_add_(0, nearest, states[others].to(exact))
    means = sums / nearest.bincount(minlength=merged).clamp_min(1)[:, None]
    states[targets] = (states[targets].to(exact) + means).to(states.dtype)
    return torch.cat([dominant, targets])
