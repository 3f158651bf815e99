"""Tokens that are dropped before a layer, through transformers' own forward: from there on the sequence is shorter.

A model computes rotary positions and masks once for the whole prompt and hands them to every layer. Hooks before the
layers cut them, and the hidden states, to the tokens that are still there; so each keeps its own position, unless the
patch renumbers them. The features that DeepStack adds after the first layers are cut alike. A layer's cache holds the
tokens that the layer saw; nothing is dropped while an answer is decoded, when a query reads whatever its layer's cache
holds.

Renumbered is: every position that none of the tokens left has, in any of its rotary dimensions, is taken out, and later
positions move up. With one dimension positions are then 0, 1, 2 and so on; with several (M-RoPE) rows and columns of a
picture that are wholly gone close up, and a text token keeps one number in all dimensions. An answer's tokens are moved
alike, in every layer by as much as its prompt was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from coreheads.adapters.generation.structure import (
    cache_of,
    language_model,
    one_prompt_only,
    prompt_owners,
    prompts_read,
    replaced,
)
from coreheads.adapters.generation.work import choosing
from coreheads.adapters.patches.attention import active, attached, by_position, only_full_attention
from coreheads.adapters.patches.hooks import AttentionHooks, Cut, Step
from coreheads.adapters.patches.tower import Tower, tower_read
from coreheads.adapters.patches.vision import vision_ids
from coreheads.errors import UserError

GAPS = "_coreheads_gaps"
"""On a cache, not on the model: by how much the positions of later tokens move up, in each layer."""


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
    known = [owner.name for owner in prompt_owners(model) if owner.drops]
    known += [type(other).__name__ for other in active(model) if by_position(other)]
    if known:
        raise UserError(f"{known[0]} goes by tokens' positions, which {name} changes: not together")
    decoder: Any = language_model(model)
    inner: nn.Module = getattr(model, "model", model)
    run = _Run(patch, name, model, decoder)
    with ExitStack() as cleanup:
        if patch.observes:
            cleanup.enter_context(attached(model, run))
        cleanup.enter_context(one_prompt_only(model, patch))
        if patch.reads_tower:
            run.tower = cleanup.enter_context(tower_read(model))
        hooks = [inner.register_forward_pre_hook(run.begin, with_kwargs=True)]
        hooks += [inner.register_forward_hook(run.end, always_call=True)]
        for number, layer in enumerate(decoder.layers):
            hooks.append(layer.register_forward_pre_hook(partial(run.before, number), with_kwargs=True))
        if patch.renumbers:
            hooks.append(decoder.rotary_emb.register_forward_pre_hook(run.located, with_kwargs=True))
        for hook in hooks:
            cleanup.callback(hook.remove)
        if hasattr(decoder, "_deepstack_process"):
            cleanup.enter_context(replaced(decoder, "_deepstack_process", run.deepstack(decoder._deepstack_process)))
        yield model


class _Run(AttentionHooks):
    """One forward call after the other under a patch that drops tokens.

    ``places`` are those of the tokens that are still there, [L]; None outside of a call that reads a prompt.
    ``shared`` is what all layers up to the next cut are given: (cos, sin) and the mask. ``positions`` are those of the
    call's tokens, [..., L], where the patch renumbers; ``gap`` is by how much later ones move up.
    """

    def __init__(self, patch: AttentionHooks, name: str, model: nn.Module, decoder: Any) -> None:
        self.patch, self.name, self.model, self.decoder = patch, name, model, decoder
        self.vision = vision_ids(model)
        self.tower: Tower | None = None
        self.length = 0
        self._forget()

    def _forget(self) -> None:
        self.places: Tensor | None = None
        self.ids: Tensor | None = None
        self.is_vision: Tensor | None = None
        self.shared: dict[str, Any] | None = None
        self.past: Any = None
        self.positions: Tensor | None = None
        self.gap, self.gaps = 0, [0] * len(self.decoder.layers)
        self.moved: dict[int, tuple[Tensor, Tensor]] = {}

    @property
    def observes(self) -> bool:  # type: ignore[override]
        """Only while a prompt is read."""
        return self.patch.observes and self.places is not None

    def observe(self, step: Step) -> None:
        """The patch's."""
        self.patch.observe(step)

    def end(self, _module: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
        """Forget the call."""
        made = cache_of(output) if isinstance(output, Mapping) else None
        if made is not None and any(self.gaps):
            setattr(made, GAPS, self.gaps)
        self._forget()

    def located(self, _module: nn.Module, args: tuple[Any, ...], call: dict[str, Any]) -> None:
        """Note the positions that the call's tokens are given."""
        self.positions = call["position_ids"] if "position_ids" in call else args[1]

    def begin(self, _module: nn.Module, args: tuple[Any, ...], call: dict[str, Any]) -> None:
        """Look at a forward call of the whole model; ValueError where its tokens could not be dropped."""
        self._forget()
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

    def before(self, layer: int, block: nn.Module, args: tuple[Any, ...], call: dict[str, Any]) -> Any:
        """A layer's arguments, cut to what is left before it."""
        hidden = args[0] if args else call["hidden_states"]
        if self.past is not None:
            return args, {**call, **self._later(layer, hidden, call)}
        if self.places is None:
            return None
        hidden = hidden.to(next(block.parameters()).device)  # the layer before may lie on another
        left = self._left(layer, block, hidden, (self.shared or call)["position_embeddings"])
        if left is not None:
            stay, hidden = left
            self.places, self.shared = self.places[stay.to(self.places.device)], None
        if len(self.places) == self.length:
            return None
        if self.shared is None:
            self.shared = self._cut(hidden, call)
        self.gaps[layer] = self.gap
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

    def _left(
        self, layer: int, block: nn.Module, hidden: Tensor, rotary: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor] | None:
        """Bool [L] and the states [1, tokens that stay, hidden size], where some of the tokens do not stay."""
        assert self.places is not None
        assert self.ids is not None
        assert self.is_vision is not None
        places, ids, is_vision = (known.to(hidden.device) for known in (self.places, self.ids, self.is_vision))
        prompt = next(iter(prompts_read(self.model)), None)
        rotary = rotary[0].to(hidden.device), rotary[1].to(hidden.device)
        cut = Cut(layer, hidden[0], places, ids, is_vision, len(self.gaps), block, rotary, prompt, self.tower)
        with choosing(0, cut.like(self.patch), hidden.device):
            found = self.patch.stay(cut)
        if found is None:
            return None
        stay, states = found if isinstance(found, tuple) else (found, None)
        stay = stay.to(hidden.device)
        if stay.dtype != torch.bool or stay.shape != places.shape or bool((~stay & ~is_vision[places]).any()):
            raise ValueError(f"{self.name}: stay gave what is no bool [{len(self.places)}] that keeps all text")
        if bool(stay.all()):
            return None
        return stay, hidden[:, stay] if states is None else states[None].to(hidden)

    def _cut(self, hidden: Tensor, call: dict[str, Any]) -> dict[str, Any]:
        """cos and sin [1, L, rotary], and the mask, of the tokens that are left."""
        assert self.places is not None
        if self.positions is not None:
            # forward itself: not to be noted as the call's positions
            kept = self.positions[..., self.places.to(self.positions.device)]
            left: Tensor = torch.unique(kept, return_inverse=True)[1]
            self.gap = int(self.positions.max() - left.max())
            rotary = self.decoder.rotary_emb.forward(hidden, left)
        else:
            rotary = tuple(states[:, self.places.to(states.device)] for states in call["position_embeddings"])
        mask = self._mask(call)
        if mask is not None:
            places = self.places.to(mask.device)
            mask = mask[..., places] if mask.ndim == 2 else mask[..., places, :][..., places]
        return {"position_embeddings": rotary, "attention_mask": mask}

    def _later(self, layer: int, hidden: Tensor, call: dict[str, Any]) -> dict[str, Any]:
        """For new tokens: the mask, made for the first layer's cache, for this layer's shorter one (all old keys are
        seen, the last ones causally), and where the prompt was renumbered their positions."""
        changed: dict[str, Any] = {}
        mask = self._mask(call)
        if mask is not None:
            changed["attention_mask"] = mask[..., -(self.past.get_seq_length(layer) + hidden.shape[1]) :]
        gap = getattr(self.past, GAPS, self.gaps)[layer]
        if gap and self.positions is not None:
            if gap not in self.moved:
                self.moved[gap] = self.decoder.rotary_emb.forward(hidden, self.positions - gap)
            changed["position_embeddings"] = self.moved[gap]
        return changed

    def _mask(self, call: dict[str, Any]) -> Tensor | None:
        mask = call.get("attention_mask")
        if mask is not None and not isinstance(mask, Tensor):
            raise ValueError(f"{self.name} cannot cut a mask that is a {type(mask).__name__}, expected a tensor")
        return mask
