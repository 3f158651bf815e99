"""The evicting cache over hundreds of tokens, against dense masked attention without any cache."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from patches_oracle import (
    HEADS,
    KV_HEADS,
    LAYERS,
    dense,
    generate,
    hybrid_rule,
    logits,
    oracle,
    placeholders,
    prompt,
    states,
    tiny_model,
    window_mask,
)

from coreheads.adapters.generation.chunked_prefill import chunked_prefill
from coreheads.adapters.kernels.dense import full_attention
from coreheads.adapters.kernels.dispatch import attend
from coreheads.adapters.kernels.evicting_cache import EvictingLayer
from coreheads.adapters.kernels.ragged import attend_ragged
from coreheads.adapters.kernels.visibility import Local, group_heads
from coreheads.adapters.patches.ablate import Ablate
from coreheads.adapters.patches.hybrid import Hybrid

CHOSEN = {(0, 1), (1, 2), (1, 3), (1, 6)}
TEXTS = ["where is the red-star?", "what digit is by the blue-bar? (A) 3 (B) 7"]


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """New buffers hold NaN until they are written."""
    new_empty = torch.Tensor.new_empty

    def poisoned(self: torch.Tensor, *size: Any, **options: Any) -> torch.Tensor:
        made: torch.Tensor = new_empty(self, *size, **options)
        return made.fill_(float("nan")) if made.is_floating_point() else made

    monkeypatch.setattr(torch.Tensor, "new_empty", poisoned)


def extended(inputs: dict[str, Any], written: torch.Tensor) -> dict[str, Any]:
    longer = {**inputs, "input_ids": torch.cat([inputs["input_ids"], written], 1)}
    for name, fill in (("attention_mask", 1), ("mm_token_type_ids", 0)):
        longer[name] = torch.cat([inputs[name], torch.full_like(written, fill)], 1)
    return longer


@pytest.mark.parametrize("granularity", ["query", "kv"])
@pytest.mark.parametrize(("sink", "window"), [(3, 40), (0, 1), (20, 150)])
def test_hundreds_of_tokens_have_the_logits_of_dense_masks(
    poison: None, sink: int, window: int, granularity: Any
) -> None:
    model, inputs = tiny_model(), prompt(TEXTS, [2, 1])
    assert not bool(inputs["attention_mask"].bool().all())
    hybrid = Hybrid(CHOSEN, sink, window, granularity=granularity)
    sharing = {(layer, kv) for layer, head in CHOSEN for kv in [head // 2]}
    whole = {(layer, 2 * kv + i) for layer, kv in sharing for i in range(2)} if granularity == "kv" else CHOSEN
    settings = {"do_sample": False, "return_dict_in_generate": True, "output_logits": True}
    settings |= {"min_new_tokens": 250, "max_new_tokens": 250, "suppress_tokens": placeholders(model)}
    cache = hybrid.cache(model)
    with hybrid(model), torch.inference_mode():
        answer = model.generate(**inputs, **settings, past_key_values=cache)
    length = inputs["input_ids"].shape[1]
    with oracle(model, hybrid_rule(whole, sink, window)):
        expected = logits(model, extended(inputs, answer.sequences[:, length:-1]))[:, length - 1 :]
    torch.testing.assert_close(torch.stack(answer.logits, 1).double(), expected, atol=1e-5, rtol=0)
    full, every = hybrid.full_kv_share(model)
    assert (full, every) == (len(sharing), LAYERS * KV_HEADS)
    tokens, number = cache.get_seq_length(), 2 * len(TEXTS) * 32 * 8
    assert cache.bytes() == number * (full * tokens + (every - full) * min(tokens, sink + window))


@pytest.mark.parametrize("settings", [{"do_sample": True}, {"num_beams": 3, "num_return_sequences": 2}])
def test_sampling_and_beams_choose_the_tokens_of_a_plain_cache(poison: None, settings: dict[str, Any]) -> None:
    model, inputs = tiny_model(), prompt(TEXTS, [2, 1])
    hybrid = Hybrid(CHOSEN, 3, 17)
    with hybrid(model):
        torch.manual_seed(11)
        plain = generate(model, inputs, 120, **settings)
        torch.manual_seed(11)
        assert torch.equal(generate(model, inputs, 120, past_key_values=hybrid.cache(model), **settings), plain)


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)),
    st.integers(0, 7),
    st.integers(1, 20),
    st.lists(st.integers(1, 30), min_size=1, max_size=4),
    st.integers(0, 30),
    st.data(),
)
def test_chunks_then_single_tokens(
    shape: tuple[int, int, int], sink: int, window: int, chunks: list[int], decoded: int, data: st.DataObject
) -> None:
    batch, kv_heads, repeats = shape
    heads, total = kv_heads * repeats, sum(chunks) + decoded
    starts = data.draw(st.lists(st.integers(0, total - 1), min_size=batch, max_size=batch))
    selected = data.draw(st.sets(st.integers(0, heads - 1)))
    groups = group_heads(heads, [{h: Local(sink, window) for h in range(heads) if h not in selected}])
    query, key, value = states(batch, kv_heads, repeats, total, total)
    mask = torch.zeros(batch, heads, total, total, dtype=torch.bool)
    for sample, start in enumerate(starts):
        for head in range(heads):
            pattern = (total, total) if head in selected else (sink, window)
            mask[sample, head, start:, start:] = window_mask(total - start, total - start, *pattern)
    expected = dense(query, key, value, mask, 0.3)
    layer = EvictingLayer(sorted({head // repeats for head in selected}), kv_heads, sink, window)
    at = 0
    for size in [*chunks, *[1] * decoded]:
        new = slice(at, at + size)
        held, _ = layer.update(key[:, :, new], value[:, :, new])
        output = attend_ragged(query[:, :, new], held, groups, starts, 0.3, None)
        torch.testing.assert_close(output, expected[:, new], atol=1e-10, rtol=0)
        at += size
        assert layer.short_keys.shape[2] <= sink + window


def test_other_rules_over_the_cache() -> None:
    """Nested with an ablation that goes by vision tokens, in chunks: keys are found by their places."""
    model, inputs = tiny_model(), prompt(TEXTS, [2, 1])
    hybrid = Hybrid(CHOSEN, 3, 9)
    others = [Ablate({(0, 2), (1, 0)}, "vision", "all"), Hybrid({(0, 0)}, 1, 4), Ablate({(0, 0), (1, 7)}, "zero")]
    every = {(layer, head) for layer in range(LAYERS) for head in range(HEADS)}
    others += [Ablate(every - CHOSEN, "zero"), Ablate({(0, 0), (0, 1), (1, 2)}, "zero")]
    for other in others:
        with hybrid(model), other(model):
            plain = generate(model, inputs, 20)
            assert torch.equal(generate(model, inputs, 20, past_key_values=hybrid.cache(model)), plain)
            with chunked_prefill(model, 13):
                assert torch.equal(generate(model, inputs, 20, past_key_values=hybrid.cache(model)), plain)


def test_poisoned_buffers_are_all_written(poison: None) -> None:
    """Every output is written, whatever memory it was given."""
    rules = {h: Local(4, 64) for h in (0, 1, 4, 5, 6, 7)}
    groups = group_heads(8, [rules])
    query, key, value = states(1, 4, 2, 700, 731)
    mask = torch.stack([window_mask(700, 731, *((4, 64) if h in rules else (731, 731))) for h in range(8)])[None]
    torch.testing.assert_close(
        attend(query, key, value, 0.3, groups, None), dense(query, key, value, mask, 0.3), atol=1e-10, rtol=0
    )
    assert bool(full_attention(query, key, value, 0.3).isfinite().all())


def test_kv_granularity_writes_out_its_heads() -> None:
    model = tiny_model()
    hybrid = Hybrid({(0, 1), (1, 6)}, 2, 5, granularity="kv")
    assert hybrid.on(model).heads == {(0, 0), (0, 1), (1, 6), (1, 7)}
    assert hybrid.full_kv_heads(model) == hybrid.on(model).full_kv_heads(model) == [[0], [3]]
    assert hybrid.describe()["granularity"] == "kv"
    assert Hybrid({(0, 1)}).on(model) == Hybrid({(0, 1)})
    assert HEADS == 8
