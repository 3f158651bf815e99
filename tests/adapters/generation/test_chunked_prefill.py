"""Prefill in pieces against prefill at once, for the three families, with pictures across the cuts."""

from __future__ import annotations

from typing import Any

import family_cases
import pytest
import torch
from PIL import Image

from coreheads import Hybrid, UserError
from coreheads.adapters.generation.cache import PreallocatedCache
from coreheads.adapters.generation.chunked_prefill import chunked_prefill
from coreheads.adapters.generation.structure import language_model
from coreheads.retrieval.ram import attention_mass

HEADS = {(0, 1), (1, 2), (1, 3)}


def picture(seed: int) -> Image.Image:
    pixels = torch.randint(0, 256, (60, 90, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    return Image.fromarray(pixels.numpy())


def prompts(adapter: Any, count: int = 2) -> list[Any]:
    texts = ["where is the red-star?", "what is on page 2 ? answer 0 1 2"]
    return [
        adapter.prepare(
            [{"role": "user", "content": [{"type": "image", "image": picture(number)}, {"type": "text", "text": text}]}]
        )
        for number, text in enumerate(texts[:count])
    ]


def logits(adapter: Any, inputs: dict[str, Any], **settings: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = adapter.model(**inputs, **settings).logits
    return found


@pytest.fixture(params=family_cases.FAMILIES)
def adapter(request: pytest.FixtureRequest) -> Any:
    return family_cases.new_adapter(request.param, dtype=torch.float64)


@pytest.mark.parametrize("patched", [False, True])
@pytest.mark.parametrize("tokens", [1, 7, 10_000])
def test_pieces_give_the_logits_of_the_whole(adapter: Any, patched: bool, tokens: int) -> None:
    inputs = adapter.collate(prompts(adapter))
    assert "attention_mask" in inputs  # the two are not of one length
    real = inputs["attention_mask"].bool()
    hybrid = Hybrid(HEADS if patched else {(layer, head) for layer in range(2) for head in range(8)}, 2, 9)
    with hybrid(adapter.model):
        whole = logits(adapter, inputs, use_cache=False)
        with chunked_prefill(adapter.model, tokens, keep="all"):
            pieces = logits(adapter, inputs, use_cache=False)
            evicting = logits(adapter, inputs, past_key_values=hybrid.cache(adapter.model), use_cache=True)
    torch.testing.assert_close(pieces[real], whole[real], atol=1e-9, rtol=0)
    torch.testing.assert_close(evicting[real], whole[real], atol=1e-9, rtol=0)
    assert "forward" not in vars(language_model(adapter.model))


def test_without_a_patch_and_for_the_last_token_alone(adapter: Any) -> None:
    inputs = adapter.collate(prompts(adapter, 1))
    whole = logits(adapter, inputs, logits_to_keep=1)
    with chunked_prefill(adapter.model, 11):
        last = logits(adapter, inputs, logits_to_keep=1)
        with chunked_prefill(adapter.model, 5, keep="all"):
            every = logits(adapter, inputs, use_cache=False)
    torch.testing.assert_close(last, whole, atol=1e-9, rtol=0)
    torch.testing.assert_close(every[:, -1:], whole, atol=1e-9, rtol=0)
    assert every.shape[1] == inputs["input_ids"].shape[1]


def test_answers_are_the_same_with_any_cache(adapter: Any) -> None:
    both = prompts(adapter)
    hybrid = Hybrid(HEADS, 2, 9)
    with hybrid(adapter.model):
        plain = [answer.token_ids for answer in adapter.generate(both, max_new_tokens=8)]
        for factory in (None, lambda: hybrid.cache(adapter.model), lambda: PreallocatedCache(2, 8)):
            with chunked_prefill(adapter.model, 13):
                answers = adapter.generate(both, max_new_tokens=8, cache_factory=factory)
            assert [answer.token_ids for answer in answers] == plain


def test_attention_mass_is_the_same_in_pieces(adapter: Any) -> None:
    (prompt,) = prompts(adapter, 1)
    rows = torch.arange(prompt.tokens - 20, prompt.tokens)
    columns = [prompt.vision_tokens[3:6]]
    whole = attention_mass(adapter.model, prompt.inputs, rows, columns)
    with chunked_prefill(adapter.model, 9):
        pieces = attention_mass(adapter.model, prompt.inputs, rows, columns)
    torch.testing.assert_close(pieces, whole, atol=1e-6, rtol=0)
    assert float(whole.max()) > 0.01


def test_what_a_piece_holds_is_bounded(adapter: Any) -> None:
    (prompt,) = prompts(adapter, 1)
    seen: list[int] = []
    layer = language_model(adapter.model).layers[0]
    hook = layer.register_forward_pre_hook(lambda _m, args: seen.append(args[0].shape[1]))
    try:
        with chunked_prefill(adapter.model, 16):
            logits(adapter, prompt.inputs, logits_to_keep=1)
    finally:
        hook.remove()
    assert sum(seen) == prompt.tokens
    assert max(seen) == 16


@pytest.mark.parametrize("tokens", [0, -4, 2.5, True])
def test_wrong_sizes(tokens: Any) -> None:
    made = family_cases.adapter("qwen3_vl")
    with pytest.raises(UserError, match="prefill_chunk"), chunked_prefill(made.model, tokens):
        pass
