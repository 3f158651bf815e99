"""A preallocated key-value cache: nothing is copied when a token is decoded.

transformers' DynamicCache joins old and new keys into new tensors at every token, which at some thousand tokens of
context costs more than the model itself on a CPU.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin


class PreallocatedLayer(CacheLayerMixin):  # type: ignore[misc]
    """One layer's keys and values [B, KV heads, capacity, head dim], of which the first ``length`` tokens are valid."""

    is_compileable = False
    is_croppable = False
    is_sliding = False
    supports_early_init = False

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self.length = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys = key_states.new_empty(*key_states.shape[:2], self.capacity, key_states.shape[3])
        self.values = value_states.new_empty(*value_states.shape[:2], self.capacity, value_states.shape[3])
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Append [B, KV heads, n, head dim]; returns all valid keys and values, as views."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.length + key_states.shape[2]
        if end > self.capacity:
            self._grow(max(end, self.capacity + self.capacity // 2))
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def _grow(self, capacity: int) -> None:
        keys, values, self.capacity = self.keys, self.values, capacity
        self.lazy_initialization(keys, values)
        self.keys[:, :, : self.length] = keys[:, :, : self.length]
        self.values[:, :, : self.length] = values[:, :, : self.length]

    def rewind(self, length: int) -> None:
        """Forget all but the first ``length`` tokens."""
        self.length = length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        return self.length

    def get_max_length(self) -> int:
        return self.capacity

    def bytes_of(self, row: int, padding: int) -> int:
        """Bytes of the valid keys and values of one sample, whose first ``padding`` tokens are none."""
        return sum(states[row, :, padding : self.length].nbytes for states in (self.keys, self.values))

    def copies(self, rows: int) -> PreallocatedLayer:
        """A layer of ``rows`` rows that all begin with this one's tokens (of its only row)."""
        new = PreallocatedLayer(self.capacity)
        new.lazy_initialization(self.keys.expand(rows, -1, -1, -1), self.values.expand(rows, -1, -1, -1))
        new.keys[:, :, : self.length] = self.keys[:, :, : self.length]
        new.values[:, :, : self.length] = self.values[:, :, : self.length]
        new.length = self.length
        return new


def _repeated(value: Any, rows: int) -> Any:
    """Tensors of one row, and dictionaries of them, with ``rows`` equal ones."""
    if isinstance(value, dict):
        return {key: _repeated(part, rows) for key, part in value.items()}
    return value.expand(rows, *value.shape[1:]) if isinstance(value, Tensor) else value


class PreallocatedCache(Cache):  # type: ignore[misc]
    """Room for ``capacity`` tokens in each of ``layers`` layers, taken at the first update; more when they are full.

    Attributes:
        beginning: Whether it is given only the beginning that prompts share, which no call then ends.
    """

    def __init__(self, layers: int, capacity: int) -> None:
        super().__init__(layers=[PreallocatedLayer(capacity) for _ in range(layers)])
        self.beginning = False

    def rewind(self, length: int) -> None:
        """Forget all but the first ``length`` tokens."""
        for layer in self.layers:
            layer.rewind(length)

    def copies(self, rows: int) -> PreallocatedCache:
        """A cache of ``rows`` rows that all begin with this one's tokens (of its only row)."""
        new = PreallocatedCache(0, 0)
        for name, value in vars(self).items():
            # patches leave on the cache what they must remember of its tokens, a row for each of its rows
            setattr(new, name, _repeated(value, rows))
        new.layers = [layer.copies(rows) for layer in self.layers]
        return new
