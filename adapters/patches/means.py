"""Mean head outputs, the vectors that ``Ablate(mode="mean", means=...)`` puts in place of a head's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from coreheads.adapters.generation.structure import head_shape
from coreheads.adapters.patches.attention import attached
from coreheads.adapters.patches.hooks import AttentionHooks


class HeadMeans(AttentionHooks):
    """The mean output of every head over all real tokens of the forward calls made inside a block."""

    def __init__(self, layers: int) -> None:
        self._sums: list[Tensor | None] = [None] * layers
        self._tokens = 0

    def edit_output(self, layer: int, output: Tensor, rows: list[int]) -> Tensor:
        """Add up outputs [batch, Q, heads, head_dim]; padding rows are 0."""
        total = output.sum((0, 1), dtype=torch.float64).cpu()
        known = self._sums[layer]
        self._sums[layer] = total if known is None else known + total
        self._tokens += sum(rows) if layer == 0 else 0
        return output

    def result(self) -> Tensor:
        """Float32 [layers, heads, head_dim]; ValueError where no forward call was made inside the block."""
        sums = [layer for layer in self._sums if layer is not None]
        if len(sums) != len(self._sums) or not self._tokens:
            raise ValueError("head means: no forward call was made inside the block")
        return (torch.stack(sums) / self._tokens).float()


@contextmanager
def collect_means(model: nn.Module) -> Iterator[HeadMeans]:
    """Average head outputs over the forward calls made inside the block; read ``.result()`` after it."""
    means = HeadMeans(head_shape(model)[0])
    with attached(model, means):
        yield means
