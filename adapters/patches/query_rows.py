"""Where single heads look: attention on every token of a set (``mass`` sums over them), for chosen heads only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from coreheads.adapters.patches.attention import attached
from coreheads.adapters.patches.hooks import Step
from coreheads.adapters.patches.mass import RowProbe
from coreheads.heads.types import Head, by_layer


class AttentionRows(RowProbe):
    """Attention of the rows on each of the columns [V], mean over the rows, for chosen heads of a batch of one."""

    name = "rows"

    def __init__(self, heads: Sequence[Head], rows: Tensor, columns: Tensor) -> None:
        self._heads, self._by_layer = heads, by_layer(set(heads))
        width = 1 + max(head for _, head in heads)
        super().__init__(self._by_layer, (width, len(columns)), rows, [columns])

    def heads(self, step: Step) -> Sequence[int]:
        """The chosen ones."""
        return self._by_layer[step.layer]

    def add(self, sums: Tensor, heads: list[int], weights: Tensor, columns: Sequence[Tensor]) -> None:
        """Sum over the rows."""
        sums[heads, : len(columns[0])] += weights[:, :, columns[0]].sum(1, dtype=torch.float64)

    def result(self) -> Tensor:
        """Float32 [heads, V]; ValueError as of ``sums``."""
        sums = dict(zip(self._by_layer, self.sums(), strict=True))
        return (torch.stack([sums[layer][head] for layer, head in self._heads]) / max(1, len(self.rows))).float()


@contextmanager
def collect_rows(model: nn.Module, heads: Sequence[Head], rows: Tensor, columns: Tensor) -> Iterator[AttentionRows]:
    """Measure the heads, in the result's order, inside the block: attention of rows [R] on ascending columns [V]."""
    collected = AttentionRows(heads, rows, columns)
    with attached(model, collected):
        yield collected
