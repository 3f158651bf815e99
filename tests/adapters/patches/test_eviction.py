"""Eviction on every family: decoding over what is kept is decoding with the rest hidden, and the rest is freed."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from adapter_cases import image_part, picture, text_part, user
from dropping_cases import Given
from eviction_cases import (
    CHOSEN,
    KV_HEADS,
    LAYERS,
    MORE,
    PROMPTS,
    REPEATS,
    Every,
    decoded,
    extended,
    inputs,
    near,
    net,
    places_of,
)
from eviction_oracle import rule_of
from family_cases import FAMILIES, MOE, adapter
from patches_oracle import both, hybrid_rule, logits, oracle, state
from transformers import DynamicCache

from coreheads.adapters.generation.cache import PreallocatedCache
from coreheads.adapters.generation.chunked_prefill import chunked_prefill
from coreheads.adapters.generation.structure import cache_argument
from coreheads.adapters.kernels.kept_cache import KeptLayer
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.adapters.patches.mass import collect_mass
from coreheads.adapters.patches.snapkv import SnapKV
from coreheads.errors import UserError


def expected(model_type: str, row: int, strides: tuple[int, ...], hybrid: bool = False) -> torch.Tensor:
    """Of one prompt, uncached: what is evicted is masked for the further tokens."""
    model, batch = net(model_type), inputs(model_type, row)
    tokens = batch["input_ids"].shape[1]
    rule = rule_of([places_of(strides, layer, tokens) for layer in range(LAYERS)], tokens, REPEATS)
    if hybrid:
        rule = both(rule, hybrid_rule(CHOSEN, 2, 9))
    with oracle(model, rule):
        return logits(model, extended(batch, MORE[row : row + 1]))[:, tokens:]


@pytest.mark.parametrize("strides", [(2, 2, 2, 2), (2, 3, 3, 7)], ids=["even", "ragged"])
@pytest.mark.parametrize("model_type", [*FAMILIES, MOE])
def test_it_is_decoding_with_the_evicted_keys_masked(model_type: str, strides: tuple[int, ...]) -> None:
    model = net(model_type)
    for row in range(2):
        batch, more = inputs(model_type, row), MORE[row : row + 1]
        wanted = expected(model_type, row, strides)
        dense = logits(model, extended(batch, more))[:, batch["input_ids"].shape[1] :]
        assert float((dense - wanted).abs().max()) > 1e-3
        for make in (DynamicCache, lambda: PreallocatedCache(LAYERS, 8)):
            with Every(strides)(model):
                torch.testing.assert_close(decoded(model, batch, more, make()), wanted, **near(model_type))


@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_padded_batch_and_a_prefill_in_pieces_are_the_same(model_type: str) -> None:
    model, strides = net(model_type), (2, 3, 3, 7)
    wanted = torch.cat([expected(model_type, row, strides) for row in range(2)])
    with Every(strides)(model):
        found = decoded(model, inputs(model_type), MORE, DynamicCache())
        torch.testing.assert_close(found, wanted, **near(model_type))
        for size in (7, 1000):
            with chunked_prefill(model, size):
                found = decoded(model, inputs(model_type), MORE, DynamicCache())
            torch.testing.assert_close(found, wanted, **near(model_type))


@pytest.mark.parametrize("model_type", FAMILIES)
def test_it_nests_with_a_patch_that_hides_keys(model_type: str) -> None:
    model, strides = net(model_type), (2, 3, 3, 7)
    wanted = torch.cat([expected(model_type, row, strides, hybrid=True) for row in range(2)])
    outer, inner = Every(strides), Hybrid(CHOSEN, 2, 9)
    for first, second in ((outer, inner), (inner, outer)):
        with first(model), second(model):
            found = decoded(model, inputs(model_type), MORE, DynamicCache())
        torch.testing.assert_close(found, wanted, **near(model_type))


@pytest.mark.parametrize("model_type", FAMILIES)
@pytest.mark.parametrize("layer", [0, 1])
def test_of_dropped_prompts_it_evicts_what_is_left(model_type: str, layer: int) -> None:
    model, batch, strides = net(model_type), inputs(model_type, 0), (2, 3, 3, 7)
    tokens = batch["input_ids"].shape[1]
    vision = torch.isin(batch["input_ids"][0], torch.tensor(adapter(model_type).vision_token_ids))
    left = [place for place in range(tokens) if not vision[place] or place % 3]
    stay = [list(range(tokens)) if number < layer else left for number in range(LAYERS)]

    def dropped(number: int, head: int, i: np.ndarray, j: np.ndarray, vision: np.ndarray) -> np.ndarray:
        return np.isin(j, stay[number]) | (j >= tokens) | (i == j)

    kept = [
        [[own[at] for at in head] for head in places_of(strides, number, len(own))] for number, own in enumerate(stay)
    ]
    with oracle(model, both(dropped, rule_of(kept, tokens, REPEATS))):
        wanted = logits(model, extended(batch, MORE[:1]))[:, tokens:]
    drop, evict = Given({layer: left}), Every(strides)
    for first, second in ((drop, evict), (evict, drop)):
        with first(model), second(model):
            found = decoded(model, batch, MORE[:1], DynamicCache())
        torch.testing.assert_close(found, wanted, **near(model_type))


@pytest.mark.parametrize("model_type", [*FAMILIES, MOE])
def test_keeping_all_is_dense_to_the_bit(model_type: str) -> None:
    model = net(model_type)
    with Patch()(model):
        dense = decoded(model, inputs(model_type), MORE, DynamicCache())
    with SnapKV(keep=1.0)(model):
        assert torch.equal(decoded(model, inputs(model_type), MORE, DynamicCache()), dense)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_prefill_is_dense_and_leaving_restores_the_model(model_type: str) -> None:
    model, batch = net(model_type), inputs(model_type)
    before = state(model)
    with Patch()(model):
        dense = logits(model, batch)
    with SnapKV(0.1, 4)(model):
        assert torch.equal(logits(model, batch, use_cache=True), dense)
        assert torch.equal(logits(model, batch, use_cache=False), dense)
    assert state(model) == before


@pytest.mark.parametrize("keep", [0.5, 0.25, 0.1])
@pytest.mark.parametrize("model_type", FAMILIES)
def test_the_bytes_kept_are_those_reported(model_type: str, keep: float) -> None:
    model, batch, patch = net(model_type), inputs(model_type, 0), SnapKV(keep, 8)
    tokens = batch["input_ids"].shape[1]
    made = PreallocatedCache(LAYERS, tokens + 64)
    old = weakref.ref(made.layers[0])
    with patch(model):
        output = model(**batch, **{cache_argument(model): made}, use_cache=True)
        del output
    gc.collect()
    assert old() is None
    layers = [layer for layer in made.layers if isinstance(layer, KeptLayer)]
    assert len(layers) == LAYERS
    kept = sum(layer.bytes() for layer in layers)
    stored = sum(
        states.untyped_storage().nbytes()
        for layer in layers
        for block in layer.blocks
        for states in (block.keys, block.values)
    )
    assert stored == kept
    width = layers[0].blocks[0].keys.shape[2]
    whole = 2 * LAYERS * KV_HEADS * width * tokens * 8
    assert kept / whole == pytest.approx(patch.kv_ratio(model, tokens))
    assert patch.kv_ratio(model, tokens) == pytest.approx(keep, abs=0.51 / tokens)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_answers_are_alike_by_every_way(model_type: str) -> None:
    made = adapter(model_type, dtype=torch.float32)
    asked = [made.prepare(messages) for messages in PROMPTS]
    patch = SnapKV(0.2, 6)
    with patch(made.model):
        alone = [made.generate([prompt], max_new_tokens=8)[0].token_ids for prompt in asked]
        together = made.generate(asked, max_new_tokens=8, cache_factory=DynamicCache)
        assert [answer.token_ids for answer in together] == alone
        for prompt, answer in zip(asked, alone, strict=True):
            with torch.inference_mode():
                ids = made.model.generate(**prompt.inputs, max_new_tokens=8, do_sample=False)
            assert ids[0, prompt.tokens :].tolist() == answer


def test_beams_follow_their_keys() -> None:
    made = adapter("qwen3_vl", dtype=torch.float32)
    asked = [made.prepare(messages) for messages in PROMPTS]
    settings = {"max_new_tokens": 8, "do_sample": False, "num_beams": 3, "num_return_sequences": 2}
    with Every((2, 3, 3, 7))(made.model), torch.inference_mode():
        alone = [made.model.generate(**prompt.inputs, **settings)[:, prompt.tokens :] for prompt in asked]
        batch = {name: value for name, value in made.collate(asked).items() if name != "position_ids"}
        ids = made.model.generate(**batch, **settings)[:, batch["input_ids"].shape[1] :]
    for row, wanted in enumerate(alone):
        shared = min(ids.shape[1], wanted.shape[1])
        assert torch.equal(ids[2 * row : 2 * row + 2, :shared], wanted[:, :shared])


def test_what_cannot_be_evicted_is_refused() -> None:
    model, batch, patch = net("qwen3_vl"), inputs("qwen3_vl", 1), SnapKV(0.2, 6)
    filled, name = DynamicCache(), cache_argument(model)
    logits(model, batch, **{name: filled}, use_cache=True)
    step = {"input_ids": MORE[1:, :1], "position_ids": inputs("qwen3_vl", 1)["position_ids"][..., -1:] + 1}
    with patch(model):
        with pytest.raises(UserError, match="snapkv: the cache was filled without the patch"):
            logits(model, step, **{name: filled}, use_cache=True)
        with pytest.raises(UserError, match="another active patch evicts keys"), SnapKV()(model):
            pass
        evicting = Hybrid(CHOSEN, 2, 9).cache(model)
        with pytest.raises(UserError, match="snapkv: the cache evicts by itself"):
            logits(model, batch, **{name: evicting}, use_cache=True)
        kept = DynamicCache()
        logits(model, batch, **{name: kept}, use_cache=True)
        with (
            pytest.raises(ValueError, match="the keys are gone"),
            collect_mass(model, torch.tensor([0]), [torch.tensor([0])]),
        ):
            logits(model, step, **{name: kept}, use_cache=True)
        for refused in (lambda: kept.crop(3), kept.reset):
            with pytest.raises(RuntimeError, match="keys were evicted"):
                refused()
        made = adapter("qwen3_vl", dtype=torch.float64)
        asked = [
            made.prepare(user(image_part(picture(61, 60)), text_part(text))) for text in ("where ?", "what is it ?")
        ]
        alone = [made.generate([one], max_new_tokens=2)[0].token_ids for one in asked]
        assert [answer.token_ids for answer in made.generate(asked, 2, share_prefix=True)] == alone
    with pytest.raises(RuntimeError, match="only inside the `with` block"):
        logits(model, step, **{name: kept}, use_cache=True)
