"""Where a transformers model keeps its text decoder, the same way for every supported family."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from torch import nn

CACHE_NAMES = ("cache", "past_key_values")
"""What a forward call names its key-value cache: the first from transformers 5.24 on, the second before."""
_OWNERS = "_coreheads_one_prompt"
_PROMPTS = "_coreheads_prompts"
_EVICTS = "_coreheads_evicts"


def language_model(model: nn.Module) -> nn.Module:
    """The text decoder (never the vision tower) of a ``*ForConditionalGeneration`` model or of its ``.model``."""
    inner = getattr(model, "model", model)
    decoder = getattr(inner, "language_model", None)
    if not isinstance(decoder, nn.Module) or not hasattr(decoder, "layers"):
        raise TypeError(f"{type(model).__name__} has no model.language_model.layers: not a supported multimodal model")
    return decoder


def vision_tower(model: nn.Module) -> nn.Module:
    """The vision tower of a ``*ForConditionalGeneration`` model."""
    inner: Any = getattr(model, "model", model)
    tower: nn.Module = inner.visual if hasattr(inner, "visual") else inner.vision_tower
    return tower


def attention_modules(model: nn.Module) -> list[nn.Module]:
    """The decoder's self-attention modules, one a layer, in layer order."""
    return [layer.self_attn for layer in language_model(model).layers]  # type: ignore[union-attr]


def head_shape(model: nn.Module) -> tuple[int, int, int]:
    """(layers, query heads, KV heads) of the language model."""
    config = language_model(model).config
    return config.num_hidden_layers, config.num_attention_heads, config.num_key_value_heads  # type: ignore[union-attr, return-value]


@contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """Give an object an attribute of its own inside the block; afterwards it has the one before, or its class's."""
    before = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is None:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


def one_prompt_only(model: nn.Module, owner: object) -> AbstractContextManager[None]:
    """Inside the block the language model says that it takes one whole prompt at a time, because of ``owner``."""
    return replaced(language_model(model), _OWNERS, (*prompt_owners(model), owner))


def prompt_owners(model: nn.Module) -> tuple[Any, ...]:
    """Because of what the language model takes one whole prompt at a time; empty where it does not."""
    owners: tuple[Any, ...] = getattr(language_model(model), _OWNERS, ())
    return owners


def caches_cut(model: nn.Module) -> AbstractContextManager[None]:
    """Inside the block the language model says that the caches of its prefills do not keep all."""
    return replaced(language_model(model), _EVICTS, True)


def cuts_caches(model: nn.Module) -> bool:
    """Whether the caches of the language model's prefills do not keep all, so that none may be taken back."""
    return hasattr(language_model(model), _EVICTS)


def reading(model: nn.Module, prompts: Sequence[Any]) -> AbstractContextManager[None]:
    """Inside the block the language model says which prompts the rows of its batch are."""
    return replaced(language_model(model), _PROMPTS, tuple(prompts))


def prompts_read(model: nn.Module) -> tuple[Any, ...]:
    """The prompts that the language model reads; empty where the caller has not said."""
    prompts: tuple[Any, ...] = getattr(language_model(model), _PROMPTS, ())
    return prompts


def context_limit(model: nn.Module) -> int | None:
    """The most tokens of a prompt that the configuration names; None where it does not say."""
    config = getattr(model, "config", None)
    text = getattr(config, "text_config", None) or config
    limit = getattr(text, "max_position_embeddings", None)
    if not isinstance(limit, int) or isinstance(limit, bool):
        return None
    rope = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None) or {}
    if rope.get("rope_type", rope.get("type")) == "dynamic":  # made to go beyond what the configuration names
        return int(limit * rope.get("factor", 1))
    return limit


def beyond_context(model: nn.Module, prompt: Any) -> str:
    """Why a prompt is too long for the model; an empty text where it is not, or the configuration does not say."""
    limit = context_limit(model)
    if limit is None or prompt.tokens <= limit:
        return ""
    return f"its prompt has {prompt.tokens} tokens, more than the {limit} that the model takes"


def cache_argument(model: nn.Module) -> str:
    """The name under which the model's forward takes its key-value cache."""
    return next(name for name in CACHE_NAMES if name in inspect.signature(type(model).forward).parameters)


def cache_of(call: Mapping[str, Any]) -> Any:
    """The cache among a forward call's keyword arguments, or of what it returned; None when there is none."""
    return next((call[name] for name in CACHE_NAMES if call.get(name) is not None), None)
