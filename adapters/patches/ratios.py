"""What reading a prompt cost over what it costs the dense model: from counts, and from the model's own shapes."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from coreheads.adapters.generation.structure import head_shape, language_model
from coreheads.adapters.generation.work import Work, held_bytes
from coreheads.adapters.kernels.evicting_cache import EvictingCache
from coreheads.adapters.kernels.work_count import causal_pairs
from coreheads.adapters.patches.base import Patch
from coreheads.errors import UserError


class Ratios:
    """Of prompts that a model reads under one patch; the language model's prefill only.

    Not in any of them: the vision tower, embeddings, the last layer's logits, norms and other work without products.
    """

    def __init__(self, model: nn.Module, patch: Patch) -> None:
        self.layers, self.heads, self.kv_heads = head_shape(model)
        self.model, self.patch = model, patch
        decoder: Any = language_model(model)
        self.width = int(decoder.layers[0].self_attn.head_dim)
        self.flops = [token_flops(layer) for layer in decoder.layers]
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
        pairs = self.layers * self.heads * causal_pairs(tokens, tokens)
        dense = tokens * sum(self.flops) + 4 * self.width * pairs
        entered = sum(count * flops for count, flops in zip(work.tokens, self.flops, strict=True))
        whole = self.layers * self.kv_heads * tokens * 2 * self.width * self._dtype.itemsize
        return {
            "matrix_ratio": sum(work.tokens) / (self.layers * tokens),
            "pairs_ratio": work.pairs / pairs,
            "flops_ratio": (entered + 4 * self.width * work.pairs + work.choice_flops) / dense,
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
                shape = 1, self.kv_heads, tokens, self.width
                states = torch.empty(shape, dtype=self._dtype, device="meta")
                layer.update(states, states)
                layer.store(states, states, [0])
            self._own[work.tokens] = sum(held_bytes(layer, 0, 0) for layer in cache.layers)
        return self._own[work.tokens]


def token_flops(layer: nn.Module) -> int:
    """FLOPs of a decoder layer's matrices for one token: two for each number of them, of experts the active share."""
    total = 0.0
    for name, module in layer.named_modules():
        share = _active(layer) if "experts" in name.split(".") else 1.0
        if hasattr(module, "in_features") and hasattr(module, "out_features"):  # also where weights are packed
            total += 2 * share * module.in_features * module.out_features
        else:
            own = (part for part in module.parameters(recurse=False) if part.ndim > 1)
            total += 2 * share * sum(part.numel() for part in own)
    return round(total)


def _active(layer: Any) -> float:
    """The share of a layer's experts that a token goes to."""
    config = next(module.config for module in (layer.mlp, layer.self_attn) if hasattr(module, "config"))
    return float(config.num_experts_per_tok / config.num_experts)
