"""Which keys the queries of a whole prompt meet, head by head: blocks of keys for each of queries, and single keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class KeyBlocks:
    """Tokens 0 to n - 1 of a prompt in blocks of ``size``, the last one shorter where n is no multiple.

    A query sees a key that is not after it where ``seen`` says so of their blocks, or ``columns`` of the key. The own
    block is always seen, and nothing behind it, whatever ``seen`` says.

    Attributes:
        size: Tokens of a block.
        seen: Bool [heads, query blocks, key blocks].
        columns: Bool [heads, n], the keys that all later queries see; None: no such ones.
    """

    size: int
    seen: Tensor
    columns: Tensor | None = None

    def __post_init__(self) -> None:
        _, count, other = self.seen.shape
        length = count * self.size if self.columns is None else self.columns.shape[1]
        if self.seen.dtype != torch.bool or count != other or -(-length // self.size) != count:
            raise ValueError(
                f"key blocks of {self.size} tokens: seen is {self.seen.dtype} {list(self.seen.shape)}, "
                f"expected bool [heads, n, n] for the blocks of {length} tokens"
            )
        own = torch.eye(count, dtype=torch.bool, device=self.seen.device)
        object.__setattr__(self, "seen", self.seen.tril() | own)

    def to(self, device: torch.device) -> KeyBlocks:
        """The same on a device."""
        columns = None if self.columns is None else self.columns.to(device)
        return replace(self, seen=self.seen.to(device), columns=columns)

    def of(self, heads: Sequence[int]) -> KeyBlocks:
        """The same of some heads only."""
        chosen = list(heads)
        return replace(self, seen=self.seen[chosen], columns=None if self.columns is None else self.columns[chosen])

    def single(self, head: int) -> Tensor:
        """The keys that all later queries of a head see, ascending."""
        if self.columns is None:
            return torch.empty(0, dtype=torch.long, device=self.seen.device)
        return self.columns[head].nonzero()[:, 0]

    def visible(self, head: int, rows: Tensor, columns: Tensor) -> Tensor:
        """Bool [Q, K], of query positions ``rows`` [Q] and key positions ``columns`` [K]; causality aside."""
        seen = self.seen[head][rows // self.size][:, columns // self.size]
        return seen if self.columns is None else seen | self.columns[head][columns]
