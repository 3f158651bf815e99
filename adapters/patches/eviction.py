"""Eviction: which keys stay after a prefill is asked of a patch, layer by layer, and carried out at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicCache

from coreheads.adapters.generation.chunked_prefill import in_parts
from coreheads.adapters.generation.structure import cache_argument, cache_of, caches_cut, language_model, prompt_owners
from coreheads.adapters.generation.work import choosing
from coreheads.adapters.kernels.evicting_cache import EvictingCache
from coreheads.adapters.kernels.kept_cache import KeptLayer
from coreheads.adapters.kernels.key_blocks import KeyBlocks
from coreheads.adapters.kernels.visibility import Group
from coreheads.adapters.patches.hooks import AttentionHooks, Step
from coreheads.errors import UserError

PREFILLED = "_coreheads_prefilled"
"""On a cache that was filled, and of which keys may have been evicted, inside a block."""
BEGUN = "_coreheads_begun"
"""On a cache that holds the beginning of prompts: by layer its last queries, which may observe."""


class Eviction:
    """What one patch evicts from the caches of one language model.

    A prefill is a call of the language model with an empty cache, in pieces (``chunked_prefill``) or not. As soon as a
    layer has attended to the whole of it, its place in the cache is taken by one that holds what stays, and all else
    is freed, before the next layer's keys come. Tokens of later calls are all kept.

    Of a beginning that prompts share (``PreallocatedCache.beginning``) nothing is evicted: the prefill is the next call
    with a copy of its cache, and the beginning's last queries observe too where the rest has too few.

    Where the patch is to choose without the question, the prefill ends with the prompt's last vision token: the call is
    parted there, and its second part is a later call.

    Where tokens are dropped a layer is given fewer, all in one call: what stays is chosen of those.

    vision: gives where a call's vision tokens are, bool [batch, tokens].
    """

    def __init__(self, patch: AttentionHooks, vision: Callable[[], Tensor | None]) -> None:
        self.patch, self._vision = patch, vision
        self._cache: Cache | None = None
        self._tokens = 0
        self._at_once = False
        self._last: dict[int, Tensor] = {}

    def begin(
        self, cache: Cache | None, tokens: int, at_once: bool = False, begun: Mapping[int, Tensor] | None = None
    ) -> None:
        """A prefill of so many tokens, padding included; none of a cache that is None. ``at_once``: each layer has all
        that it is given in one call, be it fewer. ``begun``: the last queries of what the cache holds already."""
        self._at_once = at_once
        self._cache, self._tokens = cache, self._asked_from(tokens) if self.patch.unseen and tokens else tokens
        self._last = dict(begun or {})

    def end(self) -> None:
        """The call is over; of a mere beginning the last queries are left on its cache."""
        if getattr(self._cache, "beginning", False):
            setattr(self._cache, BEGUN, self._last)
        self.begin(None, 0)

    def _asked_from(self, tokens: int) -> int:
        """Where the question begins; UserError for a batch, ValueError where vision tokens cannot be told."""
        vision = self._vision()
        if vision is None:
            raise ValueError("keys cannot be chosen without the question: call the model with input_ids")
        if vision.shape[0] > 1:
            raise ValueError("keys are chosen without the question for one prompt at a time")
        shown = vision[0, :tokens].nonzero()
        return int(shown[-1]) + 1 if len(shown) else 0

    def parts(self, length: int, held: int) -> list[int]:
        """Lengths of the parts of a call of so many tokens, before which the cache holds ``held``."""
        first = self._tokens - held
        return [first, length - first] if self._cache is not None and 0 < first < length else [length]

    def attended(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scaling: float,
        groups: tuple[Group, ...],
        starts: Sequence[int],
        vision: Tensor | None,
        chosen: Sequence[KeyBlocks | None],
    ) -> None:
        """A layer has attended: query [B, H, Q, D], key and value [B, Hkv, K, D], as ``Control.attend`` has
        them; ``chosen`` for each sample."""
        if self._cache is None or key.shape[2] > self._tokens:
            return
        before, total = self._last.pop(layer, None), key.shape[2]
        last = query[:, :, -self.patch.evicts :]
        if before is not None:
            last = torch.cat([before, last], 2)[:, :, -self.patch.evicts :]
        if total < self._tokens and not self._at_once:
            self._last[layer] = last.clone()
            return
        kept: list[Sequence[Tensor] | None] = []
        for sample, start in enumerate(starts):
            one = slice(sample, sample + 1)
            states = last[one, :, start - total :], key[one, :, start:], value[one, :, start:]
            seen = None if vision is None else vision[sample, start:]
            step = Step(layer, sample, *states, scaling, groups, seen, chosen[sample])
            with choosing(sample, step.like(self.patch), key.device):
                kept.append(self.patch.kept_keys(step))
        if all(tokens is None for tokens in kept):
            return
        whole = [[torch.arange(total - start, device=key.device)] * key.shape[1] for start in starts]
        stays = [every if tokens is None else tokens for tokens, every in zip(kept, whole, strict=True)]
        self._cache.layers[layer] = KeptLayer(key, value, stays, starts)


@contextmanager
def evicting(model: nn.Module, eviction: Eviction) -> Iterator[None]:
    """Inside the block every prefill of the model is followed by eviction.

    A call that may use a cache and has none is given one. UserError for a cache that evicts by itself, and for one that
    was filled outside of the block.
    """
    decoder: Any = language_model(model)
    name = getattr(eviction.patch, "name", type(eviction.patch).__name__)

    def enter(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        cache, wanted = cache_of(kwargs), kwargs.get("use_cache")
        if cache is None:
            if not (decoder.config.use_cache if wanted is None else wanted):
                return None
            cache = DynamicCache(config=decoder.config)
            kwargs = {**kwargs, cache_argument(decoder): cache}
        if isinstance(cache, EvictingCache):
            raise UserError(f"{name}: the cache evicts by itself, expected one that keeps all keys")
        beginning = getattr(cache, "beginning", False)
        held, begun = int(cache.get_seq_length()), vars(cache).pop(BEGUN, None)
        if not held or begun is not None:
            setattr(cache, PREFILLED, not beginning)
            embedded: Tensor | None = kwargs.get("inputs_embeds")
            read: Tensor = kwargs["input_ids"] if embedded is None else embedded
            tokens = sys.maxsize if beginning else held + read.shape[1]
            eviction.begin(cache, tokens, any(owner.drops for owner in prompt_owners(model)), begun)
        elif not getattr(cache, PREFILLED, False):
            raise UserError(f"{name}: the cache was filled without the patch, expected a prefill in its block")
        return args, kwargs

    def leave(_module: nn.Module, _args: tuple[Any, ...], _output: Any) -> None:
        eviction.end()

    hooks = [
        decoder.register_forward_pre_hook(enter, with_kwargs=True),
        decoder.register_forward_hook(leave, always_call=True),
    ]
    try:
        with caches_cut(model), in_parts(model, eviction.parts, "all") if eviction.patch.unseen else nullcontext():
            yield
    finally:
        for hook in hooks:
            hook.remove()
