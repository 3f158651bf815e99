"""PyramidDrop: in three stages fewer and fewer vision tokens, those that the instruction's last token attends to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from coreheads.adapters.kernels.visibility import Group
from coreheads.adapters.patches.cost import Shape
from coreheads.adapters.patches.drop_vision import Dropping, Positions, largest
from coreheads.adapters.patches.hooks import Cut, Step
from coreheads.adapters.patches.snapkv import observed

DEPTHS = (0.25, 0.5, 0.75)
"""Where the cuts are, of all layers."""


@dataclass(frozen=True)
class PyramidDrop(Dropping):
    """After a quarter, a half and three quarters of the layers ``keep``, ``keep``^2 and ``keep``^3 of the prompt's
    vision tokens are left.

    Before layer k a token's score is the attention that the prompt's last text token would pay it there: the hidden
    states under layer k's own norm and projections, at the tokens' positions of then, softmax over all tokens that are
    left up to that one, mean over the heads. Of equal ones the first stays.

    Source: arXiv 2410.17247 (CVPR 2025). Published defaults: cuts before layers 8, 16 and 24 of 32, lambda (``keep``)
    0.5, positions renumbered; all are the defaults here. What differs: the cuts are at those shares of any depth,
    rounded to whole layers; shares of the tokens are rounded, and one stays at least; under M-RoPE, for which
    nothing is published, ``renumbered`` is what ``patches.dropping`` says. With a chat template the last text token is
    the template's, as in the published code. As there, a cut layer's keys are projected twice.

    Attributes:
        keep: lambda, the share of the tokens before a cut that is left after it.
    """

    name: ClassVar[str] = "pyramiddrop"
    cites: ClassVar[str] = "arXiv 2410.17247"

    keep: float = 0.5
    positions: Positions = field(default="renumbered", kw_only=True)

    def cuts(self, layers: int) -> Mapping[int, float]:
        """In a model of few layers two cuts may be one: the later counts."""
        places = [min(layers - 1, round(depth * layers)) for depth in DEPTHS]
        return {layer: self.keep ** (stage + 1) for stage, layer in enumerate(places)}

    def choice_flops(self, shape: Shape, text: int, runs: Sequence[int]) -> int:
        """At each cut the keys of all tokens up to the last, its query, and their products."""
        left = [text + sum(runs), *self.tokens_left(shape.layers, text, sum(runs))]
        read = [left[layer] for layer in self.cuts(shape.layers) if left[layer + 1] < left[layer]]
        keys = sum(tokens * shape.hidden * shape.kv_heads for tokens in read)
        queries = sum((shape.hidden + tokens) * shape.heads for tokens in read)
        return 2 * shape.head_dim * (keys + queries)

    def choose(self, cut: Cut, features: Tensor, count: int) -> Tensor:
        """The most attended ones."""
        return largest(instruction_row(cut)[cut.vision], count)


def instruction_row(cut: Cut) -> Tensor:
    """Attention [L], mean over the heads, that the last text token would pay in the layer before which the cut is."""
    assert cut.rotary is not None
    block: Any = cut.block
    attention = block.self_attn
    last = int((~cut.vision).nonzero()[-1])
    states = block.input_layernorm(cut.hidden[None, : last + 1])
    cos, sin = (part[:, : last + 1] for part in cut.rotary)
    query = _heads(attention, "q", states[:, -1:], cos[:, -1:], sin[:, -1:])
    key = _heads(attention, "k", states, cos, sin)
    every = (Group(tuple(range(query.shape[1])), ()),)
    row = observed(Step(cut.layer, 0, query, key, key, attention.scaling, every, None)).mean(0)
    return pad(row, (0, len(cut.places) - len(row)))


def _heads(attention: Any, which: str, states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Queries or keys [1, heads, n, head_dim] of states [1, n, hidden size], with rotary positions."""
    parts: Tensor = getattr(attention, f"{which}_proj")(states).unflatten(-1, (-1, attention.head_dim))
    norm = getattr(attention, f"{which}_norm", None)
    parts = (parts if norm is None else norm(parts)).transpose(1, 2)
    first, second = parts.chunk(2, -1)
    return parts * cos[:, None] + torch.cat([-second, first], -1) * sin[:, None]
