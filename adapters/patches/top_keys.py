"""Whether rows attend most to some columns: hits and attention among each row's most attended keys, per head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor, nn

from coreheads.adapters.generation.structure import head_shape
from coreheads.adapters.patches.attention import attached
from coreheads.adapters.patches.mass import RowProbe


class TopKeys(RowProbe):
    """Of each row's ``count`` most attended keys those that are among the columns: their number and their attention,
    each summed over the rows."""

    name: ClassVar[str] = "top keys"

    def __init__(self, shape: tuple[int, int], rows: Tensor, columns: Tensor, count: int) -> None:
        layers, heads = shape
        super().__init__(range(layers), (2, heads), rows, [columns])
        self._count = count

    def add(self, sums: Tensor, heads: list[int], weights: Tensor, columns: Sequence[Tensor]) -> None:
        """Add the rows' hits and their attention."""
        values, keys = weights.topk(min(self._count, weights.shape[-1]))
        hit = torch.isin(keys, columns[0])
        own = slice(heads[0], heads[-1] + 1)
        sums[0, own] += hit.sum((1, 2))
        sums[1, own] += (values * hit).sum((1, 2), dtype=torch.float64)

    def result(self) -> Tensor:
        """Float32 [2, layers, heads]: hits, attention; ValueError as of ``sums``."""
        return torch.stack(self.sums(), 1).float()


@contextmanager
def collect_top_keys(model: nn.Module, rows: Tensor, columns: Tensor, count: int) -> Iterator[TopKeys]:
    """Measure the forward call made inside the block, of a batch of one; read ``.result()`` after it."""
    found = TopKeys(head_shape(model)[:2], rows, columns, count)
    with attached(model, found):
        yield found
