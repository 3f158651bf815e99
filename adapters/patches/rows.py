"""Where single heads look: attention on every token of a set, for chosen heads only.

``mass`` sums over sets of tokens for all heads; here each token keeps its own number, so only the heads asked for are
computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from coreheads.adapters.generation.structure import language_model
from coreheads.adapters.patches.attention import attached
from coreheads.adapters.patches.base import Patch, Step
from coreheads.adapters.patches.mass import ROWS, probabilities
from coreheads.heads.types import Head


class AttentionRows(Patch):
    """Attention of the tokens ``rows`` on each of the tokens ``columns`` [V], mean over the rows, a head at a time.

    Positions count the prompt's tokens, a batch of one. A prompt may come in several forward calls with a cache.
    """

    name: ClassVar[str] = "attention-rows"
    observes = True

    def __init__(self, heads: Sequence[Head], rows: Tensor, columns: Tensor, device: Any) -> None:
        self.heads, self.rows, self.columns = list(heads), rows.to(device), columns.to(device)
        self._sum = torch.zeros(len(self.heads), len(columns), dtype=torch.float64)
        self._counted = [0] * len(self.heads)

    def result(self) -> Tensor:
        """Float32 [heads, V]. ValueError when the forward calls did not cover every row once."""
        if any(count != len(self.rows) for count in self._counted):
            raise ValueError(
                f"attention rows: {min(self._counted)} of {len(self.rows)} rows were seen, "
                "expected one prefill of the whole prompt, without its keys in a cache"
            )
        return (self._sum / max(1, len(self.rows))).float()

    def observe(self, step: Step) -> None:
        """Add the rows that lie in this call's queries."""
        chosen = [index for index, (layer, _) in enumerate(self.heads) if layer == step.layer]
        if step.sample or not chosen:
            return
        total, count = step.key.shape[2], step.query.shape[2]
        offset = total - count
        mine = self.rows[(self.rows >= offset) & (self.rows < total)]
        keys = torch.arange(total, device=step.query.device)
        inside = self.columns < total  # these rows cannot see what comes later
        repeats = step.query.shape[1] // step.key.shape[1]
        for index in chosen:
            head = self.heads[index][1]
            self._counted[index] += len(mine)
            group = next(group for group in step.groups if head in group.heads)
            for rows in torch.split(mine, ROWS):
                seen = group.visible(rows, keys, step.vision)[None]
                query, key = step.query[0, head : head + 1, rows - offset], step.key[0, head // repeats]
                found = probabilities(query, key, seen, step.scaling)[0][:, self.columns[inside]]
                self._sum[index, inside.cpu()] += found.sum(0, dtype=torch.float64).cpu()


@contextmanager
def collect_rows(model: nn.Module, heads: Sequence[Head], rows: Tensor, columns: Tensor) -> Iterator[AttentionRows]:
    """Measure the forward calls made inside the block; read ``.result()`` after it."""
    collected = AttentionRows(heads, rows, columns, next(language_model(model).parameters()).device)
    with attached(model, collected):
        yield collected
