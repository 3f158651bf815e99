"""CDPruner: vision tokens that are relevant to the question and unlike each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from coreheads.adapters.patches.cost import Shape
from coreheads.adapters.patches.drop_vision import DropVision, by_span, quotas, unit
from coreheads.adapters.patches.hooks import Cut
from coreheads.adapters.value_checks import is_number
from coreheads.errors import UserError

EPSILON = 1e-6
"""What a token adds below this share of its weight is rounding: the kernel's rank is used up."""


@dataclass(frozen=True)
class CDPruner(DropVision):
    """Keeps the greedy MAP set of a determinantal point process over the vision tokens.

    In each unbroken run of vision tokens the kernel of tokens a and b is w_a cos(f_a, f_b) w_b, f being what the layer
    would read. The weight is w = exp(theta / (2 (1 - theta)) r), r the mean cosine to the question's tokens, scaled
    to 0..1 within the run. Again and again the token that adds most to the log determinant is taken, the first of
    equal ones, until the run has its part. The question is all text behind the prompt's last vision token.

    Source: arXiv 2506.10967; for models without a text tower, such as Qwen3-VL, in OpenVINO GenAI's form with relevance
    by embeddings and theta 0.5. What differs: the paper's relevance is a CLIP text tower's, which these
    models have not; the kernel is of one run, not of the prompt or of halves of it, because its rank is at most the
    hidden size: beyond it a choice is rounding noise. Where a run's rank is used up nevertheless, the most relevant
    tokens follow. ``layer`` above 0 is ours, and reads that layer's input states. A question before the media is not
    read: then what the template writes behind them is.

    Attributes:
        theta: How much relevance counts against diversity, 0 to below 1; 0 is diversity alone.
    """

    name: ClassVar[str] = "cdpruner"
    cites: ClassVar[str] = "arXiv 2506.10967"

    theta: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_number(self.theta) or not 0 <= self.theta < 1:
            raise UserError(f"CDPruner: theta is {self.theta!r}, expected at least 0 and below 1")

    def choice_flops(self, shape: Shape, text: int, runs: Sequence[int]) -> int:
        """Of each run the relevance and a row of the kernel a token kept, orthogonalised against those before."""
        count = self.count(sum(runs))
        if count == sum(runs):
            return 0
        parts = zip(runs, quotas(runs, count), strict=True)
        return sum(2 * run * shape.hidden * (kept + 1) + run * kept * (kept - 1) for run, kept in parts if kept)

    def choose(self, cut: Cut, features: Tensor, count: int) -> Tensor:
        """Run by run."""
        end = int(cut.vision.nonzero()[-1]) + 1
        # the mean of cosines is the product with the mean direction
        text = unit(cut.hidden[end:].double())
        question = text.sum(0) / max(1, len(text))
        chosen = []
        for run, quota in by_span(cut, count):
            directions = unit(features[run].double())  # what is left of a gain is a small difference
            relevance = directions @ question
            spread = relevance.max() - relevance.min()
            relevance = (relevance - relevance.min()) / spread.clamp_min(EPSILON)
            weights = torch.exp(self.theta / (2 * (1 - self.theta)) * relevance)
            chosen.append(run[diverse(directions, weights, quota)])
        return torch.cat(chosen)


def diverse(directions: Tensor, weights: Tensor, count: int) -> Tensor:
    """Numbers [count] of the greedy MAP set of the kernel w_a (d_a . d_b) w_b, in the order in which they are taken.

    One row of the kernel at a time, so memory is count x n: each row taken is orthogonalised against those before, and
    what a token would still add is its weight squared less the squares of its entries so far.

    Args:
        directions: [n, hidden size], rows of length 1.
        weights: [n], above 0.
        count: At most n.
    """
    rows = directions.new_zeros(count, len(directions))
    gain, least = weights.square(), EPSILON * weights.square()
    taken = torch.zeros(len(directions), dtype=torch.bool, device=directions.device)
    chosen = torch.zeros(count, dtype=torch.long, device=directions.device)
    for number in range(count):
        pick = torch.where(gain > least, gain, least).masked_fill(taken, -torch.inf).argmax()[None]
        row = weights * (directions @ directions[pick][0]) * weights[pick]
        row = (row - rows[:number, pick].T @ rows[:number]) * gain[pick].clamp_min(0).rsqrt()
        # a token that adds nothing takes nothing from the others
        rows[number] = torch.where(gain[pick] > least[pick], row, 0)[0]
        gain = gain - rows[number].square()
        taken[pick], chosen[number] = True, pick[0]
    return chosen
