"""Patches while tokens are generated: cached, padded, in chunks, with beams, and with the evicting cache."""

from __future__ import annotations

import inspect
from typing import Any

import patch_cases
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from patch_cases import CHOSEN
from patches_oracle import (
    HEADS,
    LAYERS,
    generate,
    logits,
    placeholders,
    prompt,
    tiny_model,
)
from transformers import Qwen3VLForConditionalGeneration

from coreheads.adapters.patches.ablate import Ablate
from coreheads.adapters.patches.hybrid import Hybrid

TEXTS = ["where is the red-star?", "what digit is by the blue-bar? (A) 3 (B) 7"]
PATCHES = {"hybrid": Hybrid(CHOSEN, 2, 9), "local": Hybrid(set(), 3, 5)} | {
    name: case.patch for name, case in patch_cases.PATCHES.items() if not isinstance(case.patch, Hybrid)
}
with_every_patch = pytest.mark.parametrize("patch", PATCHES.values(), ids=PATCHES)


def uncached(model: Any, inputs: dict[str, Any], tokens: int) -> torch.Tensor:
    """Greedy ids by one whole forward a token."""
    inputs, written = dict(inputs), []
    for _ in range(tokens):
        last = logits(model, inputs, logits_to_keep=1)[:, -1].clone()
        last[:, [*placeholders(model), model.generation_config.eos_token_id]] = float("-inf")
        written.append(last.argmax(-1, keepdim=True))
        inputs["input_ids"] = torch.cat([inputs["input_ids"], written[-1]], 1)
        for name, fill in (("attention_mask", 1), ("mm_token_type_ids", 0)):
            inputs[name] = torch.cat([inputs[name], torch.full_like(written[-1], fill)], 1)
    return torch.cat(written, 1)


@with_every_patch
def test_64_cached_tokens_are_the_uncached_ones(patch: Any) -> None:
    model = tiny_model()
    inputs = prompt(TEXTS, [2, 1])
    with patch(model):
        expected = uncached(model, inputs, 64)
        assert torch.equal(generate(model, inputs, 64), expected)
        if isinstance(patch, Hybrid):
            assert torch.equal(generate(model, inputs, 64, past_key_values=patch.cache(model)), expected)
        alone = [generate(model, prompt_of(index), 64)[0] for index in range(2)]
    assert torch.equal(torch.stack(alone), expected)


def prompt_of(index: int) -> dict[str, Any]:
    """Sample ``index`` of the batch of two, with the very same pictures, unpadded."""
    inputs = prompt(TEXTS, [2, 1])
    real = inputs["attention_mask"][index].bool()
    per_image = inputs["pixel_values"].shape[0] // 3
    images = slice(0, 2) if index == 0 else slice(2, 3)
    alone = {
        name: inputs[name][index : index + 1, real] for name in ("input_ids", "attention_mask", "mm_token_type_ids")
    }
    alone["pixel_values"] = inputs["pixel_values"][images.start * per_image : images.stop * per_image]
    alone["image_grid_thw"] = inputs["image_grid_thw"][images]
    return alone


@with_every_patch
def test_beams_and_sampling(patch: Any) -> None:
    model = tiny_model()
    inputs = prompt(TEXTS, [2, 1])
    with patch(model):
        beams = generate(model, inputs, 12, num_beams=3, num_return_sequences=2)
        assert torch.equal(generate(model, inputs, 12, num_beams=3, num_return_sequences=2, use_cache=False), beams)
        torch.manual_seed(3)
        sampled = generate(model, inputs, 12, do_sample=True)
        torch.manual_seed(3)
        assert torch.equal(generate(model, inputs, 12, do_sample=True, use_cache=False), sampled)
        if isinstance(patch, Hybrid):
            with_cache = {"past_key_values": patch.cache(model), "num_beams": 3, "num_return_sequences": 2}
            assert torch.equal(generate(model, inputs, 12, **with_cache), beams)


@pytest.mark.skipif(
    "mm_encoder_outputs" not in inspect.signature(Qwen3VLForConditionalGeneration.forward).parameters,
    reason="this release of transformers cannot prefill a prompt with media in chunks",
)
@with_every_patch
def test_prefill_in_chunks(patch: Any) -> None:
    model = tiny_model()
    inputs = prompt(TEXTS, [2, 1])
    with patch(model):
        greedy = generate(model, inputs, 12)
        assert torch.equal(generate(model, inputs, 12, prefill_chunk_size=9), greedy)
        if isinstance(patch, Hybrid):
            with_cache = {"past_key_values": patch.cache(model), "prefill_chunk_size": 9}
            assert torch.equal(generate(model, inputs, 12, **with_cache), greedy)


def test_a_static_cache_gives_the_same() -> None:
    model = tiny_model()
    inputs = prompt(TEXTS, [2, 1])
    with Hybrid(CHOSEN, 2, 9)(model):
        dynamic = generate(model, inputs, 12)
        assert torch.equal(generate(model, inputs, 12, cache_implementation="static", disable_compile=True), dynamic)
        alone = generate(model, prompt_of(0), 12)
        static = generate(model, prompt_of(0), 12, cache_implementation="static", disable_compile=True)
        assert torch.equal(static, alone)


@settings(max_examples=15, deadline=None)
@given(
    st.sets(st.tuples(st.integers(0, LAYERS - 1), st.integers(0, HEADS - 1)), max_size=6),
    st.sampled_from([1, 2, 4, 8]),
    st.integers(0, 6),
    st.integers(1, 20),
)
def test_the_evicting_cache_has_the_plain_ones_logits(
    heads: set[tuple[int, int]], kv_heads: int, sink: int, window: int
) -> None:
    model = tiny_model(0, kv_heads)
    inputs = prompt(TEXTS, [2, 1])
    hybrid = Hybrid(heads, sink=sink, window=window)
    settings = {"return_dict_in_generate": True, "output_logits": True, "do_sample": False}
    settings |= {"min_new_tokens": 6, "max_new_tokens": 6, "suppress_tokens": placeholders(model)}
    with hybrid(model), torch.inference_mode():
        plain = model.generate(**inputs, **settings)
        cache = hybrid.cache(model)
        evicting = model.generate(**inputs, **settings, past_key_values=cache)
    assert torch.equal(plain.sequences, evicting.sequences)
    torch.testing.assert_close(torch.stack(evicting.logits), torch.stack(plain.logits), atol=1e-5, rtol=0)
    tokens = cache.get_seq_length()
    kept = cache.bytes() / (2 * LAYERS * kv_heads * len(TEXTS) * tokens * 32 * 8)
    assert kept <= hybrid.kv_ratio(model, tokens)
    # At rest the window lacks only the token to come.
    assert kept >= hybrid.kv_ratio(model, tokens) - 1 / tokens - 1e-9


def test_two_conversations_keep_their_own_vision_tokens() -> None:
    """A vision ablation remembers V with the cache, so that prompts may take turns."""
    from transformers import DynamicCache

    model = tiny_model()
    first, second = prompt_of(0), prompt_of(1)
    with Ablate(CHOSEN, "vision")(model):
        apart = [generate(model, inputs, 5) for inputs in (first, second)]
        caches = [DynamicCache(), DynamicCache()]
        generate(model, first, 1, past_key_values=caches[0])
        assert torch.equal(generate(model, second, 5, past_key_values=caches[1]), apart[1])
        longer = {**first, "input_ids": torch.cat([first["input_ids"], apart[0][:, :1]], 1)}
        for name, fill in (("attention_mask", 1), ("mm_token_type_ids", 0)):
            longer[name] = torch.cat([first[name], torch.full((1, 1), fill)], 1)
        for name in ("pixel_values", "image_grid_thw"):
            del longer[name]
        resumed = generate(model, longer, 4, past_key_values=caches[0])
    assert torch.equal(resumed, apart[0][:, 1:])


def test_what_cannot_be_right_is_refused() -> None:
    from transformers import DynamicCache

    model = tiny_model()
    inputs = prompt_of(0)
    cache = DynamicCache()
    logits(model, inputs, past_key_values=cache, use_cache=True)
    step = {"input_ids": torch.tensor([[300]])}
    with Ablate(CHOSEN, "vision")(model), pytest.raises(ValueError, match="does not know which tokens are vision"):
        logits(model, step, past_key_values=cache, use_cache=True)
    hybrid = Hybrid(CHOSEN, 2, 9)
    with pytest.raises(RuntimeError, match="only inside the `with` block"):
        logits(model, inputs, past_key_values=hybrid.cache(model), use_cache=True)
    with Hybrid(CHOSEN, 2, 10)(model), pytest.raises(ValueError, match="the cache evicts what active patches need"):
        logits(model, inputs, past_key_values=hybrid.cache(model), use_cache=True)
    padded = prompt(TEXTS, [1, 1])
    padded["attention_mask"] = padded["attention_mask"].flip(1)
    with hybrid(model), pytest.raises(ValueError, match="padding on the left only"):
        logits(model, padded)
