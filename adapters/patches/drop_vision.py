"""What methods that drop vision tokens have in common: how many stay, before which layers, and which runs share how."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from heapq import heapify, heappop, heappush
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from coreheads.adapters.generation.structure import head_shape
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.hooks import Cut
from coreheads.adapters.prompt.frames import Frames, frames
from coreheads.adapters.prompt.prompt import Prompt
from coreheads.adapters.value_checks import is_number, one_of, whole_number
from coreheads.errors import UserError

Positions = Literal["kept", "renumbered"]


@dataclass(frozen=True)
class Dropping(Patch):
    """Keeps some of a prompt's vision tokens before some layers; a method says where by ``cuts``, which by ``choose``.

    Text always stays. A method that goes by frames may have to keep more, as its docstring says.

    Attributes:
        keep: The share that stays, above 0 and at most 1; with 1 the model is left as it is.
        positions: ``kept``: each token keeps its own; ``renumbered``: without gaps after each cut, and an answer's
            tokens follow on (see ``patches.dropping``). It is said to break grounding (arXiv 2506.21873).
    """

    budget: ClassVar[str | None] = "keep"
    drops = True
    single = True
    by_frames: ClassVar[bool] = False
    """Whether it goes by frames."""

    keep: float = 0.25
    positions: Positions = field(default="kept", kw_only=True)

    def __post_init__(self) -> None:
        where = type(self).__name__
        if not is_number(self.keep) or not 0 < self.keep <= 1:
            raise UserError(f"{where}: keep is {self.keep!r}, expected above 0 and at most 1 (0.25 means 25 %)")
        one_of(f"{where}: positions is", self.positions, get_args(Positions))

    @property
    def renumbers(self) -> bool:  # type: ignore[override]
        """Whether ``positions`` says so."""
        return self.positions == "renumbered"

    def cuts(self, layers: int) -> Mapping[int, float]:
        """The share of the prompt's vision tokens that is left from a layer on, by layer, for so many layers."""
        raise NotImplementedError

    def tokens_left(self, layers: int, text: int, vision: int) -> list[int]:
        """How many tokens enter each layer of a prompt of so many text and vision tokens."""
        cuts, left, counts = self.cuts(layers), vision, []
        for layer in range(layers):
            left = share_of(cuts[layer], vision) if layer in cuts else left
            counts.append(text + left)
        return counts

    def stay(self, cut: Cut) -> Tensor | tuple[Tensor, Tensor] | None:
        """All text, and the vision tokens that ``choose`` names; and the states where ``choose`` gives any."""
        cuts = self.cuts(cut.layers)
        if cut.layer not in cuts:
            return None
        vision = cut.vision.nonzero()[:, 0]
        count = share_of(cuts[cut.layer], int(cut.is_vision.sum()))
        if count < len(vision):
            count = max(count, self.least(cut.frames) if self.by_frames else 1)
        if count == len(vision):
            return None
        found = self.choose(cut, cut.hidden[vision].float(), count)
        chosen, states = found if isinstance(found, tuple) else (found, None)
        chosen = chosen.to(vision.device)
        stay = ~cut.vision
        stay[vision[chosen]] = True
        if int(stay.sum()) != len(stay) - len(vision) + count:
            raise ValueError(f"{self.name}: chose {chosen.tolist()}, expected {count} different tokens")
        if states is None:
            return stay
        hidden = cut.hidden.clone()
        hidden[vision[chosen]] = states.to(hidden)
        return stay, hidden[stay]

    def least(self, frames: Frames) -> int:
        """How many vision tokens of these frames stay however small ``keep`` is; asked where ``by_frames``."""
        return 1

    def least_of(self, prompt: Prompt) -> int:
        """As ``least``, of a prompt."""
        return self.least(frames(prompt)) if self.by_frames and len(prompt.vision_tokens) else 1

    def choose(self, cut: Cut, features: Tensor, count: int) -> Tensor | tuple[Tensor, Tensor]:
        """Which vision tokens stay.

        Args:
            cut: The prompt before the layer.
            features: Float32 [v, hidden size], what the layer would read of the v vision tokens.
            count: How many stay, 1 to v - 1.

        Returns:
            ``count`` different numbers among the v, in any order; with them, where others are merged into these, what
            is read in place of their features, [count, hidden size].
        """
        raise NotImplementedError


@dataclass(frozen=True)
class DropVision(Dropping):
    """A method that cuts once: of v vision tokens max(1, round(keep v)) stay.

    Attributes:
        layer: The layers from this one on read what is left; 0 is the first.
    """

    layer: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number(f"{type(self).__name__}: layer is", self.layer, least=0)

    def check(self, model: nn.Module) -> None:
        """UserError where the model has no such layer."""
        layers = head_shape(model)[0]
        if self.layer >= layers:
            raise UserError(f"{type(self).__name__}: layer is {self.layer}, expected 0 to {layers - 1}")

    def cuts(self, layers: int) -> Mapping[int, float]:
        """Before ``layer``."""
        return {self.layer: self.keep}

    def count(self, vision: int) -> int:
        """How many of so many vision tokens stay."""
        return share_of(self.keep, vision)


def share_of(share: float, vision: int) -> int:
    """How many of so many vision tokens that is: at least one where there are any."""
    return min(vision, max(1, round(share * vision)))


def largest(values: Tensor, count: int) -> Tensor:
    """Numbers of the largest values, of equal ones the first."""
    return values.argsort(descending=True, stable=True)[:count]


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
    return shared_out(count, [Fraction(run * count, sum(runs)) for run in runs], [0] * len(runs), runs)


def shared_out(count: int, wanted: Sequence[float | Fraction], least: Sequence[int], most: Sequence[int]) -> list[int]:
    """Whole parts that add up to ``count``, near to those wanted and each within its bounds.

    Each part is what is wanted rounded down, or the bound that this is beyond. Then one is added to the part that is
    furthest below what it wants, or where there are too many taken from the one furthest above; of equal ones the
    first; until the sum is right.
    """
    parts = [min(max(math.floor(want), low), high) for want, low, high in zip(wanted, least, most, strict=True)]
    missing = count - sum(parts)
    step, bounds = (1, most) if missing > 0 else (-1, least)
    queue = [(step * (part - want), index) for index, (part, want) in enumerate(zip(parts, wanted, strict=True))]
    queue = [(excess, index) for excess, index in queue if parts[index] != bounds[index]]
    heapify(queue)
    for _ in range(abs(missing)):
        _, index = heappop(queue)
        parts[index] += step
        if parts[index] != bounds[index]:
            heappush(queue, (step * (parts[index] - wanted[index]), index))
    return parts


def first_of_groups(order: Tensor, groups: Tensor, quotas: Sequence[int]) -> Tensor:
    """Of each group as many of its members as its quota says, those that come first in an order.

    Args:
        order: Long [v], the members' numbers, the best first.
        groups: Long [v], the group of each member, counted from 0 without a gap.
        quotas: By group.
    """
    order = order[groups[order].argsort(stable=True)]
    sizes = groups.bincount()
    rank = torch.arange(len(order), device=order.device) - (sizes.cumsum(0) - sizes)[groups[order]]
    return order[rank < torch.tensor(quotas, device=order.device)[groups[order]]]


def unit(states: Tensor) -> Tensor:
    """Rows of length 1; a row of zeros stays zero."""
    return torch.nn.functional.normalize(states, dim=-1)
