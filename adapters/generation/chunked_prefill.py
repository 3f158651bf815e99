"""A long prompt in pieces: what the layers hold at once no longer grows with the prompt.

The vision tower and the merging of its features run once, over the whole prompt, by the model's own code; the language
model then takes the merged embeddings a piece at a time (``generate(prefill_chunk_size=...)`` of some transformers
versions changes the answers or fails on prompts with pictures).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any, Literal

import torch
from torch import Tensor, nn

from coreheads.adapters.generation.cache import PreallocatedCache
from coreheads.adapters.generation.structure import (
    CACHE_NAMES,
    cache_argument,
    cache_of,
    head_shape,
    language_model,
    prompt_owners,
    replaced,
)
from coreheads.adapters.value_checks import whole_number

Keep = Literal["last", "all"]


@contextmanager
def chunked_prefill(model: nn.Module, tokens: int, keep: Keep = "last") -> Iterator[nn.Module]:
    """Inside the block the language model computes at most ``tokens`` tokens of each prompt at a time.

    It goes with any cache and any patch, with ``model(...)``, ``model.generate(...)`` and an adapter's ``generate``.

    Args:
        model: A transformers multimodal model.
        tokens: The length of a piece, at least 1.
        keep: "last" returns the hidden states of the last piece alone, enough for ``logits_to_keep=1``; "all" returns
            those of the whole prompt, [batch, tokens, hidden size].

    Yields:
        The model.

    Raises:
        UserError: If ``tokens`` is below 1.
        ValueError: From a call with a longer prompt, while a patch takes whole prompts only.
    """
    whole_number("prefill_chunk:", tokens)

    def parts(length: int, _held: int) -> list[int]:
        # eviction goes with pieces
        owners = [owner for owner in prompt_owners(model) if owner.drops or owner.sparse]
        if length > tokens and owners:
            raise ValueError(f"{owners[-1].name} needs the whole prompt in one forward call: no chunked prefill")
        return [tokens] * (length // tokens) + [length % tokens]

    with in_parts(model, parts, keep):
        yield model


@contextmanager
def in_parts(model: nn.Module, parts: Callable[[int, int], Sequence[int]], keep: Keep) -> Iterator[None]:
    """Inside the block the language model computes each call in parts, one after the other.

    Args:
        model: A transformers multimodal model.
        parts: (tokens of the call, tokens that the cache holds already) -> the parts' lengths; empty ones are skipped.
        keep: As for ``chunked_prefill``.
    """
    decoder: Any = language_model(model)
    layers = head_shape(model)[0]
    with replaced(decoder, "forward", _parted(decoder, decoder.forward, layers, parts, keep)):
        yield


def _parted(
    decoder: Any, forward: Callable[..., Any], layers: int, parts: Callable[[int, int], Sequence[int]], keep: Keep
) -> Callable[..., Any]:
    def parted(input_ids: Tensor | None = None, inputs_embeds: Tensor | None = None, **given: Any) -> Any:
        cache = cache_of(given)
        before = 0 if cache is None else int(cache.get_seq_length())
        tokens = input_ids if inputs_embeds is None else inputs_embeds
        assert tokens is not None
        length = tokens.shape[1]
        sizes = [size for size in parts(length, before) if size]
        if len(sizes) == 1:
            return forward(**{"input_ids" if inputs_embeds is None else "inputs_embeds": tokens}, **given)
        if inputs_embeds is None:
            inputs_embeds = decoder.embed_tokens(input_ids)
        wanted = cache is not None or bool(given.get("use_cache"))
        if cache is None:
            cache = PreallocatedCache(layers, length)
            given[cache_argument(decoder)] = cache
        given["use_cache"] = True
        hidden = []
        for stop, size in zip(accumulate(sizes), sizes, strict=True):
            start = stop - size
            output = forward(inputs_embeds=inputs_embeds[:, start:stop], **_piece(given, start, stop, length, before))
            if keep == "all" or stop == length:
                hidden.append(output.last_hidden_state)
        output.last_hidden_state = hidden[0] if len(hidden) == 1 else torch.cat(hidden, 1)
        if not wanted:
            for name in CACHE_NAMES:
                if output.get(name) is not None:
                    output[name] = None
        return output

    return parted


def _piece(given: dict[str, Any], start: int, stop: int, length: int, before: int) -> dict[str, Any]:
    """The arguments of one piece: what has a column for every token is cut, all else is passed on."""
    piece = dict(given)
    positions, mask = given.get("position_ids"), given.get("attention_mask")
    if positions is not None:
        piece["position_ids"] = positions[..., start:stop]
    if mask is not None:
        if mask.ndim != 2:
            raise ValueError("chunked prefill takes a [batch, tokens] attention_mask or none")
        piece["attention_mask"] = mask[:, : before + stop]
    if given.get("cache_position") is not None:
        piece["cache_position"] = given["cache_position"][start:stop]
    shown = given.get("visual_pos_masks")
    if shown is not None:
        # the vision features of some layers come as rows, one for each True of the mask, sample after sample
        own = torch.zeros_like(shown)
        own[:, start:stop] = shown[:, start:stop]
        rows = own[shown]
        piece["visual_pos_masks"] = shown[:, start:stop]
        features = given.get("deepstack_visual_embeds")
        if features is not None:
            piece["deepstack_visual_embeds"] = [layer[rows.to(layer.device)] for layer in features]
    return piece
