"""Attention of a few rows, measured beside the model's own attention while it runs.

Of the attention matrix only the rows asked for are computed, one KV head's query heads at a time: memory is
heads x rows x keys for a block of rows, and the forward call's outputs are unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor, nn

from coreheads.adapters.generation.structure import head_shape
from coreheads.adapters.kernels.gqa import by_kv_head, take
from coreheads.adapters.patches.attention import attached
from coreheads.adapters.patches.hooks import AttentionHooks, Step

ROWS = 32
"""Rows computed at once."""


class RowProbe(AttentionHooks):
    """Adds up the attention of the tokens ``rows`` [R] on sets of tokens, ``columns``, while forward calls run.

    Positions count the real tokens of one sample of the batch; each set is ascending. Under other patches it measures
    what their heads do with what they may see. A prompt may come in several forward calls with a cache.
    """

    name: ClassVar[str]
    observes = True

    def __init__(
        self, layers: Iterable[int], shape: tuple[int, int], rows: Tensor, columns: Sequence[Tensor], sample: int = 0
    ) -> None:
        self.rows, self.columns, self.sample = rows.cpu(), [tokens.cpu() for tokens in columns], sample
        # Sums stay where they are made until they are asked for: a GPU would be waited for at every layer.
        self._sums = {layer: torch.zeros(shape, dtype=torch.float64) for layer in layers}
        self._counted = dict.fromkeys(self._sums, 0)

    def heads(self, step: Step) -> Sequence[int]:
        """The heads of the step's layer that are measured, ascending."""
        return range(step.query.shape[1])

    def add(self, sums: Tensor, heads: list[int], weights: Tensor, columns: Sequence[Tensor]) -> None:
        """Add the attention ``weights`` [heads, R, K] of some rows to a layer's sums; ``columns`` are those below K."""
        raise NotImplementedError

    def sums(self) -> list[Tensor]:
        """A layer's sums after the other; ValueError where the forward calls did not cover every row once."""
        if any(count != len(self.rows) for count in self._counted.values()):
            raise ValueError(
                f"attention {self.name}: {min(self._counted.values())} of {len(self.rows)} rows were seen, "
                "expected one prefill of the whole prompt, without its keys in a cache"
            )
        return [sums.cpu() for sums in self._sums.values()]

    def observe(self, step: Step) -> None:
        """Add the rows that lie in this call's queries."""
        if step.sample != self.sample or step.layer not in self._counted:
            return
        device, total = step.query.device, step.key.shape[2]
        offset = total - step.query.shape[2]
        inside = self.rows[(self.rows >= offset) & (self.rows < total)]
        self._counted[step.layer] += len(inside)
        # A column beyond the keys so far is one that these rows cannot see.
        columns = [tokens[tokens < total].to(device) for tokens in self.columns]
        readers = by_kv_head(self.heads(step), step.query.shape[1] // step.key.shape[1])
        sums = self._sums[step.layer] = self._sums[step.layer].to(device)
        for rows in torch.split(inside.to(device), ROWS):
            seen = step.visible(rows)
            query = step.query[:, :, rows - offset]
            for kv, heads in readers.items():
                weights = probabilities(take(query, heads)[0], step.key[0, kv], seen[heads], step.scaling)
                self.add(sums, heads, weights, columns)


class AttentionMass(RowProbe):
    """How much attention the rows pay to each set of columns, per head, mean over the rows."""

    name = "mass"

    def __init__(self, shape: tuple[int, int], rows: Tensor, columns: Sequence[Tensor], sample: int) -> None:
        layers, heads = shape
        super().__init__(range(layers), (len(columns), heads), rows, columns, sample)

    def add(self, sums: Tensor, heads: list[int], weights: Tensor, columns: Sequence[Tensor]) -> None:
        """Sum each set of columns."""
        for index, tokens in enumerate(columns):
            sums[index, heads[0] : heads[-1] + 1] += weights[:, :, tokens].sum((1, 2), dtype=torch.float64)

    def result(self) -> Tensor:
        """Float32 [len(columns), layers, heads]; ValueError as of ``sums``."""
        return (torch.stack(self.sums(), 1) / len(self.rows)).float()


def probabilities(query: Tensor, key: Tensor, seen: Tensor, scaling: float) -> Tensor:
    """Softmax [heads, R, K] in at least float32, of the rows of query heads that read one KV head.

    query [heads, R, head_dim], key [K, head_dim], seen bool [heads, R, K]; a row that sees nothing is 0.
    """
    exact = torch.promote_types(query.dtype, torch.float32)
    scores = (query.to(exact) @ key.to(exact).T) * scaling
    return torch.softmax(scores.masked_fill(~seen, float("-inf")), dim=-1).nan_to_num(0.0)


@contextmanager
def collect_mass(model: nn.Module, rows: Tensor, columns: Sequence[Tensor], sample: int = 0) -> Iterator[AttentionMass]:
    """Measure the forward calls made inside the block; read ``.result()`` after it. They nest; see ``RowProbe``."""
    mass = AttentionMass(head_shape(model)[:2], rows, columns, sample)
    with attached(model, mass):
        yield mass
