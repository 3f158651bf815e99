"""A KV cache that keeps only what hybrid attention still reads.

KV heads that serve a selected head keep all tokens; of the others only sinks and window stay after each forward call.
Both kinds are handed to the attention function as one object, in place of the key and value tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from coreheads.adapters.patches.kernels import attend, masked_attention
from coreheads.adapters.patches.rules import Group, Local, Nothing

EMPTY = -1


class RaggedStates:
    """What an evicting layer holds during a forward call; ``seen`` counts all tokens so far, padding included."""

    def __init__(self, layer: EvictingLayer) -> None:
        self.layer = layer
        self.seen = layer.seen

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("an evicting cache works only inside the `with` block of the Hybrid that made it")


class EvictingLayer(CacheLayerMixin):  # type: ignore[misc]
    """One layer's states.

    keys, values: [batch, full KV heads, seen (and room to grow), head_dim].
    short_keys, short_values: [batch, other KV heads, kept, head_dim]; positions [batch, kept] are those of the tokens
    in the padded sequence, ascending after the EMPTY ones.
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
        self.positions: Tensor

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Empty states for the batch, type and device of the first call."""
        self.keys, self.values = key_states[:, self.full, :0], value_states[:, self.full, :0]
        self.short_keys, self.short_values = key_states[:, self.short, :0], value_states[:, self.short, :0]
        self.positions = torch.empty(key_states.shape[0], 0, dtype=torch.long, device=key_states.device)
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[RaggedStates, RaggedStates]:
        """Take the new tokens' states [batch, kv heads, Q, head_dim]; nothing is evicted before they were attended."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        fresh = torch.arange(self.seen, self.seen + key_states.shape[2], device=key_states.device)
        self.keys = _append(self.keys, key_states[:, self.full], self.seen)
        self.values = _append(self.values, value_states[:, self.full], self.seen)
        self.short_keys = torch.cat([self.short_keys, key_states[:, self.short]], dim=2)
        self.short_values = torch.cat([self.short_values, value_states[:, self.short]], dim=2)
        self.positions = torch.cat([self.positions, fresh.expand(key_states.shape[0], -1)], dim=1)
        self.seen += key_states.shape[2]
        states = RaggedStates(self)
        return states, states

    def evict(self, starts: Tensor) -> None:
        """Drop what no later query sees; ``starts`` [batch] are the positions of the samples' first real tokens."""
        places = self.positions - starts[:, None]
        keep = (self.positions > EMPTY) & (places >= 0)
        keep &= (places < self.sink) | (self.positions > self.seen - self.window)
        most = int(keep.sum(1).max()) if keep.numel() else 0
        if most == keep.shape[1]:
            return
        order = keep.to(torch.uint8).argsort(dim=1, stable=True)[:, keep.shape[1] - most :]
        self.positions = torch.where(keep, self.positions, EMPTY).gather(1, order)
        index = order[:, None, :, None]
        self.short_keys = self.short_keys.gather(2, index.expand(-1, *_but_length(self.short_keys, most)))
        self.short_values = self.short_values.gather(2, index.expand(-1, *_but_length(self.short_values, most)))

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """(tokens so far and new, 0): masks speak of all tokens, also of those evicted."""
        return self.seen + query_length, 0

    def get_seq_length(self) -> int:
        """Tokens seen, evicted ones included: what rotary positions go by."""
        return self.seen

    def get_max_length(self) -> int:
        """No limit."""
        return -1

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
        """Bytes of the keys and values that are kept."""
        if not self.is_initialized:
            return 0
        full = [self.keys[:, :, : self.seen], self.values[:, :, : self.seen]]
        return sum(t.numel() * t.element_size() for t in (*full, self.short_keys, self.short_values))

    def _each(self, change: Callable[[Tensor], Tensor]) -> None:
        if self.is_initialized:
            for name in ("keys", "values", "short_keys", "short_values", "positions"):
                setattr(self, name, change(getattr(self, name)))


class EvictingCache(Cache):  # type: ignore[misc]
    """The layers of ``Hybrid.cache``; see there."""

    def __init__(self, full: list[list[int]], kv_heads: int, sink: int, window: int) -> None:
        super().__init__(layers=[EvictingLayer(kept, kv_heads, sink, window) for kept in full])

    def bytes(self) -> int:
        """Bytes of all keys and values kept."""
        return sum(layer.bytes() for layer in self.layers)


def attend_ragged(
    query: Tensor,
    states: RaggedStates,
    groups: tuple[Group, ...],
    starts: list[int],
    scaling: float,
    vision: Tensor | None,
) -> Tensor:
    """Queries [B, H, Q, D] against an evicting layer -> [B, Q, H, D]; afterwards the layer evicts.

    Raises ValueError when a head reads a short KV head without the cache's own sink + window rule.
    """
    layer = states.layer
    repeats = query.shape[1] // (len(layer.full) + len(layer.short))
    wide = [kv * repeats + i for kv in layer.full for i in range(repeats)]
    narrow = [kv * repeats + i for kv in layer.short for i in range(repeats)]
    local, narrow_groups = Local(layer.sink, layer.window), _among(groups, narrow)
    if any(local not in group.rules and Nothing() not in group.rules for group in narrow_groups):
        raise ValueError("the cache evicts what active patches need: make it with the Hybrid whose block it is used in")
    output = query.new_zeros(query.shape[0], query.shape[2], query.shape[1], query.shape[3])
    for sample, start in enumerate(starts):
        rows = min(query.shape[2], layer.seen - start)
        if rows <= 0:
            continue
        seen = None if vision is None else vision[sample, start:]
        own = query[sample : sample + 1, :, -rows:]
        if wide:
            key, value = (t[sample : sample + 1, :, start : layer.seen] for t in (layer.keys, layer.values))
            output[sample, -rows:, wide] = attend(own[:, wide], key, value, scaling, _among(groups, wide), seen)[0]
        if narrow:
            places = layer.positions[sample] - start
            first = int((places < 0).sum()) if layer.positions.shape[1] else 0
            columns = places[first:]
            key, value = (t[sample : sample + 1, :, first:] for t in (layer.short_keys, layer.short_values))
            output[sample, -rows:, narrow] = _attend_short(
                own[:, narrow], key, value, scaling, narrow_groups, seen, columns, layer.seen - start
            )[0]
    layer.evict(torch.tensor(starts, device=query.device))
    return output


def _attend_short(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float,
    groups: tuple[Group, ...],
    vision: Tensor | None,
    columns: Tensor,
    total: int,
) -> Tensor:
    """One sample's short KV heads, whose keys are at the positions ``columns`` of ``total`` tokens."""
    if len(columns) == total:
        return attend(query, key, value, scaling, groups, vision)
    if len(groups) == 1:
        return masked_attention(query, key, value, scaling, groups[0], vision, columns)
    repeats = query.shape[1] // key.shape[1]
    output = query.new_empty(query.shape[0], query.shape[2], query.shape[1], value.shape[3])
    for group in groups:
        chosen = torch.tensor(group.heads, device=query.device)
        source = chosen // repeats
        output[:, :, chosen] = masked_attention(
            query[:, chosen], key[:, source], value[:, source], scaling, group, vision, columns
        )
    return output


def _among(groups: tuple[Group, ...], heads: list[int]) -> tuple[Group, ...]:
    """The groups of some heads only, numbered by their place in ``heads``."""
    place = {head: index for index, head in enumerate(heads)}
    inside = ((tuple(place[head] for head in group.heads if head in place), group.rules) for group in groups)
    return tuple(Group(members, rules) for members, rules in inside if members)


def _append(states: Tensor, fresh: Tensor, seen: int) -> Tensor:
    """Write ``fresh`` behind the first ``seen`` tokens, in a buffer that grows by a quarter when it is full."""
    needed = seen + fresh.shape[2]
    if needed > states.shape[2]:
        room = needed if not seen else needed + max(64, needed // 4)
        grown = states.new_empty(states.shape[0], states.shape[1], room, states.shape[3])
        grown[:, :, :seen] = states[:, :, :seen]
        states = grown
    states[:, :, seen:needed] = fresh
    return states


def _but_length(states: Tensor, length: int) -> tuple[int, int, int]:
    return states.shape[1], length, states.shape[3]
