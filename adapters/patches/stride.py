"""Evenly spaced vision tokens: the control that asks nothing of the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from coreheads.adapters.patches.drop_vision import DropVision
from coreheads.adapters.patches.hooks import Cut


@dataclass(frozen=True)
class Stride(DropVision):
    """Keeps evenly spaced vision tokens: of v tokens in reading order, those at floor((i + 1/2) v / count).

    All media of a prompt are one sequence. Source: uniform sampling, a common control without one published form; it
    resembles a lower resolution in one direction, but saves nothing in the vision tower.
    """

    name: ClassVar[str] = "stride"

    def choose(self, cut: Cut, features: Tensor, count: int) -> Tensor:
        """In whole numbers, so that no two fall together."""
        return (2 * torch.arange(count) + 1) * len(features) // (2 * count)
