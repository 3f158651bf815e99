"""A long prompt in pieces: what the layers hold at once no longer grows with the prompt.

The vision tower and the merging of its features run once, over the whole prompt, by the model's own code; the language
model then takes the merged embeddings a piece at a time (``generate(prefill_chunk_size=...)`` of some transformers
versions changes the answers or fails on prompts with pictures).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    decoder: Any = language_model(model)
    layers = head_shape(model)[0]
    # an instance attribute hides the class's method, and deleting it brings the method back
    whole = decoder.forward
    nested = "forward" in vars(decoder)
    decoder.forward = _in_chunks(model, decoder, whole, layers, tokens, keep)
    try:
        yield model
    finally:
        if nested:
            decoder.forward = whole
        else:
            del decoder.forward


def _in_chunks(
    model: nn.Module, decoder: Any, forward: Callable[..., Any], layers: int, size: int, keep: Keep
) -> Callable[..., Any]:
    def chunked(input_ids: Tensor | None = None, inputs_embeds: Tensor | None = None, **given: Any) -> Any:
        if inputs_embeds is None:
            assert input_ids is not None
            if input_ids.shape[1] <= size:
                return forward(input_ids=input_ids, **given)
            inputs_embeds = decoder.embed_tokens(input_ids)
        length = inputs_embeds.shape[1]
        if length <= size:
            return forward(inputs_embeds=inputs_embeds, **given)
        if owners := prompt_owners(model):
            raise ValueError(f"{owners[-1].name} needs the whole prompt in one forward call: no chunked prefill")
        cache = cache_of(given)
        wanted = cache is not None or bool(given.get("use_cache"))
        if cache is None:
            cache = PreallocatedCache(layers, length)
            given[cache_argument(decoder)] = cache
        given["use_cache"] = True
        before = int(cache.get_seq_length())
        hidden = []
        for start in range(0, length, size):
            stop = min(start + size, length)
            output = forward(inputs_embeds=inputs_embeds[:, start:stop], **_piece(given, start, stop, length, before))
            if keep == "all" or stop == length:
                hidden.append(output.last_hidden_state)
        output.last_hidden_state = hidden[0] if len(hidden) == 1 else torch.cat(hidden, 1)
        if not wanted:
            for name in CACHE_NAMES:
                if output.get(name) is not None:
                    output[name] = None
        return output

    return chunked


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
