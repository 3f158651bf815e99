"""Attention mass of a few rows, measured beside the model's own attention while it runs.

Of the attention matrix only the rows asked for are computed, one KV head's query heads at a time: memory is
heads x rows x keys for a block of rows, and the forward call's outputs are unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor, nn

from coreheads.adapters.generation.structure import head_shape
from coreheads.adapters.patches.attention import attached
from coreheads.adapters.patches.base import Patch, Step

ROWS = 32
"""Rows computed at once."""


class AttentionMass(Patch):
    """How much attention the tokens ``rows`` pay to each set of tokens in ``columns``, per head, mean over the rows.

    Positions count the real tokens of one sample of the batch. Under other patches it measures what their heads do
    with what they may see. A prompt may come in several forward calls with a cache.
    """

    name: ClassVar[str] = "attention-mass"
    observes = True

    def __init__(self, shape: tuple[int, int], rows: Tensor, columns: Sequence[Tensor], sample: int) -> None:
        self.rows, self.columns, self.sample = rows.cpu(), [tokens.cpu() for tokens in columns], sample
        self._shape = shape
        # Sums stay where they are made until they are asked for: a GPU would be waited for at every layer.
        self._sums: dict[int, Tensor] = {}
        self._counted = torch.zeros(shape[0], dtype=torch.long)

    def result(self) -> Tensor:
        """Float32 [len(columns), layers, heads]. ValueError when the forward calls did not cover every row once."""
        if any(int(count) != len(self.rows) for count in self._counted):
            raise ValueError(
                f"attention mass: {int(self._counted.min())} of {len(self.rows)} rows were seen, "
                "expected one prefill of the whole prompt, without its keys in a cache"
            )
        layers, heads = self._shape
        none = torch.zeros(len(self.columns), heads, dtype=torch.float64)
        sums = torch.stack([self._sums.get(layer, none).cpu() for layer in range(layers)], 1)
        return (sums / len(self.rows)).float()

    def observe(self, step: Step) -> None:
        """Add the rows that lie in this call's queries."""
        if step.sample != self.sample:
            return
        device, total = step.query.device, step.key.shape[2]
        offset = total - step.query.shape[2]
        mine = self.rows[(self.rows >= offset) & (self.rows < total)]
        self._counted[step.layer] += len(mine)
        # A column beyond the keys so far is one that these rows cannot see.
        columns = [tokens[tokens < total].to(device) for tokens in self.columns]
        keys = torch.arange(total, device=device)
        repeats = step.query.shape[1] // step.key.shape[1]
        shape = len(columns), step.query.shape[1]
        sums = self._sums.setdefault(step.layer, torch.zeros(shape, dtype=torch.float64, device=device))
        for rows in torch.split(mine.to(device), ROWS):
            visible = [(group, group.visible(rows, keys, step.vision)) for group in step.groups]
            seen = {head: mask for group, mask in visible for head in group.heads}
            for kv in range(step.key.shape[1]):
                heads = range(kv * repeats, (kv + 1) * repeats)
                weights = probabilities(
                    step.query[0, heads.start : heads.stop, rows - offset],
                    step.key[0, kv],
                    torch.stack([seen[head] for head in heads]),
                    step.scaling,
                )
                for index, tokens in enumerate(columns):
                    sums[index, heads.start : heads.stop] += weights[:, :, tokens].sum((1, 2), dtype=torch.float64)


def probabilities(query: Tensor, key: Tensor, seen: Tensor, scaling: float) -> Tensor:
    """Attention probabilities [heads, R, K] in at least float32; a row that sees nothing has none."""
    exact = torch.promote_types(query.dtype, torch.float32)
    scores = (query.to(exact) @ key.to(exact).T) * scaling
    return torch.softmax(scores.masked_fill(~seen, float("-inf")), dim=-1).nan_to_num(0.0)


@contextmanager
def collect_mass(model: nn.Module, rows: Tensor, columns: Sequence[Tensor], sample: int = 0) -> Iterator[AttentionMass]:
    """Measure the forward calls made inside the block; read ``.result()`` after it. Collectors nest.

    rows: positions [R] of the tokens whose attention is measured. columns: sets of positions, measured together.
    sample: which sample of the batch. Positions count the sample's real tokens, from 0.
    """
    layers, heads, _ = head_shape(model)
    mass = AttentionMass((layers, heads), rows, columns, sample)
    with attached(model, mass):
        yield mass


class HeadMeans(Patch):
    """The mean output of every head over all real tokens of the forward calls made inside a block."""

    name: ClassVar[str] = "head-means"

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
        """Float32 [layers, heads, head_dim], for ``Ablate(heads, mode="mean", means=...)``."""
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
