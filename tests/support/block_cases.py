"""What the tests of chosen key blocks share: a patch with a fixed choice, and what each head may see under it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from patches_oracle import Allowed

from coreheads.adapters.kernels.key_blocks import KeyBlocks
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.hooks import Step


def drawn(heads: int, tokens: int, size: int, seed: int, share: float = 0.3, columns: bool = True) -> KeyBlocks:
    """Blocks, and single keys, at random."""
    made, count = torch.Generator().manual_seed(seed), -(-tokens // size)
    seen = torch.rand(heads, count, count, generator=made) < share
    return KeyBlocks(size, seen, torch.rand(heads, tokens, generator=made) < share / 2 if columns else None)


def literal(chosen: KeyBlocks, head: int, tokens: int) -> np.ndarray:
    """Bool [n, n], written out."""
    seen = chosen.seen[head].numpy().repeat(chosen.size, 0).repeat(chosen.size, 1)[:tokens, :tokens]
    if chosen.columns is not None:
        seen = seen | chosen.columns[head].numpy()
    for start in range(0, tokens, chosen.size):
        seen[start : start + chosen.size, start : start + chosen.size] = True
    return np.tril(seen)


@dataclass(frozen=True)
class Drawn(Patch):
    """Another choice in every layer and for every length."""

    size: int = 4
    heads: int = 8
    share: float = 0.3
    name = "drawn"
    sparse = True
    single = True

    def blocks(self, step: Step) -> KeyBlocks | None:
        return self.choice(step.layer, step.key.shape[2])

    def choice(self, layer: int, tokens: int) -> KeyBlocks:
        return drawn(self.heads, tokens, self.size, 10 * tokens + layer, self.share)

    @property
    def rule(self) -> Allowed:
        def allowed(layer: int, head: int, i: np.ndarray, j: np.ndarray, vision: np.ndarray) -> Any:
            return literal(self.choice(layer, len(i)), head, len(i))

        return allowed
