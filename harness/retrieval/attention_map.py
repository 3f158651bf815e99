"""Where heads look on one sample: the attention from the query tokens to every vision token, for a few heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from coreheads.errors import UserError
from coreheads.heads.profile import HeadProfile
from coreheads.heads.types import Head
from coreheads.regions import Region

TOP = 3


@dataclass(frozen=True)
class AttentionMap:
    """What a few heads look at in one prompt.

    heads: highest of the profile first, a low-ranked one last. ranks: theirs in the profile, from 1, of ``count``.
    attention: float32 [heads, V], from the query tokens (mean over them) to each vision token. target: bool [V], the
    tokens that see a region.
    """

    prompt: Any
    regions: tuple[Region, ...]
    heads: tuple[Head, ...]
    ranks: tuple[int, ...]
    count: int
    attention: Tensor
    target: Tensor

    @property
    def ram(self) -> list[float]:
        """RAM of each head on this sample."""
        return [float(row[self.target].sum()) for row in self.attention]

    @property
    def on_vision(self) -> list[float]:
        """Each head's attention on all vision tokens together."""
        return [float(row.sum()) for row in self.attention]


def chosen_heads(profile: HeadProfile, top: int = TOP) -> list[Head]:
    """The ``top`` highest heads, and one far down the ranking, below nine tenths of the others."""
    ranking = profile.ranking()
    return [*ranking[:top], *([ranking[len(ranking) * 9 // 10]] if len(ranking) > top else [])]


def look(adapter: Any, prompt: Any, regions: Sequence[Region], profile: HeadProfile, top: int = TOP) -> AttentionMap:
    """Measure where the profile's ``top`` heads and a low-ranked one look, in one forward call.

    UserError where the prompt has no query tokens or the regions touch no vision token, or the profile is another
    model's.
    """
    from coreheads.adapters.patches.query_rows import collect_rows

    profile.check_model(adapter.describe())
    if not len(prompt.query_tokens):
        raise UserError("heads: the prompt has no query tokens, expected words that name what is looked for")
    target = prompt.locate(regions)
    if not len(target):
        raise UserError(f"heads: the regions touch no vision token of the prompt ({prompt.explain(regions)})")
    heads = chosen_heads(profile, top)
    ranking = profile.ranking()
    with (
        torch.inference_mode(),
        collect_rows(adapter.model, heads, prompt.query_tokens, prompt.vision_tokens) as collected,
    ):
        adapter.model(**prompt.inputs, use_cache=False, logits_to_keep=1)
    return AttentionMap(
        prompt=prompt,
        regions=tuple(regions),
        heads=tuple(heads),
        ranks=tuple(ranking.index(head) + 1 for head in heads),
        count=profile.count,
        attention=collected.result(),
        target=torch.isin(prompt.vision_tokens, target),
    )
