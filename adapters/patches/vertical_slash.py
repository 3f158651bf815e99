"""Vertical-slash attention: of the keys before it a block of queries meets chosen columns and chosen diagonals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from coreheads.adapters.kernels.gqa import by_kv_head, take
from coreheads.adapters.kernels.key_blocks import KeyBlocks
from coreheads.adapters.kernels.work_count import causal_pairs
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.cost import Shape
from coreheads.adapters.patches.hooks import Step
from coreheads.adapters.patches.mass import probabilities
from coreheads.adapters.value_checks import share, whole_number

Mass = tuple[Tensor, Tensor]
"""Attention [heads, n] that each key gets, and [heads, n] that each distance between query and key gets."""


@dataclass(frozen=True)
class VerticalSlash(Patch):
    """While a prompt is read, each head attends to ``keep`` of the causal pairs: columns (verticals), and diagonals
    (slashes), that the prompt's last queries point to.

    Definition: the prompt lies in blocks of ``block`` tokens. The last ``observers`` queries are the only ones whose
    attention is computed in full before. Summed over them, a key's attention is the mass of its vertical; the attention
    at a distance (query position less key position) is the mass of a slash. A slash of blocks, all pairs whose query
    lies d blocks after the key's, has the mass of its distances, each counted by the share of its pairs that lie in it.
    Always met are: a block's own keys and those of the block before (d of 0 and 1), the ``sink`` first keys, and by the
    blocks of the last ``observers`` queries everything. Of the pairs that ``keep`` leaves, each head then spends up to
    ``1 - vertical`` on the slashes of largest mass and the rest on the verticals of largest mass, until the next does
    not fit; of equal ones the smaller distance, and the earlier key. A short prompt takes more than ``keep``, up to
    all. Tokens of the answer attend to everything, and all keys are kept.

    Source: MInference, arXiv 2407.02490 (NeurIPS 2024), its vertical-slash pattern.

    Published defaults: the last 64 queries observe; slashes are computed in blocks of 64, and verticals key by key, as
    here. The reference searches offline, per head and model, which of three patterns a head gets, and how many
    verticals and slashes, on text. Here all heads are vertical-slash under one budget, which ``vertical`` splits: no
    search on foreign data, and the pairs are what was asked for. Its slashes are distances, here those of blocks; the
    last queries' attention, which is computed anyway, is theirs here in full.

    Works with padded batches, rules of heads (a query sees what both allow), dropped tokens (places are among those
    that are left) and eviction; one prompt at a time in ``generate``. Refused: chunked prefill, a cache that evicts by
    itself.

    Attributes:
        keep: Share of the dense causal pairs, above 0 and up to 1; 1 changes nothing.
        vertical: The verticals' share of what is chosen, 0 to 1.
        observers: Last queries that choose.
        sink: First keys that are always met.
        block: Tokens of a block.
    """

    name: ClassVar[str] = "vertical_slash"
    budget: ClassVar[str | None] = "keep"
    cites: ClassVar[str] = "arXiv 2407.02490"
    single = True
    sparse = True

    keep: float = 0.25
    vertical: float = 0.5
    observers: int = 64
    sink: int = 4
    block: int = 64

    def __post_init__(self) -> None:
        where = type(self).__name__
        share(f"{where}: keep is", self.keep)
        share(f"{where}: vertical is", self.vertical, zero=True)
        whole_number(f"{where}: observers is", self.observers)
        whole_number(f"{where}: sink is", self.sink, least=0)
        whole_number(f"{where}: block is", self.block)

    def head_pairs(self, tokens: int) -> int:
        """Query-key pairs that a head is given of a prompt of ``tokens`` tokens, at most: they may be fewer by less
        than one vertical's. Where that is as much as full attention, it is full attention."""
        dense = causal_pairs(tokens, tokens)
        return min(dense, max(int(self.keep * dense), self._fixed(tokens) + self._sinks(tokens)))

    def pairs(self, shape: Shape, text: int, vision: int) -> int:
        """As ``head_pairs``, of every head."""
        return shape.layers * shape.heads * self.head_pairs(text + vision)

    def choice_flops(self, shape: Shape, text: int, runs: Sequence[int]) -> int:
        """The observers' products with all keys."""
        tokens = text + sum(runs)
        if self.head_pairs(tokens) == causal_pairs(tokens, tokens):
            return 0
        return 2 * shape.layers * shape.heads * shape.head_dim * min(tokens, self.observers) * tokens

    def blocks(self, step: Step) -> KeyBlocks | None:
        """The choice for each head."""
        tokens = step.key.shape[2]
        if self.head_pairs(tokens) == causal_pairs(tokens, tokens):
            return None
        free = self._first_full(tokens)
        verticals, distances = self.mass(step)
        left = int(self.keep * causal_pairs(tokens, tokens)) - self._fixed(tokens)
        slashes = self._slashes(distances, free, floor((1 - self.vertical) * (left - self._sinks(tokens))))
        far = torch.arange(slashes.shape[1], device=slashes.device)
        apart = (far[:, None] - far).clamp(min=0)
        seen = slashes[:, apart]
        seen[:, free:] = True
        spent = (slashes * self._cost(far, free)).sum(1) - self._cost(far[:2], free).sum()
        columns = self._verticals(verticals, slashes, free, left - spent)
        return KeyBlocks(self.block, seen, columns)

    def mass(self, step: Step) -> Mass:
        """Of the verticals and of the distances, summed over the observers, in at least float32."""
        heads, tokens = step.query.shape[1], step.key.shape[2]
        rows = torch.arange(max(0, tokens - self.observers), tokens, device=step.key.device)
        query, seen = step.query[0, :, rows], step.visible(rows)
        verticals, distances = [], []
        for kv, members in by_kv_head(range(heads), heads // step.key.shape[1]).items():
            weights = probabilities(take(query[None], members)[0], step.key[0, kv], seen[members], step.scaling)
            verticals.append(weights.sum(1))
            # flipped, a row's distances ascend from the right place on: every row is read from there
            count = len(rows)
            padded = pad(weights.flip(-1), (0, count))
            width = tokens + count
            shifted = padded.as_strided(weights.shape, (count * width, width - 1, 1), count - 1)
            distances.append(shifted.sum(1))
        return torch.cat(verticals), torch.cat(distances)

    def _first_full(self, tokens: int) -> int:
        """The first block whose queries see everything."""
        return max(0, tokens - self.observers) // self.block

    def _cost(self, far: Tensor, free: int) -> Tensor:
        """Pairs of slashes of blocks, outside of the blocks that see everything."""
        return (free - far).clamp(min=0) * self.block**2

    def _fixed(self, tokens: int) -> int:
        """Pairs that every choice has, without the sinks."""
        free, count = self._first_full(tokens), -(-tokens // self.block)
        full = sum(
            (min(tokens, (b + 1) * self.block) - b * self.block) * (b + 1) * self.block for b in range(free, count)
        )
        return full + self.block**2 * max(0, 2 * free - 1)

    def _sinks(self, tokens: int) -> int:
        """Pairs of the sinks besides, where no slash is chosen."""
        far = self._first_full(tokens) - 2
        return sum(self.block * max(0, far - key // self.block) for key in range(min(self.sink, tokens)))

    def _slashes(self, distances: Tensor, free: int, left: int) -> Tensor:
        """Bool [heads, blocks]: the slashes of blocks, by their distance; ``left``: pairs to spend."""
        count = -(-distances.shape[1] // self.block)
        at = torch.arange(distances.shape[1], device=distances.device)
        near, share = at // self.block, (at % self.block) / self.block
        mass = distances.new_zeros(len(distances), count + 1)
        mass.index_add_(1, near, distances * (1 - share).to(distances))
        mass.index_add_(1, near + 1, distances * share.to(distances))
        far = torch.arange(count, device=distances.device)
        ranked = mass[:, 2:count].argsort(dim=1, descending=True, stable=True) + 2
        fits = self._cost(far, free)[ranked].cumsum(1) <= left
        chosen = torch.zeros_like(mass[:, :count], dtype=torch.bool).scatter_(1, ranked, fits)
        chosen[:, :2] = True
        return chosen

    def _verticals(self, mass: Tensor, slashes: Tensor, free: int, left: Tensor) -> Tensor:
        """Bool [heads, n]: the keys that all later queries meet; ``left``: pairs to spend, for each head."""
        home = torch.arange(mass.shape[1], device=mass.device) // self.block
        # how many of the next k blocks after its own do not meet a key by a slash
        unmet = pad((~slashes[:, 1:free]).cumsum(1), (1, 0))
        cost = unmet[:, (free - 1 - home).clamp(min=0)] * self.block
        mass = mass.clone()
        mass[:, : self.sink] = float("inf")
        ranked = mass.argsort(dim=1, descending=True, stable=True)
        fits = cost.gather(1, ranked).cumsum(1) <= left[:, None]
        chosen = torch.zeros_like(fits).scatter_(1, ranked, fits)
        chosen[:, : self.sink] = True
        return chosen
