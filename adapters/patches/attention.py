"""One attention name for every patch: registered with transformers once, switched on for a language model at a time.

The vision tower keeps its own implementation. One Control hangs on the text attention modules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from coreheads.adapters.generation.structure import (
    attention_modules,
    language_model,
    one_prompt_only,
    prompt_owners,
)
from coreheads.adapters.patches.control import Control
from coreheads.adapters.patches.eviction import Eviction, evicting
from coreheads.adapters.patches.hooks import AttentionHooks
from coreheads.adapters.patches.vision import track_vision
from coreheads.errors import UserError

# transformers treats some names specially: none may contain "flash", "flex" or "sdpa".
NAME = "coreheads"
CONTROL = "_coreheads"


@contextmanager
def attached(model: nn.Module, patch: AttentionHooks) -> Iterator[nn.Module]:
    """Have ``patch`` act on the model's language model inside the block, innermost of those that are active.

    UserError where a layer has sliding window attention, and where the patch goes by positions while tokens are
    dropped. Nothing is left afterwards; the block gets the model.
    """
    register()
    decoder, modules = language_model(model), attention_modules(model)
    only_full_attention(model)
    if by_position(patch) and (droppers := [owner.name for owner in prompt_owners(model) if owner.drops]):
        raise UserError(f"{type(patch).__name__} goes by tokens' positions, which {droppers[0]} changes: not together")
    config: Any = decoder.config
    control: Control | None = getattr(modules[0], CONTROL, None)
    if control is None:
        control = Control(config._attn_implementation, config.num_attention_heads)
    with ExitStack() as cleanup:
        if patch.sparse and any(other.sparse for other in control.patches):
            raise UserError("another active patch chooses key blocks, expected one that does")
        control.add(patch)
        cleanup.callback(_detach, control, patch, config, modules)
        for module in modules:
            setattr(module, CONTROL, control)
        config._attn_implementation = NAME
        if patch.single:
            cleanup.enter_context(one_prompt_only(model, patch))
        if patch.needs_vision:
            cleanup.enter_context(track_vision(model, control))
        if patch.evicts:
            if control.eviction is not None:
                raise UserError("another active patch evicts keys, expected one that does")
            control.eviction = Eviction(patch, lambda: control.vision)
            cleanup.callback(setattr, control, "eviction", None)
            cleanup.enter_context(evicting(model, control.eviction))
        yield model


def only_full_attention(model: nn.Module) -> None:
    """UserError where a layer of the model has sliding window attention."""
    if any(getattr(module, "sliding_window", None) for module in attention_modules(model)):
        raise UserError(f"{type(model).__name__} has sliding window layers, expected full attention in every layer")


def by_position(patch: AttentionHooks) -> bool:
    """Whether a patch needs to know which token of the prompt a key is."""
    return patch.observes or patch.needs_vision


def active(model: nn.Module) -> list[AttentionHooks]:
    """What acts on the attention of the model's language model, outermost first."""
    control: Control | None = getattr(attention_modules(model)[0], CONTROL, None)
    return [] if control is None else list(control.patches)


def _detach(control: Control, patch: AttentionHooks, config: Any, modules: list[nn.Module]) -> None:
    control.remove(patch)
    if not control.patches:
        config._attn_implementation = control.implementation
        for module in modules:
            delattr(module, CONTROL)


@cache
def register() -> None:
    """Make the name known to transformers; done when a patch is first used, never at import."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, padding_mask)


def padding_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: int | Tensor = 0,
    kv_offset: int = 0,
    mask_function: Callable[..., Any] | None = None,
    attention_mask: Tensor | None = None,
    device: torch.device | str = "cpu",
    **kwargs: Any,
) -> Tensor | None:
    """The mask that ``attention`` gets: bool [batch, tokens so far], or None when all of them are real.

    It is never queries x keys. Left padding is supported; right padding, packed sequences and sliding caches are not.
    """
    from transformers.masking_utils import causal_mask_function

    if (mask_function is not None and mask_function is not causal_mask_function) or kv_offset:
        raise ValueError("coreheads patches support plain causal prompts only: no packed sequences, no sliding caches")
    total = int(q_offset) + q_length
    if attention_mask is None:
        # A static cache has more slots than tokens: the width tells the attention function how many are filled.
        return None if kv_length == total else torch.ones(batch_size, total, dtype=torch.bool, device=device)
    real = attention_mask[:, :total].bool()
    if real.shape[1] != total:
        raise ValueError(f"attention_mask has {real.shape[1]} columns, expected {total}: one for every token so far")
    if bool((real[:, :-1] & ~real[:, 1:]).any()):
        raise ValueError("attention_mask has padding after a real token, expected padding on the left only")
    return None if kv_length == total and bool(real.all()) else real


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """The attention function, as transformers calls it: the output [B, Q, H, D], and None in place of weights.

    query [B, H, Q, D], key and value [B, Hkv, K, D] or what an evicting cache gave in their place, attention_mask what
    ``padding_mask`` gave. ValueError where the model is in training, or the mask is not a [batch, tokens] one.
    """
    control: Control | None = getattr(module, CONTROL, None)
    if control is None:
        # Not a text module of a patched model, for example a vision tower that was given the name: attend as usual.
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        output: tuple[Tensor, Tensor | None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return output
    if dropout:
        raise ValueError("coreheads patches are for inference: call model.eval() first")
    if attention_mask is not None and attention_mask.ndim != 2:
        raise ValueError("coreheads patches build their own masks: pass a [batch, tokens] attention_mask or none")
    layer: int = module.layer_idx  # type: ignore[assignment]
    scale = query.shape[3] ** -0.5 if scaling is None else scaling
    return control.attend(layer, query, key, value, attention_mask, scale), None
