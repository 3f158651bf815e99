"""What a prefill costs, by arithmetic: the language model's matrix products and its query-key pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from coreheads.adapters.generation.structure import language_model
from coreheads.adapters.kernels.local import block_pairs
from coreheads.adapters.kernels.work_count import causal_pairs
from coreheads.adapters.patches.tower import TowerShape


@dataclass(frozen=True)
class Shape:
    """Sizes of a language model whose layers are attention and a gated feed-forward network of three matrices.

    Attributes:
        layers: Number of layers.
        hidden: Width of the hidden states.
        heads: Query heads of a layer.
        kv_heads: Key-value heads of a layer.
        head_dim: Width of a head.
        ffn: By layer, how wide the feed-forward network is that a token goes through; with experts, the active ones
            together.
        experts: By layer, how many experts a router scores; 0 where there is none.
        tower: The vision tower's, where that is known.
        in_blocks: Whether windowed heads are computed in blocks of queries, as a CPU does.
    """

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: tuple[int, ...]
    experts: tuple[int, ...] = ()
    tower: TowerShape | None = None
    in_blocks: bool = False

    @classmethod
    def of(cls, model: nn.Module) -> Shape:
        """The shape of a multimodal model where it is, by its configuration."""
        language: Any = language_model(model)
        on_cpu = language.device.type == "cpu"
        return replace(cls.of_config(language.config), tower=TowerShape.of(model), in_blocks=on_cpu)

    @classmethod
    def of_config(cls, config: Any) -> Shape:
        """The shape that a language model's transformers configuration says."""
        layers, heads, wide = config.num_hidden_layers, config.num_attention_heads, config.intermediate_size
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
        ffn, routed = [wide] * layers, [0] * layers
        experts = getattr(config, "num_experts", None) or 0
        every, plain = getattr(config, "decoder_sparse_step", 1), getattr(config, "mlp_only_layers", None) or ()
        for layer in range(layers):
            if experts and layer not in plain and (layer + 1) % every == 0:
                ffn[layer] = config.num_experts_per_tok * config.moe_intermediate_size
                routed[layer] = experts
        return cls(layers, config.hidden_size, heads, config.num_key_value_heads, head_dim, tuple(ffn), tuple(routed))

    def token_flops(self, layer: int) -> int:
        """FLOPs of a layer's matrices on one token, 2 a multiplication with addition: the four projections of
        attention, the feed-forward network, and the router where there is one."""
        attention = 2 * (self.heads + self.kv_heads) * self.head_dim
        routed = self.experts[layer] if self.experts else 0
        return 2 * self.hidden * (attention + 3 * self.ffn[layer] + routed)

    def dense_pairs(self, tokens: int) -> int:
        """Query-key pairs of a dense causal prefill of so many tokens, over all layers and heads."""
        return self.layers * self.heads * causal_pairs(tokens, tokens)

    def near_pairs(self, tokens: int, sink: int, window: int) -> int:
        """Query-key pairs that a sink + window head is given in a prefill of so many tokens."""
        return (block_pairs if self.in_blocks else window_pairs)(tokens, sink, window)


def flops(shape: Shape, tokens: Sequence[int], pairs: float) -> float:
    """FLOPs of a prefill by the language model; norms, rotary positions, softmax and the logits are left out.

    Args:
        shape: The model's.
        tokens: By layer, how many tokens enter it.
        pairs: Query-key pairs that attention computes, over all layers and heads: each takes a product of length
            ``head_dim`` for its score, and another for its value.

    Returns:
        The matrices' FLOPs and ``4 * head_dim`` a pair.
    """
    matrices = sum(count * shape.token_flops(layer) for layer, count in enumerate(tokens))
    return matrices + 4 * shape.head_dim * pairs


def dense_flops(shape: Shape, tokens: int) -> float:
    """FLOPs of the dense prefill of so many tokens."""
    return flops(shape, [tokens] * shape.layers, shape.dense_pairs(tokens))


def window_pairs(tokens: int, sink: int, window: int) -> int:
    """Query-key pairs of one head that sees the first ``sink`` and the last ``window`` tokens, in a prefill."""
    near = min(tokens, sink + window)
    return causal_pairs(near, near) + (tokens - near) * near
