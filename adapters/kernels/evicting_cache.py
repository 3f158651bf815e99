"""A KV cache that keeps only what hybrid attention still reads.

KV heads that serve a selected head keep all tokens; the others keep ``sink + window`` tokens in a ring: a new token
takes the place of the one that has just left the window, so that decoding moves nothing. A layer hands itself to the
attention function in place of the key and value tensors (see ``ragged``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from coreheads.adapters.kernels.gqa import take
from coreheads.adapters.kernels.seen_tokens import SeenTokens


class RaggedStates:
    """An evicting layer in a forward call, with the new tokens' keys and values [batch, KV heads, Q, head_dim]."""

    def __init__(self, layer: EvictingLayer, keys: Tensor, values: Tensor) -> None:
        self.layer, self.keys, self.values = layer, keys, values
        self.seen = layer.seen

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("an evicting cache works only inside the `with` block of the Hybrid that made it")


class EvictingLayer(SeenTokens):
    """One layer's keys and values, of ``seen`` tokens with padding.

    The KV heads ``full`` keep all of them, [batch, full KV heads, seen (and room to grow), head_dim]; the others,
    ``short``, [batch, short KV heads, at most sink + window, head_dim]: there the token at position p (0 is its
    sample's first real one) lies in slot p, and from sink + window on in slot sink + (p - sink) % window.
    """

    is_compileable = False
    is_croppable = False
    is_sliding = False
    supports_early_init = False

    def __init__(self, full: list[int], kv_heads: int, sink: int, window: int) -> None:
        super().__init__()
        self.full, self.short = full, [head for head in range(kv_heads) if head not in full]
        self.sink, self.window = sink, window
        self.seen = 0
        self.short_keys: Tensor
        self.short_values: Tensor

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Empty states for the batch, type and device of the first call."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys, self.values = (_none(states, len(self.full)) for states in (key_states, value_states))
        self.short_keys, self.short_values = (_none(states, len(self.short)) for states in (key_states, value_states))
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[RaggedStates, RaggedStates]:
        """Take the new tokens' states [batch, KV heads, Q, head_dim].

        The full KV heads keep them at once; the others when they were attended, for only then it is known how much of
        the batch is padding.
        """
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if self.full:
            self.keys = _append(self.keys, key_states, self.full, self.seen)
            self.values = _append(self.values, value_states, self.full, self.seen)
        self.seen += key_states.shape[2]
        states = RaggedStates(self, key_states, value_states)
        return states, states

    @property
    def slots(self) -> int:
        """Tokens that a short KV head keeps."""
        return self.sink + self.window

    def kept(self, start: int, new: int = 0) -> int:
        """Tokens of a sample that the ring holds, before its last ``new`` ones; ``start``: its padding."""
        return max(0, min(self.seen - new - start, self.slots))

    def store(self, keys: Tensor, values: Tensor, starts: Sequence[int]) -> None:
        """Put the new tokens [batch, KV heads, Q, head_dim] into the ring; ``starts``: the samples' padding."""
        if not self.short:
            return
        self._make_room(max(self.kept(start) for start in starts))
        new = keys.shape[2]
        for samples, start in alike(starts):
            for position, slot, count in self._targets(self.seen - new - start, self.seen - start):
                tokens = slice(position - (self.seen - new - start), position - (self.seen - new - start) + count)
                into = slice(slot, slot + count)
                self.short_keys[samples, :, into] = take(keys[samples, :, tokens], self.short)
                self.short_values[samples, :, into] = take(values[samples, :, tokens], self.short)

    def ordered(self, samples: slice, start: int, new: int) -> tuple[Tensor, Tensor]:
        """The ring's keys and values before the last ``new`` tokens, in the tokens' order: sinks, then the window."""
        held, last = self.kept(start, new), self.seen - new - start
        keys, values = self.short_keys[samples, :, :held], self.short_values[samples, :, :held]
        turn = (last - self.sink) % self.window
        if last <= self.slots or not turn:
            return keys, values
        edge = self.sink + turn
        parts = slice(0, self.sink), slice(edge, None), slice(self.sink, edge)
        return (torch.cat([states[:, :, part] for part in parts], 2) for states in (keys, values))  # type: ignore[return-value]

    def positions(self, start: int, new: int, device: torch.device) -> Tensor:
        """Positions of the tokens of ``ordered`` and of the ``new`` ones behind them, ascending."""
        last = self.seen - start
        held = torch.arange(max(0, last - new), device=device)
        held = held[(held < self.sink) | (held >= last - new - self.window)]
        return torch.cat([held, torch.arange(max(0, last - new), last, device=device)])

    def _targets(self, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        """(position, slot, count): where those of the positions first..last-1 go that are still seen afterwards."""
        first = max(0, first)
        if first < min(self.sink, last):
            yield first, first, min(self.sink, last) - first
        position = max(first, self.sink, last - self.window)
        while position < last:
            turn = (position - self.sink) % self.window
            count = min(last - position, self.window - turn)
            yield position, self.sink + turn, count
            position += count

    def _make_room(self, slots: int) -> None:
        held = self.short_keys.shape[2]
        if slots > held:
            room = min(self.slots, max(slots, held + max(64, held // 2)) if held else slots)
            self.short_keys, self.short_values = _grown(self.short_keys, room), _grown(self.short_values, room)

    def crop(self, tokens_to_remove: int) -> None:
        """Not possible: what was evicted cannot come back."""
        raise RuntimeError("an evicting cache cannot be cropped: assisted decoding needs a plain cache")

    def reset(self) -> None:
        """Forget everything."""
        self.seen, self.is_initialized = 0, False

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Beam search: sample b becomes what sample beam_idx[b] was."""
        self._each(lambda states: states.index_select(0, beam_idx.to(states.device)))

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Every sample ``repeats`` times."""
        self._each(lambda states: states.repeat_interleave(repeats, dim=0))

    def batch_select_indices(self, indices: Tensor) -> None:
        """Only the samples ``indices``."""
        self._each(lambda states: states[indices])

    def bytes(self) -> int:
        """Bytes of the keys and values that are kept; room to grow does not count."""
        if not self.is_initialized:
            return 0
        full, short = self.keys[:, :, : self.seen], self.short_keys[:, :, : min(self.seen, self.slots)]
        return 2 * sum(states.numel() * states.element_size() for states in (full, short))

    def bytes_of(self, row: int, padding: int) -> int:
        """Bytes that are kept of one sample with so much padding."""
        full, short = self.keys[row, :, padding : self.seen], self.short_keys[row, :, : self.kept(padding)]
        return 2 * (full.nbytes + short.nbytes)

    def _each(self, change: Callable[[Tensor], Tensor]) -> None:
        if self.is_initialized:
            for name in ("keys", "values", "short_keys", "short_values"):
                setattr(self, name, change(getattr(self, name)))


class EvictingCache(Cache):  # type: ignore[misc]
    """The layers of ``Hybrid.cache``; see there."""

    def __init__(self, full: list[list[int]], kv_heads: int, sink: int, window: int) -> None:
        super().__init__(layers=[EvictingLayer(kept, kv_heads, sink, window) for kept in full])

    def bytes(self) -> int:
        """Bytes of all keys and values kept."""
        return sum(layer.bytes() for layer in self.layers)


def alike(starts: Sequence[int]) -> Iterator[tuple[slice, int]]:
    """Stretches of samples with equal padding."""
    first = 0
    for index in range(1, len(starts) + 1):
        if index == len(starts) or starts[index] != starts[first]:
            yield slice(first, index), starts[first]
            first = index


def _none(states: Tensor, heads: int) -> Tensor:
    """No tokens of so many heads, made without an index that would have to be copied to the device."""
    return states.new_empty(states.shape[0], heads, 0, states.shape[3])


def _append(states: Tensor, fresh: Tensor, heads: list[int], seen: int) -> Tensor:
    """Write ``fresh`` of these heads behind the first ``seen`` tokens, in a buffer that grows by a quarter."""
    needed = seen + fresh.shape[2]
    if needed > states.shape[2]:
        states = _grown(states[:, :, :seen], needed + max(64, needed // 4) if seen else needed + 64)
    states[:, :, seen:needed] = take(fresh, heads)
    return states


def _grown(states: Tensor, room: int) -> Tensor:
    grown = states.new_empty(*states.shape[:2], room, states.shape[3])
    grown[:, :, : states.shape[2]] = states
    return grown
