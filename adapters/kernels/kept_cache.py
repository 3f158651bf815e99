"""A layer of a KV cache after keys were evicted: every KV head holds keys of its own choice, as many as it likes.

KV heads that hold equally many lie in one tensor, so that no head stores a key for another one's sake; what is evicted
is freed. The layer hands itself to the attention function in place of the key and value tensors (see ``kept``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from coreheads.adapters.kernels.seen_tokens import SeenTokens

Pair = tuple[int, int]
"""(sample, KV head)."""


class KeptStates:
    """A layer of kept keys in a forward call of ``rows`` new tokens, whose keys it holds already."""

    def __init__(self, layer: KeptLayer, rows: int) -> None:
        self.layer, self.rows, self.seen = layer, rows, layer.seen

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("a cache of which keys were evicted works only inside the `with` block of a patch")


class KeptBlock:
    """KV heads of any samples that hold equally many keys.

    Attributes:
        pairs: The P (sample, KV head) pairs.
        samples: Their samples, LongTensor [P] on the states' device.
        heads: Their KV heads, likewise.
        length: Keys that each of them holds.
    """

    def __init__(self, pairs: Sequence[Pair], keys: Tensor, values: Tensor, positions: Tensor, length: int) -> None:
        self.pairs, self.length = list(pairs), length
        self.samples, self.heads = torch.tensor(self.pairs, device=keys.device).unbind(1)
        self._keys, self._values, self._positions = keys, values, positions

    @property
    def keys(self) -> Tensor:
        """[P, length, head_dim]."""
        return self._keys[:, : self.length]

    @property
    def values(self) -> Tensor:
        """[P, length, head_dim]."""
        return self._values[:, : self.length]

    @property
    def positions(self) -> Tensor:
        """LongTensor [P, length], ascending: where the keys' tokens stand among their sample's real ones."""
        return self._positions[:, : self.length]

    def append(self, keys: Tensor, values: Tensor, positions: Tensor) -> None:
        """Take new tokens: states [batch, KV heads, Q, head_dim], positions [batch, Q]."""
        end = self.length + keys.shape[2]
        if end > self._keys.shape[1]:
            room = end + max(64, end // 4)
            self._keys, self._values, self._positions = (
                _grown(states, self.length, room) for states in (self._keys, self._values, self._positions)
            )
        self._keys[:, self.length : end] = keys[self.samples, self.heads]
        self._values[:, self.length : end] = values[self.samples, self.heads]
        self._positions[:, self.length : end] = positions[self.samples]
        self.length = end

    def of(self, samples: Sequence[int]) -> KeptBlock | None:
        """The block of a batch whose sample b is what ``samples[b]`` was; None where nothing of it is left."""
        rows = [(new, row) for new, old in enumerate(samples) for row, pair in enumerate(self.pairs) if pair[0] == old]
        if not rows:
            return None
        index = torch.tensor([row for _, row in rows], device=self._keys.device)
        keys, values, positions = (part[index] for part in (self._keys, self._values, self._positions))
        return KeptBlock([(new, self.pairs[row][1]) for new, row in rows], keys, values, positions, self.length)


class KeptLayer(SeenTokens):
    """One layer's kept keys and values, and those of all later tokens; of ``seen`` tokens with padding."""

    is_compileable = False
    is_croppable = False
    is_sliding = False
    supports_early_init = False

    def __init__(self, keys: Tensor, values: Tensor, kept: Sequence[Sequence[Tensor]], starts: Sequence[int]) -> None:
        """Of a prompt's states [batch, KV heads, tokens, head_dim] keep some.

        Args:
            keys: With rotary positions.
            values: Of the same tokens.
            kept: By sample and KV head the positions that stay, ascending, at least one; 0 is the first real token.
            starts: Tokens of left padding of each sample.
        """
        super().__init__()
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self.seen, self._starts = keys.shape[2], list(starts)
        self.blocks = list(_blocks(keys, values, kept, starts))

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Made with its states."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[KeptStates, KeptStates]:
        """Take the new tokens' states [batch, KV heads, Q, head_dim]; every KV head keeps them."""
        rows = key_states.shape[2]
        first = self.seen - torch.tensor(self._starts, device=key_states.device)
        positions = first[:, None] + torch.arange(rows, device=key_states.device)
        for block in self.blocks:
            block.append(key_states, value_states, positions)
        self.seen += rows
        states = KeptStates(self, rows)
        return states, states

    def start(self, sample: int) -> int:
        """Tokens of left padding of a sample."""
        return self._starts[sample]

    def crop(self, tokens_to_remove: int) -> None:
        """Not possible: what was evicted cannot come back."""
        raise RuntimeError("a cache of which keys were evicted cannot be cropped: assisted decoding needs all keys")

    def rewind(self, length: int) -> None:
        """Not possible: what was evicted cannot come back."""
        raise RuntimeError("a cache of which keys were evicted cannot be taken back to a shorter prompt")

    def reset(self) -> None:
        """Not possible: the layer has become one that evicts."""
        raise RuntimeError("a cache of which keys were evicted serves one prompt: make a new one")

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Beam search: sample b becomes what sample beam_idx[b] was."""
        self._select(beam_idx.tolist())

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Every sample ``repeats`` times."""
        self._select([sample for sample in range(len(self._starts)) for _ in range(repeats)])

    def batch_select_indices(self, indices: Tensor) -> None:
        """Only the samples ``indices``."""
        self._select(torch.arange(len(self._starts))[indices.cpu()].tolist())

    def bytes(self) -> int:
        """Bytes of the keys and values that are kept; room to grow does not count."""
        return 2 * sum(block.keys.numel() * block.keys.element_size() for block in self.blocks)

    def bytes_of(self, row: int, padding: int) -> int:
        """Bytes that are kept of one sample."""
        alike = ((block, sum(sample == row for sample, _ in block.pairs)) for block in self.blocks)
        return sum(2 * pairs * block.keys[0].nbytes for block, pairs in alike)

    def _select(self, samples: list[int]) -> None:
        self._starts = [self._starts[sample] for sample in samples]
        self.blocks = [chosen for block in self.blocks if (chosen := block.of(samples)) is not None]


def _blocks(
    keys: Tensor, values: Tensor, kept: Sequence[Sequence[Tensor]], starts: Sequence[int]
) -> Iterator[KeptBlock]:
    """The KV heads by how many keys stay."""
    alike: dict[int, list[Pair]] = {}
    for sample, heads in enumerate(kept):
        for head, tokens in enumerate(heads):
            alike.setdefault(len(tokens), []).append((sample, head))
    for length, pairs in alike.items():
        chosen, chosen_values = (
            torch.stack([part[sample, head, kept[sample][head] + starts[sample]] for sample, head in pairs])
            for part in (keys, values)
        )
        positions = torch.stack([kept[sample][head] for sample, head in pairs])
        yield KeptBlock(pairs, chosen, chosen_values, positions, length)


def _grown(states: Tensor, length: int, room: int) -> Tensor:
    grown = states.new_empty(states.shape[0], room, *states.shape[2:])
    grown[:, :length] = states[:, :length]
    return grown
