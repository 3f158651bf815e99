"""Hybrid attention: the selected heads read everything, all others the first and the last tokens only."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import ClassVar, get_args

from torch import nn

from coreheads.adapters.generation.structure import head_shape
from coreheads.adapters.kernels.evicting_cache import EvictingCache
from coreheads.adapters.kernels.visibility import Local, Nothing, Rule
from coreheads.adapters.kernels.work_count import causal_pairs
from coreheads.adapters.patches.base import HeadPatch
from coreheads.adapters.patches.cost import Shape
from coreheads.adapters.value_checks import one_of, whole_number
from coreheads.errors import UserError
from coreheads.heads.types import SINK, WINDOW, Granularity, Heads


@dataclass(frozen=True)
class Hybrid(HeadPatch):
    """Selected heads of the language model attend to all tokens (causal); every other head sees sink + window.

    For query rows [batch, heads, Q, head_dim] of a head not selected, the token at position i (0 is the sample's first
    real token, after left padding) sees the tokens j <= i with ``j < sink`` or ``i - j < window``. It holds in prefill
    and in decoding, with any cache.

    Attributes:
        heads: (layer, head) pairs that attend fully; without any, every head is local (a control).
        sink: How many first tokens a local head sees.
        window: How many last tokens a local head sees, the query's own among them.
        local: False leaves the attention of the heads not selected out altogether, outputs 0: no hybrid pattern can be
            faster, and its answers mean nothing.
        granularity: ``kv``: every query head that shares a KV head with a selected one attends fully too, which costs
            no memory more.
    """

    name: ClassVar[str] = "hybrid"
    cites: ClassVar[str] = "arXiv 2606.05843"

    sink: int = SINK
    window: int = WINDOW
    local: bool = True
    granularity: Granularity = "query"

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number("Hybrid: sink is", self.sink, least=0)
        whole_number("Hybrid: window is", self.window)
        one_of("Hybrid: granularity is", self.granularity, get_args(Granularity))

    def __call__(self, model: nn.Module) -> AbstractContextManager[nn.Module]:
        """Apply the patch within a ``with`` block.

        Args:
            model: A transformers multimodal model.

        Returns:
            A context manager that gives the model back.

        Raises:
            UserError: A head lies outside the model.
        """
        widened = self.on(model)
        return super().__call__(model) if widened is self else widened(model)

    def on(self, model: nn.Module) -> Hybrid:
        """The same patch with the heads that attend fully on this model written out, one by one."""
        if self.granularity == "query":
            return self
        self.check(model)
        repeats = _repeats(model)
        whole: Heads = frozenset(
            (layer, kv * repeats + i)
            for layer, kv_heads in enumerate(self.full_kv_heads(model))
            for kv in kv_heads
            for i in range(repeats)
        )
        return replace(self, heads=whole, granularity="query")

    def rules(self, layer: int, heads: int) -> Mapping[int, Rule]:
        """The rule of every head that is not selected."""
        rule: Rule = Local(self.sink, self.window) if self.local else Nothing()
        return {head: rule for head in range(heads) if (layer, head) not in self.heads}

    def full_kv_heads(self, model: nn.Module) -> list[list[int]]:
        """Per layer, the KV heads that serve a selected head: they must keep every token."""
        repeats = _repeats(model)
        return [sorted({head // repeats for head in self.chosen(layer)}) for layer in range(head_shape(model)[0])]

    def full_kv_share(self, model: nn.Module) -> tuple[int, int]:
        """(KV heads that keep every token, all KV heads) of the model."""
        layers, _, kv_heads = head_shape(model)
        return sum(len(kept) for kept in self.full_kv_heads(model)), layers * kv_heads

    def cache(self, model: nn.Module) -> EvictingCache:
        """A cache for ``past_key_values`` that keeps of the other KV heads what sink + window still needs.

        Use it inside ``with self(model)``, for one prompt batch; logits are those of a plain cache.

        Args:
            model: The model that the patch is applied to.

        Raises:
            UserError: If ``local`` is False, or a head lies outside the model.
        """
        if not self.local:
            raise UserError("Hybrid: cache is for local=True, expected a hybrid pattern that can answer")
        self.check(model)
        return EvictingCache(self.full_kv_heads(model), head_shape(model)[2], self.sink, self.window)

    def kv_ratio(self, model: nn.Module, tokens: int) -> float:
        """KV bytes kept at ``tokens`` tokens over those of a dense cache.

        A KV head keeps all tokens when any of its query heads is selected, else min(tokens, sink + window).

        Args:
            model: The model that the patch is applied to.
            tokens: Tokens in the cache, at least 1.

        Returns:
            0 to 1.

        Raises:
            UserError: If ``tokens`` is below 1, or a head lies outside the model.
        """
        if tokens < 1:
            raise UserError(f"Hybrid: tokens is {tokens!r}, expected at least 1")
        self.check(model)
        full, every = self.full_kv_share(model)
        short = min(tokens, self.sink + self.window) if self.local else 0
        return (full * tokens + (every - full) * short) / (every * tokens)

    def pairs(self, shape: Shape, text: int, vision: int) -> int:
        """Causal pairs of the heads that attend fully, sink + window of all others."""
        tokens, full = text + vision, len(self.heads)
        if self.granularity == "kv":
            repeats = shape.heads // shape.kv_heads
            full = repeats * len({(layer, head // repeats) for layer, head in self.heads})
        near = shape.near_pairs(tokens, self.sink, self.window) if self.local else 0
        return full * causal_pairs(tokens, tokens) + (shape.layers * shape.heads - full) * near

    def ceiling(self) -> Hybrid:
        """The same with ``local`` False."""
        return replace(self, local=False)


def _repeats(model: nn.Module) -> int:
    """Query heads that share a KV head."""
    _, heads, kv_heads = head_shape(model)
    return heads // kv_heads
