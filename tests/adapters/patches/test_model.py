"""Patches on a real (random) Qwen3-VL: against the dense oracle, nested, chunked, and gone afterwards."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from patch_cases import CHOSEN, PATCHES
from patches_oracle import (
    HEADS,
    LAYERS,
    both,
    hybrid_rule,
    logits,
    oracle,
    positions,
    prompt,
    state,
    tiny_model,
    vision_of,
    vision_rule,
)

from coreheads.adapters.generation.structure import attention_modules, language_model
from coreheads.adapters.patches.ablate import Ablate
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.adapters.patches.means import collect_means

TEXTS = ["where is the red-star?", "what digit is by the blue-bar? (A) 3 (B) 7", "which page has the red-star?"]
heads_sets = st.sets(st.tuples(st.integers(0, LAYERS - 1), st.integers(0, HEADS - 1)), max_size=10)


def close(inputs: dict[str, Any], left: torch.Tensor, right: torch.Tensor, tolerance: float = 1e-6) -> None:
    """Logits of real tokens agree; what stands at padding is nobody's."""
    real = inputs["attention_mask"].bool()
    torch.testing.assert_close(left[real], right[real], atol=tolerance, rtol=0)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(TEXTS), st.integers(1, 2)), min_size=1, max_size=3),
    st.sampled_from([1, 2, 4, 8]),
    heads_sets,
    st.integers(0, 6),
    st.integers(1, 50),
)
def test_hybrid_is_the_dense_per_head_mask(
    samples: list[tuple[str, int]], kv_heads: int, heads: set[tuple[int, int]], sink: int, window: int
) -> None:
    model = tiny_model(0, kv_heads)
    inputs = prompt([text for text, _ in samples], [count for _, count in samples])
    with oracle(model, hybrid_rule(heads, sink, window)):
        expected = logits(model, inputs)
    with Hybrid(heads, sink=sink, window=window)(model):
        close(inputs, logits(model, inputs), expected)


def test_nested_patches_act_together_and_leave_one_by_one() -> None:
    model = tiny_model()
    inputs = prompt(TEXTS[:2], [2, 1])
    vision = vision_of(model, inputs)
    wide, narrow, ablated = {(0, 1), (0, 2), (1, 2)}, {(0, 1), (1, 5)}, {(0, 1), (1, 0)}
    first, second = hybrid_rule(wide, 2, 9), hybrid_rule(narrow, 5, 4)
    dense = logits(model, inputs)
    with oracle(model, first):
        only_first = logits(model, inputs)
    with oracle(model, both(both(first, second), vision_rule(ablated, "text")), vision):
        all_three = logits(model, inputs)
    with Hybrid(wide, 2, 9)(model):
        with Hybrid(narrow, 5, 4)(model), Ablate(ablated, "vision")(model):
            close(inputs, logits(model, inputs), all_three)
        close(inputs, logits(model, inputs), only_first)
        with Hybrid(wide, 2, 9)(model):
            close(inputs, logits(model, inputs), only_first)
        close(inputs, logits(model, inputs), only_first)
    assert torch.equal(logits(model, inputs), dense)


def test_a_failing_forward_leaves_nothing_behind() -> None:
    model = tiny_model()
    inputs = prompt(TEXTS[:1], [1])
    dense, before = logits(model, inputs), state(model)
    with Ablate(CHOSEN, "vision")(model):
        with pytest.raises(RuntimeError, match="size of tensor"):
            logits(model, {**inputs, "pixel_values": inputs["pixel_values"][:4]})
        patched = logits(model, inputs)
    with Ablate(CHOSEN, "vision")(model):
        assert torch.equal(logits(model, inputs), patched)
    assert state(model) == before
    assert torch.equal(logits(model, inputs), dense)


def test_only_the_language_model_is_switched() -> None:
    model = tiny_model()
    inputs = prompt(TEXTS[:1], [1])
    vision = model.config.vision_config._attn_implementation
    arguments = {"pixel_values": inputs["pixel_values"], "grid_thw": inputs["image_grid_thw"]}
    with torch.inference_mode():
        features = model.model.visual(arguments["pixel_values"], grid_thw=arguments["grid_thw"]).pooler_output
    with Hybrid(set(), 0, 1)(model):
        assert language_model(model).config._attn_implementation == "coreheads"
        assert model.config.vision_config._attn_implementation == vision
        with torch.inference_mode():
            patched = model.model.visual(arguments["pixel_values"], grid_thw=arguments["grid_thw"]).pooler_output
    assert torch.equal(patched, features)


def test_the_name_on_a_vision_tower_changes_nothing() -> None:
    model = tiny_model()
    inputs = prompt(TEXTS[:1], [1])
    dense = logits(model, inputs)
    vision = model.config.vision_config
    with Hybrid({(layer, head) for layer in range(LAYERS) for head in range(HEADS)})(model):
        before, vision._attn_implementation = vision._attn_implementation, "coreheads"
        try:
            close(inputs, logits(model, inputs), dense)
        finally:
            vision._attn_implementation = before


def test_mean_ablation_reads_what_it_sees_alike() -> None:
    """Without means: the uniform mean of the values seen, also under a window; checked on the heads' outputs."""
    model = tiny_model()
    inputs = prompt(TEXTS[:1], [1])
    decoder = language_model(model)
    caught: dict[str, torch.Tensor] = {}
    module: Any = attention_modules(model)[0]
    hooks = [
        module.v_proj.register_forward_hook(lambda _m, _a, out: caught.update(value=out)),
        module.o_proj.register_forward_pre_hook(lambda _m, args: caught.update(output=args[0])),
    ]
    try:
        with Ablate({(0, 5)}, "mean")(model):
            logits(model, inputs)
            value = caught["value"][0].unflatten(-1, (decoder.config.num_key_value_heads, -1))[:, 5 // 2]
            output = caught["output"][0].unflatten(-1, (HEADS, -1))[:, 5]
            running = value.cumsum(0) / torch.arange(1, len(value) + 1)[:, None]
            torch.testing.assert_close(output, running, atol=1e-8, rtol=0)
            with Hybrid(set(), 0, 3)(model):
                logits(model, inputs)
            output = caught["output"][0].unflatten(-1, (HEADS, -1))[:, 5]
            torch.testing.assert_close(output[10], value[8:11].mean(0), atol=1e-8, rtol=0)
    finally:
        for hook in hooks:
            hook.remove()


def test_given_means_replace_the_output() -> None:
    model = tiny_model()
    inputs = prompt(TEXTS[:2], [2, 1])
    with collect_means(model) as collected:
        logits(model, inputs)
    means = collected.result()
    assert means.shape == (LAYERS, HEADS, 32)
    caught: list[torch.Tensor] = []
    module: Any = attention_modules(model)[1]
    hook = module.o_proj.register_forward_pre_hook(lambda _m, args: caught.append(args[0]))
    try:
        dense = logits(model, inputs)
        with Ablate(CHOSEN, "mean", means=means)(model):
            assert not torch.allclose(logits(model, inputs), dense, atol=1e-3)
    finally:
        hook.remove()
    real = inputs["attention_mask"].bool()
    plain, patched = (output[real].unflatten(-1, (HEADS, -1)) for output in caught)
    torch.testing.assert_close(plain.mean(0).float(), means[1], atol=1e-5, rtol=0)
    for head in range(HEADS):
        if (1, head) in CHOSEN:
            torch.testing.assert_close(patched[:, head].float(), means[1, head].expand(len(patched), -1))


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from([*(case.patch for case in PATCHES.values()), Hybrid(CHOSEN, 2, 5), Hybrid(set(), 0, 9)]),
    st.lists(st.integers(1, 40), max_size=4),
    st.booleans(),
)
def test_prefill_in_chunks_is_prefill_at_once(patch: Any, cuts: list[int], evicting: bool) -> None:
    from transformers import DynamicCache

    model = tiny_model()
    inputs = prompt(TEXTS[:2], [2, 1])
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    # Text only in the chunks that follow, so that chunk boundaries need no splitting of vision features.
    first = int(vision_of(model, inputs).any(0).nonzero().max()) + 1
    bounds = sorted({first, ids.shape[1], *(cut for cut in cuts if first < cut < ids.shape[1])})
    with patch(model):
        whole = logits(model, inputs)
        cache = patch.cache(model) if evicting and isinstance(patch, Hybrid) and patch.local else DynamicCache()
        images = {name: inputs[name] for name in ("pixel_values", "image_grid_thw")}
        head = {"input_ids": ids[:, :first], "attention_mask": mask[:, :first], **images}
        head["mm_token_type_ids"] = inputs["mm_token_type_ids"][:, :first]
        places = positions(model, inputs)
        head["position_ids"] = places[..., :first]
        parts = [logits(model, head, past_key_values=cache, use_cache=True)]
        for start, stop in itertools.pairwise(bounds):
            chunk = {
                "input_ids": ids[:, start:stop],
                "attention_mask": mask[:, :stop],
                "position_ids": places[..., start:stop],
            }
            parts.append(logits(model, chunk, past_key_values=cache, use_cache=True))
    close(inputs, torch.cat(parts, 1), whole, 1e-5)
