"""Streaming attention: every head reads the first and the last tokens only, whatever the head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from torch import nn

from coreheads.adapters.kernels.evicting_cache import EvictingCache
from coreheads.adapters.kernels.visibility import Rule
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.cost import Shape
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.adapters.value_checks import whole_number


@dataclass(frozen=True)
class Streaming(Patch):
    """Every head of every layer sees sink + window; as ``Hybrid`` with no head selected, and by its kernels.

    Definition: the token at position i (0 is the sample's first real token) sees the tokens j <= i with ``j < sink`` or
    ``i - j < window``, in prefill and in decoding. It needs no scores and no profile: the cheapest pattern there is,
    which every choice of heads has to beat.

    Source: StreamingLLM, arXiv 2309.17453 (ICLR 2024).

    Published defaults: 4 sinks; windows of about 1,020 tokens (2,044 for models that were trained on 4,096). The
    reference counts rotary positions within its cache, so that they never grow beyond it; here keys keep the positions
    of the prompt, which is what its tokens of pictures and pages need to be found by place. It was made for text that
    never ends, and read token by token; here the prefill follows the same pattern in one pass, and is faster for it.

    Attributes:
        window: How many last tokens a token sees, itself among them.
        sink: How many first tokens.
    """

    name: ClassVar[str] = "streaming"
    budget: ClassVar[str | None] = "window"
    cites: ClassVar[str] = "arXiv 2309.17453"

    window: int = 1020
    sink: int = 4

    def __post_init__(self) -> None:
        whole_number("Streaming: window is", self.window)
        whole_number("Streaming: sink is", self.sink, least=0)

    @cached_property
    def _headless(self) -> Hybrid:
        return Hybrid(frozenset(), self.sink, self.window)

    def rules(self, layer: int, heads: int) -> Mapping[int, Rule]:
        """Sink + window for all."""
        return self._headless.rules(layer, heads)

    def cache(self, model: nn.Module) -> EvictingCache:
        """A cache that keeps sink + window, as ``Hybrid.cache``."""
        return self._headless.cache(model)

    def kv_ratio(self, model: nn.Module, tokens: int) -> float:
        """KV bytes that the cache keeps at ``tokens`` tokens over those of a dense one."""
        return self._headless.kv_ratio(model, tokens)

    def pairs(self, shape: Shape, text: int, vision: int) -> int:
        """Sink + window in every head."""
        return self._headless.pairs(shape, text, vision)

    def ceiling(self) -> Patch:
        """No attention at all."""
        return self._headless.ceiling()
