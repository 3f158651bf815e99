"""XAttention: a block of queries meets the key blocks in which sums over antidiagonals find attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from coreheads.adapters.kernels.gqa import by_kv_head
from coreheads.adapters.kernels.key_blocks import KeyBlocks
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.cost import Shape
from coreheads.adapters.patches.hooks import Step
from coreheads.adapters.value_checks import share, whole_number
from coreheads.errors import UserError

ROWS = 1024
"""Rows of tiles that are scored at once: memory is these x tiles, and never tiles squared."""


@dataclass(frozen=True)
class XAttention(Patch):
    """While a prompt is read, each block of queries meets as few key blocks as hold ``threshold`` of an estimate of its
    attention.

    Definition: queries and keys lie in tiles of ``stride`` tokens. The score of a tile of pairs is the sum of the
    scaled products on its antidiagonal (the first query with the last key, up to the last query with the first), over
    ``stride``; what stands behind the prompt counts as 0. Of each row of tiles the softmax over the tiles that are not
    after it is taken, and summed over blocks of ``block`` tokens. A block of queries meets, head by head, the blocks of
    largest sums, of equal ones the earlier, until they hold ``threshold`` of all; its own block always. Tokens of the
    answer attend to everything, and all keys are kept.

    Source: XAttention, arXiv 2503.16428 (ICML 2025).

    Published defaults: blocks of 128, strides of 8 and 16, thresholds about 0.9. The reference can also search a
    threshold for each head; here all heads have the same. How many pairs are given to kernels follows from the prompt
    and is counted, not set.

    Goes with other patches, and is refused, as ``VerticalSlash``; the estimate does not know of their rules.

    Attributes:
        threshold: Share of the estimated attention, above 0 and up to 1.
        stride: Tokens of a tile, a divisor of ``block``.
        block: Tokens of a block.
    """

    name: ClassVar[str] = "xattention"
    cites: ClassVar[str] = "arXiv 2503.16428"
    single = True
    sparse = True

    threshold: float = 0.9
    stride: int = 8
    block: int = 128

    def __post_init__(self) -> None:
        share("XAttention: threshold is", self.threshold)
        whole_number("XAttention: block is", self.block)
        if self.block % whole_number("XAttention: stride is", self.stride):
            raise UserError(f"XAttention: stride is {self.stride!r}, expected a divisor of block, {self.block}")

    def pairs(self, shape: Shape, text: int, vision: int) -> None:
        """None: how many blocks it takes depends on the prompt's attention."""

    def blocks(self, step: Step) -> KeyBlocks | None:
        """The choice for each head; None for a prompt of one block."""
        if step.key.shape[2] <= self.block:
            return None
        masses = self.masses(step)
        ranked = masses.sort(dim=-1, descending=True, stable=True)
        enough = self.threshold * masses.sum(-1, keepdim=True)
        missing = ranked.values.cumsum(-1) - ranked.values < enough
        seen = torch.zeros_like(missing).scatter_(-1, ranked.indices, missing)
        return KeyBlocks(self.block, seen)

    def masses(self, step: Step) -> Tensor:
        """The sums [heads, query blocks, key blocks], in at least float32."""
        exact = torch.promote_types(step.query.dtype, torch.float32)
        heads, tokens, width = step.query.shape[1:]
        count = -(-tokens // self.block)
        more, inside = count * self.block - tokens, self.block // self.stride
        query, key = (pad(states[0], (0, 0, 0, more)).to(exact) for states in (step.query, step.key))
        rows = query.view(heads, -1, self.stride, width).flip(2).flatten(2)
        columns = key.view(len(key), -1, self.stride * width)
        place = torch.arange(rows.shape[1], device=rows.device)
        real = (place * self.stride < tokens).to(exact)[:, None]
        masses = []
        for kv, members in by_kv_head(range(heads), heads // len(key)).items():
            for head in members:
                parts = []
                for some in torch.split(place, ROWS // inside * inside or inside):
                    scores = rows[head, some] @ columns[kv].T * (step.scaling / self.stride)
                    later = place > some[:, None]
                    weights = torch.softmax(scores.masked_fill(later, float("-inf")), -1) * real[some]
                    parts.append(weights.view(-1, inside, count, inside).sum((1, 3)))
                masses.append(torch.cat(parts))
        return torch.stack(masses)
