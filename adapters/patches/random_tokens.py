"""Random vision tokens: the control of every method that chooses them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from coreheads.adapters.patches.drop_vision import DropVision
from coreheads.adapters.patches.hooks import Cut
from coreheads.adapters.value_checks import whole_number


@dataclass(frozen=True)
class RandomTokens(DropVision):
    """Keeps vision tokens drawn uniformly without replacement, over all media of a prompt together.

    Source: the control of UniPruneBench (arXiv 2511.02650), where it beats several published methods. It has no default
    share of its own; ours is that of the other methods. The draw depends on the seed and on the prompt's tokens, so
    that prompts of one shape lose different places, and a prompt the same ones in every run.

    Attributes:
        seed: Of the draws; give several rows other seeds to see what a draw does.
    """

    name: ClassVar[str] = "random"
    cites: ClassVar[str] = "arXiv 2511.02650"

    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number("RandomTokens: seed is", self.seed, least=0)

    def choose(self, cut: Cut, features: Tensor, count: int) -> Tensor:
        """Drawn by numpy, alike on every device."""
        drawn = np.random.default_rng([self.seed, *cut.ids.tolist()])
        return torch.from_numpy(drawn.choice(len(features), count, replace=False))
