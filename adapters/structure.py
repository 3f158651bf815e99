"""Where a transformers model keeps its text decoder, the same way for every supported family."""

from __future__ import annotations

from torch import nn


def language_model(model: nn.Module) -> nn.Module:
    """The text decoder (never the vision tower) of a ``*ForConditionalGeneration`` model or of its ``.model``."""
    inner = getattr(model, "model", model)
    decoder = getattr(inner, "language_model", None)
    if not isinstance(decoder, nn.Module) or not hasattr(decoder, "layers"):
        raise TypeError(f"{type(model).__name__} has no model.language_model.layers: not a supported multimodal model")
    return decoder


def attention_modules(model: nn.Module) -> list[nn.Module]:
    """The decoder's self-attention modules, one a layer, in layer order."""
    return [layer.self_attn for layer in language_model(model).layers]  # type: ignore[union-attr]


def head_shape(model: nn.Module) -> tuple[int, int, int]:
    """(layers, query heads, KV heads) of the language model."""
    config = language_model(model).config
    return config.num_hidden_layers, config.num_attention_heads, config.num_key_value_heads  # type: ignore[union-attr, return-value]
