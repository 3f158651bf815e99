"""What methods that drop vision tokens have in common: how many stay, before which layer, and which runs share how."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from coreheads.adapters.generation.structure import head_shape
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.hooks import Cut
from coreheads.adapters.value_checks import is_number, whole_number
from coreheads.errors import UserError


@dataclass(frozen=True)
class DropVision(Patch):
    """Keeps a share of a prompt's vision tokens before a layer and drops the others; a method says which by ``choose``.

    Of v vision tokens max(1, round(keep v)) stay, whatever the method, and each keeps its position. Text always stays.

    Attributes:
        keep: The share, above 0 and at most 1; with 1 the model is left as it is.
        layer: The layers from this one on read what is left; 0 is the first.
    """

    budget: ClassVar[str | None] = "keep"
    drops = True
    single = True

    keep: float = 0.25
    layer: int = 0

    def __post_init__(self) -> None:
        where = type(self).__name__
        if not is_number(self.keep) or not 0 < self.keep <= 1:
            raise UserError(f"{where}: keep is {self.keep!r}, expected above 0 and at most 1 (0.25 means 25 %)")
        whole_number(f"{where}: layer is", self.layer, least=0)

    def check(self, model: nn.Module) -> None:
        """UserError where the model has no such layer."""
        layers = head_shape(model)[0]
        if self.layer >= layers:
            raise UserError(f"{type(self).__name__}: layer is {self.layer}, expected 0 to {layers - 1}")

    def count(self, vision: int) -> int:
        """How many of so many vision tokens stay."""
        return min(vision, max(1, round(self.keep * vision)))

    def tokens_left(self, layers: int, text: int, vision: int) -> list[int]:
        """All tokens up to ``layer``, then the text and what is kept."""
        return [text + vision] * self.layer + [text + self.count(vision)] * (layers - self.layer)

    def stay(self, cut: Cut) -> Tensor | None:
        """All text, and the vision tokens that ``choose`` names."""
        if cut.layer != self.layer:
            return None
        vision = cut.vision.nonzero()[:, 0]
        count = self.count(len(vision))
        if count == len(vision):
            return None
        chosen = self.choose(cut, cut.hidden[vision].float(), count).to(vision.device)
        stay = ~cut.vision
        stay[vision[chosen]] = True
        if int(stay.sum()) != len(stay) - len(vision) + count:
            raise ValueError(f"{self.name}: chose {chosen.tolist()}, expected {count} different tokens")
        return stay

    def choose(self, cut: Cut, features: Tensor, count: int) -> Tensor:
        """Which vision tokens stay.

        Args:
            cut: The prompt before the layer.
            features: Float32 [v, hidden size], what the layer would read of the v vision tokens.
            count: How many stay, 1 to v - 1.

        Returns:
            ``count`` different numbers among the v, in any order.
        """
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """The patch, its fields, and that positions are kept."""
        return {"patch": self.name, **vars(self), "positions": "kept"}


def by_span(cut: Cut, count: int) -> Iterator[tuple[Tensor, int]]:
    """(numbers among the vision tokens, how many of them stay) for every run of vision tokens that has any to keep;
    how many is by ``quotas``."""
    spans = cut.spans[cut.vision]
    runs = [(spans == number).nonzero()[:, 0] for number in range(int(spans.max()) + 1)]
    for run, quota in zip(runs, quotas([len(run) for run in runs], count), strict=True):
        if quota:
            yield run, quota


def quotas(runs: Sequence[int], count: int) -> list[int]:
    """``count`` shared out in proportion to runs of these lengths: whole parts first, what is left to the largest
    fractions, of equal ones to the first."""
    shares = [divmod(run * count, sum(runs)) for run in runs]
    more = sorted(range(len(runs)), key=lambda index: -shares[index][1])[: count - sum(whole for whole, _ in shares)]
    return [whole + (index in more) for index, (whole, _) in enumerate(shares)]


def unit(states: Tensor) -> Tensor:
    """Rows of length 1; a row of zeros stays zero."""
    return torch.nn.functional.normalize(states, dim=-1)
