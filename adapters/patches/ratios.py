"""What reading a prompt cost over what it costs the dense model: from counts, and from the model's own shapes."""

from __future__ import annotations

import torch
from torch import nn

from coreheads.adapters.generation.work import Work, held_bytes
from coreheads.adapters.kernels.evicting_cache import EvictingCache
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.cost import Shape, dense_flops, flops
from coreheads.errors import UserError


class Ratios:
    """Of prompts that a model reads under one patch; the language model's prefill only.

    Not in any of them: the vision tower, embeddings, the last layer's logits, norms and other work without products.
    """

    def __init__(self, model: nn.Module, patch: Patch) -> None:
        self.model, self.patch, self.shape = model, patch, Shape.of(model)
        self._own: dict[tuple[int, ...], int] = {}

    def of(self, tokens: int, work: Work) -> dict[str, float]:
        """Of a prompt of so many tokens: ``matrix_ratio``, ``pairs_ratio``, ``flops_ratio``, ``kv_ratio``.

        matrix_ratio: tokens that entered the layers, over layers x tokens.
        pairs_ratio: query-key pairs given to kernels, over the causal pairs of all layers and heads.
        flops_ratio: FLOPs of the layers' matrices for the tokens that entered them, 4 x head_dim for each pair, and
            those of what chooses, over the first two of the dense model.
        kv_ratio: bytes of keys and values held after the prompt, over those of all tokens. Where the patch has a cache
            of its own, it is that one's, given as many tokens in each layer: the one that is timed.
        """
        shape = self.shape
        spent = flops(shape, work.tokens, work.pairs) + work.choice_flops
        whole = shape.layers * shape.kv_heads * tokens * 2 * shape.head_dim * self._dtype.itemsize
        return {
            "matrix_ratio": sum(work.tokens) / (shape.layers * tokens),
            "pairs_ratio": work.pairs / shape.dense_pairs(tokens),
            "flops_ratio": spent / dense_flops(shape, tokens),
            "kv_ratio": self._held(work) / whole,
        }

    @property
    def _dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.model.dtype  # type: ignore[assignment]
        return dtype

    def _held(self, work: Work) -> int:
        """Bytes by the patch's own cache; asked of it once for the same counts of tokens, with shapes alone."""
        if work.tokens not in self._own:
            try:
                cache = self.patch.cache(self.model)
            except UserError:  # a ceiling: its answers mean nothing
                cache = None
            if not isinstance(cache, EvictingCache):
                return work.kv_bytes
            for layer, tokens in zip(cache.layers, work.tokens, strict=True):
                sizes = 1, self.shape.kv_heads, tokens, self.shape.head_dim
                states = torch.empty(sizes, dtype=self._dtype, device="meta")
                layer.update(states, states)
                layer.store(states, states, [0])
            self._own[work.tokens] = sum(held_bytes(layer, 0, 0) for layer in cache.layers)
        return self._own[work.tokens]
