"""Hybrid attention: the selected heads read everything, all others the first and the last tokens only."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, get_args

from torch import nn

from coreheads.adapters.generation.structure import head_shape
from coreheads.adapters.kernels.evicting import EvictingCache
from coreheads.adapters.kernels.rules import Local, Nothing, Rule
from coreheads.adapters.patches.base import Patch, as_heads, check_heads, pairs
from coreheads.errors import UserError, expected_one_of
from coreheads.heads.types import SINK, WINDOW, Heads

Granularity = Literal["query", "kv"]


@dataclass(frozen=True)
class Hybrid(Patch):
    """Selected heads of the language model attend to all tokens (causal); every other head sees sink + window.

    For query rows [batch, heads, Q, head_dim] of a head not selected, the token at position i (0 is the sample's first
    real token, after left padding) sees the tokens j <= i with ``j < sink`` or ``i - j < window``: the first ``sink``
    tokens, and the last ``window`` with itself among them. It holds in prefill and in decoding, with any cache.
    Without selected heads every head is local (a control). ``granularity="kv"``: every query head that shares a KV
    head with a selected one attends fully too, which costs no memory more. ``local=False`` leaves the attention of the
    heads not selected out altogether, outputs 0: no hybrid pattern can be faster, and its answers mean nothing.
    """

    name: ClassVar[str] = "hybrid"

    heads: Heads
    sink: int = SINK
    window: int = WINDOW
    local: bool = True
    granularity: Granularity = "query"

    def __post_init__(self) -> None:
        object.__setattr__(self, "heads", as_heads(self.heads, "Hybrid"))
        for field, least in (("sink", 0), ("window", 1)):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise UserError(f"Hybrid: {field} is {value!r}, expected a whole number of at least {least}")
        if self.granularity not in get_args(Granularity):
            known = get_args(Granularity)
            raise UserError(f"Hybrid: granularity is {self.granularity!r}, {expected_one_of(self.granularity, known)}")

    def check(self, model: nn.Module) -> None:
        """UserError when heads lie outside the model."""
        check_heads(self.heads, model, "Hybrid")

    def __call__(self, model: nn.Module) -> AbstractContextManager[nn.Module]:
        """Apply within a ``with`` block, which gives the model back; UserError when heads lie outside it."""
        widened = self.on(model)
        return Patch.__call__(self, model) if widened is self else widened(model)

    def on(self, model: nn.Module) -> Hybrid:
        """The same patch with the heads that attend fully on this model written out, one by one."""
        if self.granularity == "query":
            return self
        self.check(model)
        _, heads, kv_heads = head_shape(model)
        repeats = heads // kv_heads
        groups = {(layer, head // repeats) for layer, head in self.heads}
        whole = frozenset((layer, kv * repeats + i) for layer, kv in groups for i in range(repeats))
        return replace(self, heads=whole, granularity="query")

    def rules(self, layer: int, heads: int) -> Mapping[int, Rule]:
        """The rule of every head that is not selected."""
        rule: Rule = Local(self.sink, self.window) if self.local else Nothing()
        return {head: rule for head in range(heads) if (layer, head) not in self.heads}

    def full_kv_heads(self, model: nn.Module) -> list[list[int]]:
        """Per layer, the KV heads that serve a selected head: they must keep every token."""
        layers, heads, kv_heads = head_shape(model)
        repeats = heads // kv_heads
        return [sorted({head // repeats for at, head in self.heads if at == layer}) for layer in range(layers)]

    def full_kv_share(self, model: nn.Module) -> tuple[int, int]:
        """(KV heads that keep every token, all KV heads) of the model."""
        layers, _, kv_heads = head_shape(model)
        return sum(len(kept) for kept in self.full_kv_heads(model)), layers * kv_heads

    def cache(self, model: nn.Module) -> EvictingCache:
        """A cache for ``past_key_values`` that keeps of the other KV heads what sink + window still needs.

        Use it inside ``with self(model)``, for one prompt batch; logits are those of a plain cache.
        """
        if not self.local:
            raise UserError("Hybrid: cache is for local=True, expected a hybrid pattern that can answer")
        self.check(model)
        return EvictingCache(self.full_kv_heads(model), head_shape(model)[2], self.sink, self.window)

    def kv_ratio(self, model: nn.Module, tokens: int) -> float:
        """KV bytes kept at ``tokens`` tokens over those of a dense cache.

        A KV head keeps all tokens when any of its query heads is selected, else min(tokens, sink + window).
        """
        if tokens < 1:
            raise UserError(f"Hybrid: tokens is {tokens!r}, expected at least 1")
        self.check(model)
        full, every = self.full_kv_share(model)
        short = min(tokens, self.sink + self.window) if self.local else 0
        return (full * tokens + (every - full) * short) / (every * tokens)

    def describe(self) -> dict[str, Any]:
        """{"patch", "heads", "sink", "window", "local", "granularity"}."""
        return {
            "patch": self.name,
            "heads": pairs(self.heads),
            "sink": self.sink,
            "window": self.window,
            "local": self.local,
            "granularity": self.granularity,
        }
