"""DART: of the vision tokens those stay that resemble a few pivot tokens least."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from coreheads.adapters.patches.cost import Shape
from coreheads.adapters.patches.drop_vision import DropVision, by_span, largest, quotas, unit
from coreheads.adapters.patches.hooks import Cut
from coreheads.adapters.value_checks import whole_number


@dataclass(frozen=True)
class Dart(DropVision):
    """Keeps pivots and, for each pivot in turn, the remaining vision tokens that are least similar to it.

    In each unbroken run of vision tokens with k tokens to keep: the ``vision_pivots`` tokens of the largest L1 norm are
    kept. Then each of these pivots, and each of the prompt's ``text_pivots`` text tokens of the largest L1 norm, takes
    an equal part of the rest of k (the first ones one more where it does not divide): of the tokens not yet kept those
    with the smallest cosine to the pivot. Of equal ones the first.

    Source: arXiv 2502.11494, in the form that TensorRT Edge-LLM documents for Qwen3-VL, with input embeddings in place
    of a layer's keys: before the first layer, 4 + 4 pivots, a quota for each run, a quarter of the tokens dropped
    (``keep`` 0.75). What differs: our default ``keep`` is that of all methods here, for equal budgets; quotas add up to
    exactly round(keep v), theirs are rounded up run by run; short prompts are not spared; pivots are chosen in every
    run. The paper itself cuts after layer 2 by the L1 norm of that layer's keys, with 10 + 5 pivots; ``layer`` 2 here
    goes by that layer's input states.

    Attributes:
        vision_pivots: In each run.
        text_pivots: Of the whole prompt.
    """

    name: ClassVar[str] = "dart"
    cites: ClassVar[str] = "arXiv 2502.11494"

    vision_pivots: int = 4
    text_pivots: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number("Dart: vision_pivots is", self.vision_pivots)
        whole_number("Dart: text_pivots is", self.text_pivots, least=0)

    def choice_flops(self, shape: Shape, text: int, runs: Sequence[int]) -> int:
        """Each pivot with all tokens of a run."""
        count, shared = self.count(sum(runs)), min(self.text_pivots, text)
        if count == sum(runs):
            return 0
        parts = zip(runs, quotas(runs, count), strict=True)
        return sum(2 * run * shape.hidden * (min(self.vision_pivots, kept) + shared) for run, kept in parts if kept)

    def choose(self, cut: Cut, features: Tensor, count: int) -> Tensor:
        """Run by run."""
        text = cut.hidden[~cut.vision].float()
        text = unit(text[largest(text.abs().sum(1), self.text_pivots)])
        return torch.cat([run[self._of_run(features[run], text, quota)] for run, quota in by_span(cut, count)])

    def _of_run(self, features: Tensor, text: Tensor, quota: int) -> Tensor:
        """Numbers [quota] of a run's ``features`` [tokens, hidden size]; ``text``: unit pivots [P, hidden size]."""
        chosen = [largest(features.abs().sum(1), min(self.vision_pivots, quota))]
        directions = unit(features)
        pivots = torch.cat([directions[chosen[0]], text])
        left = quota - len(chosen[0])
        kept = torch.zeros(len(features), dtype=torch.bool, device=features.device)
        kept[chosen[0]] = True
        for turn, pivot in enumerate(pivots):
            part = -(-left // (len(pivots) - turn))
            similar = (directions @ pivot).masked_fill(kept, torch.inf)
            chosen.append(largest(-similar, part))
            kept[chosen[-1]] = True
            left -= part
        return torch.cat(chosen)
