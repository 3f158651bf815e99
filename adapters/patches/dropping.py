"""Tokens that are dropped before a layer, through transformers' own forward: from there on the sequence is shorter.

A model computes rotary positions and masks once for the whole prompt and hands them to every layer. Hooks before the
layers cut them, and the hidden states, to the tokens that are still there; so each keeps its own position. The features
that DeepStack adds after the first layers are cut alike. A layer's cache holds the tokens that the layer saw; nothing
is dropped while an answer is decoded, when a query reads whatever its layer's cache holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from coreheads.adapters.generation.structure import cache_of, language_model, one_prompt_only, prompt_owners
from coreheads.adapters.patches.attention import active, by_position, only_full_attention
from coreheads.adapters.patches.hooks import AttentionHooks, Cut
from coreheads.adapters.patches.vision import vision_ids
from coreheads.errors import UserError


@contextmanager
def dropped(model: nn.Module, patch: AttentionHooks) -> Iterator[nn.Module]:
    """Inside the block prompts lose the tokens that ``patch.stay`` does not name; the block gets the model.

    One prompt at a time, in one forward call that has its ``input_ids``, with a cache that grows; later calls with its
    cache have no vision tokens, and ``position_ids`` where a token was dropped before layer 0. Logits and hidden states
    are those of the tokens that are left. ValueError in a call that is otherwise. Patches on heads nest with it and go
    by the places of the tokens that are left; UserError for what must know the positions in the prompt.
    """
    name: str = getattr(patch, "name", type(patch).__name__)
    only_full_attention(model)
    known = [type(other).__name__ for other in active(model) if by_position(other)]
    known += [owner.name for owner in prompt_owners(model) if owner.drops]
    if known:
        raise UserError(f"{known[0]} goes by tokens' positions, which {name} changes: not together")
    decoder: Any = language_model(model)
    inner: nn.Module = getattr(model, "model", model)
    run = _Run(patch, name, vision_ids(model))
    with ExitStack() as cleanup:
        cleanup.enter_context(one_prompt_only(model, patch))
        hooks = [inner.register_forward_pre_hook(run.begin, with_kwargs=True)]
        hooks += [inner.register_forward_hook(run.end, always_call=True)]
        for number, layer in enumerate(decoder.layers):
            hooks.append(layer.register_forward_pre_hook(partial(run.before, number), with_kwargs=True))
        for hook in hooks:
            cleanup.callback(hook.remove)
        if hasattr(decoder, "_deepstack_process"):
            cleanup.enter_context(_replaced(decoder, "_deepstack_process", run.deepstack(decoder._deepstack_process)))
        yield model


class _Run:
    """One forward call after the other under a patch that drops tokens.

    ``places`` are those of the tokens that are still there, [L]; None outside of a call that reads a prompt.
    ``shared`` is what all layers up to the next cut are given: (cos, sin) and the mask.
    """

    def __init__(self, patch: AttentionHooks, name: str, vision: Tensor) -> None:
        self.patch, self.name, self.vision = patch, name, vision
        self.places: Tensor | None = None
        self.ids: Tensor | None = None
        self.is_vision: Tensor | None = None
        self.shared: dict[str, Any] | None = None
        self.past: Any = None
        self.length = 0

    def end(self, *_: object) -> None:
        """Forget the call."""
        self.places = self.ids = self.is_vision = self.shared = self.past = None

    def begin(self, _module: nn.Module, args: tuple[Any, ...], call: dict[str, Any]) -> None:
        """Look at a forward call of the whole model; ValueError where its tokens could not be dropped."""
        self.end()
        ids, past, mask = call.get("input_ids", args[0] if args else None), cache_of(call), call.get("attention_mask")
        if ids is None:
            raise ValueError(f"{self.name} cannot tell vision tokens: call the model with input_ids")
        if ids.shape[0] != 1 or (isinstance(mask, Tensor) and mask.ndim == 2 and not bool(mask.all())):
            raise ValueError(f"{self.name} takes one prompt at a time, without padding")
        if any(getattr(layer, "is_compileable", False) for layer in getattr(past, "layers", ())):
            raise ValueError(f"{self.name} needs a cache that grows, got a static one")
        is_vision = torch.isin(ids[0], self.vision.to(ids.device))
        some = len(is_vision) > 1 and bool(is_vision.any())  # no device is waited for while an answer is decoded
        if past is not None and past.get_seq_length():
            if some:
                raise ValueError(f"{self.name} needs the whole prompt in one forward call: its cache holds a part")
            if call.get("position_ids") is None:
                raise ValueError(f"{self.name}: call the model with position_ids, its cache is shorter than the prompt")
            self.past = past
        elif some:
            self.ids, self.is_vision, self.length = ids[0], is_vision, ids.shape[1]
            self.places = torch.arange(self.length, device=ids.device)

    def before(self, layer: int, _module: nn.Module, args: tuple[Any, ...], call: dict[str, Any]) -> Any:
        """A layer's arguments, cut to what is left before it."""
        if self.past is not None and (mask := self._fitting(layer, args, call)) is not None:
            return args, {**call, "attention_mask": mask}
        if self.places is None:
            return None
        hidden = args[0] if args else call["hidden_states"]
        stay = self._stay(layer, hidden)
        if stay is not None:
            self.places, hidden, self.shared = self.places[stay.to(self.places.device)], hidden[:, stay], None
        if len(self.places) == self.length:
            return None
        if self.shared is None:
            self.shared = self._cut(call)
        # positions with gaps would be taken for packed sequences by FlashAttention; rotary ones are in cos and sin
        call = {**call, **self.shared, "position_ids": None}
        return ((hidden, *args[1:]), call) if args else (args, {**call, "hidden_states": hidden})

    def deepstack(self, plain: Any) -> Any:
        """``_deepstack_process`` on the tokens that are left."""

        def process(hidden: Tensor, shown: Tensor, features: Tensor) -> Any:
            if self.places is not None and len(self.places) < self.length:
                left = torch.zeros(self.length, dtype=torch.bool, device=self.places.device)
                left[self.places] = True
                # a row of features for each True of the mask
                features = features[left.to(features.device)[shown[0].to(features.device)]]
                shown = shown[:, self.places.to(shown.device)]
            return plain(hidden, shown, features)

        return process

    def _stay(self, layer: int, hidden: Tensor) -> Tensor | None:
        """Bool [L], where some of the tokens do not stay."""
        assert self.places is not None
        assert self.ids is not None
        assert self.is_vision is not None
        cut = Cut(layer, hidden[0], *(about.to(hidden.device) for about in (self.places, self.ids, self.is_vision)))
        stay = self.patch.stay(cut)
        if stay is None:
            return None
        stay = stay.to(hidden.device)
        if stay.dtype != torch.bool or stay.shape != self.places.shape or bool((~stay & ~cut.vision).any()):
            raise ValueError(f"{self.name}: stay gave what is no bool [{len(self.places)}] that keeps all text")
        return None if bool(stay.all()) else stay

    def _cut(self, call: dict[str, Any]) -> dict[str, Any]:
        """cos and sin [1, L, rotary], and the mask, of the tokens that are left."""
        assert self.places is not None
        cos, sin = (states[:, self.places.to(states.device)] for states in call["position_embeddings"])
        mask = self._mask(call)
        if mask is not None:
            places = self.places.to(mask.device)
            mask = mask[..., places] if mask.ndim == 2 else mask[..., places, :][..., places]
        return {"position_embeddings": (cos, sin), "attention_mask": mask}

    def _fitting(self, layer: int, args: tuple[Any, ...], call: dict[str, Any]) -> Tensor | None:
        """The mask of new tokens, made for the first layer's cache, for this layer's shorter one: all old keys are
        seen, the last ones causally."""
        mask = self._mask(call)
        if mask is None:
            return None
        new = args[0] if args else call["hidden_states"]
        return mask[..., -(self.past.get_seq_length(layer) + new.shape[1]) :]

    def _mask(self, call: dict[str, Any]) -> Tensor | None:
        mask = call.get("attention_mask")
        if mask is not None and not isinstance(mask, Tensor):
            raise ValueError(f"{self.name} cannot cut a mask that is a {type(mask).__name__}, expected a tensor")
        return mask


@contextmanager
def _replaced(owner: Any, name: str, value: object) -> Iterator[None]:
    """Hide a method of an object's class inside the block; deleting the attribute brings it back."""
    before = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is None:
            delattr(owner, name)
        else:
            setattr(owner, name, before)
