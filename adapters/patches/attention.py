"""One attention name for every patch: registered with transformers once, switched on for a language model at a time.

``attached(model, hooks)`` puts a patch or a probe on the model's stack, names ``coreheads`` as the attention
implementation of the text configuration, and hangs one Control on the text attention modules. Leaving the block takes
all of it away. The vision tower keeps its own implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from coreheads.adapters.generation.structure import attention_modules, language_model
from coreheads.adapters.kernels.dispatch import attend
from coreheads.adapters.kernels.evicting import RaggedStates
from coreheads.adapters.kernels.ragged import attend_ragged
from coreheads.adapters.kernels.rules import Group, group_heads
from coreheads.adapters.patches.hooks import AttentionHooks, Step
from coreheads.adapters.patches.vision import track_vision
from coreheads.errors import UserError

# transformers treats some names specially: none may contain "flash", "flex" or "sdpa".
NAME = "coreheads"
CONTROL = "_coreheads"


class Control:
    """The patches that are active on one language model, outermost first, and what they share in a forward call."""

    def __init__(self, implementation: str) -> None:
        self.implementation = implementation
        self.patches: list[AttentionHooks] = []
        self.vision: Tensor | None = None
        self._groups: dict[int, tuple[Group, ...]] = {}
        self._mask: Tensor | None = None
        self._starts: list[int] = []

    def add(self, patch: AttentionHooks) -> None:
        """Put a patch innermost."""
        self.patches.append(patch)
        self._groups.clear()

    def remove(self, patch: AttentionHooks) -> None:
        """Take one patch away, by identity: equal patches may be nested."""
        index = max(i for i, active in enumerate(self.patches) if active is patch)
        del self.patches[index]
        self._groups.clear()

    def groups(self, layer: int, heads: int) -> tuple[Group, ...]:
        """The layer's heads by what they may see."""
        if layer not in self._groups:
            self._groups[layer] = group_heads(heads, [patch.rules(layer, heads) for patch in self.patches])
        return self._groups[layer]

    def starts(self, mask: Tensor | None, batch: int) -> list[int]:
        """How much of each sample is padding; all layers of a forward call get one mask, which is read once."""
        if mask is None:
            return [0] * batch
        if mask is not self._mask:
            self._mask, self._starts = mask, (~mask).sum(1).tolist()
        return self._starts


@contextmanager
def attached(model: nn.Module, patch: AttentionHooks) -> Iterator[nn.Module]:
    """Have ``patch`` act on the model's language model inside the block; nothing of it is left afterwards."""
    register()
    decoder, modules = language_model(model), attention_modules(model)
    if any(getattr(module, "sliding_window", None) for module in modules):
        raise UserError(f"{type(model).__name__} has sliding window layers, expected full attention in every layer")
    config: Any = decoder.config
    control: Control | None = getattr(modules[0], CONTROL, None)
    if control is None:
        control = Control(config._attn_implementation)
    with ExitStack() as cleanup:
        control.add(patch)
        cleanup.callback(_detach, control, patch, config, modules)
        for module in modules:
            setattr(module, CONTROL, control)
        config._attn_implementation = NAME
        if patch.needs_vision:
            cleanup.enter_context(track_vision(model, control))
        yield model


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
    """The attention function: [B, H, Q, D] queries, [B, Hkv, K, D] keys and values -> ([B, Q, H, D], None)."""
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
    return _patched(control, module, query, key, value, attention_mask, scaling), None


def _patched(
    control: Control,
    module: nn.Module,
    query: Tensor,
    key: Tensor | RaggedStates,
    value: Tensor | RaggedStates,
    mask: Tensor | None,
    scaling: float | None,
) -> Tensor:
    layer: int = module.layer_idx  # type: ignore[assignment]
    scale = query.shape[3] ** -0.5 if scaling is None else scaling
    batch, heads, rows, _ = query.shape
    groups = control.groups(layer, heads)
    starts = control.starts(mask, batch)
    for patch in control.patches:
        query = patch.edit_query(layer, query)
    if isinstance(key, RaggedStates):
        if any(patch.observes for patch in control.patches):
            raise ValueError("attention cannot be measured over an evicting cache: the keys are gone")
        total = key.seen
        output = attend_ragged(query, key, groups, starts, scale, control.vision)
    else:
        assert isinstance(value, Tensor)
        total = key.shape[2] if mask is None else mask.shape[1]
        key, value = key[:, :, :total], value[:, :, :total]
        output = _by_sample(control, layer, query, key, value, groups, starts, scale)
    real = [max(0, min(rows, total - start)) for start in starts]
    for patch in control.patches:
        output = patch.edit_output(layer, output, real)
    return output.contiguous()


def _by_sample(
    control: Control,
    layer: int,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    groups: tuple[Group, ...],
    starts: list[int],
    scaling: float,
) -> Tensor:
    """Attend for the batch at once where all samples are alike, else each sample without its padding."""
    observers = [patch for patch in control.patches if patch.observes]
    vision = control.vision
    together = not any(starts) and vision is None
    if together:
        output = attend(query, key, value, scaling, groups, None)
        if not observers:
            return output
    else:
        output = query.new_zeros(query.shape[0], query.shape[2], query.shape[1], value.shape[3])
    for sample, start in enumerate(starts):
        rows = min(query.shape[2], key.shape[2] - start)
        if rows <= 0:
            continue
        step = Step(
            layer,
            sample,
            query[sample : sample + 1, :, -rows:],
            key[sample : sample + 1, :, start:],
            value[sample : sample + 1, :, start:],
            scaling,
            groups,
            None if vision is None else vision[sample, start:],
        )
        if not together:
            output[sample, -rows:] = attend(step.query, step.key, step.value, scaling, groups, step.vision)[0]
        for patch in observers:
            patch.observe(step)
    return output
