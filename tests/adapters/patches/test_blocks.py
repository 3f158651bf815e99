"""A patch that chooses the keys of a prompt, on every family: against masks, nested, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from block_cases import Drawn
from eviction_cases import Every, inputs, net, prompts
from family_cases import FAMILIES, adapter
from patches_oracle import both, hybrid_rule, logits, oracle, state, vision_rule
from transformers import DynamicCache

from coreheads.adapters.generation.chunked_prefill import chunked_prefill
from coreheads.adapters.generation.structure import cache_argument
from coreheads.adapters.patches.ablate import Ablate
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.adapters.patches.mass import collect_mass
from coreheads.adapters.patches.snapkv import SnapKV
from coreheads.adapters.patches.stride import Stride
from coreheads.adapters.patches.vertical_slash import VerticalSlash
from coreheads.errors import UserError

FULL = {(0, 1), (0, 2), (1, 2), (1, 5)}
families = pytest.mark.parametrize("model_type", FAMILIES)


def same(model_type: str, left: torch.Tensor, right: torch.Tensor) -> None:
    real = inputs(model_type)["attention_mask"].bool()
    torch.testing.assert_close(left[real], right[real], atol=1e-8, rtol=0)


@families
def test_it_is_its_masked_reference_and_leaves_nothing(model_type: str) -> None:
    model, batch, patch = net(model_type), inputs(model_type), Drawn()
    plain, before = logits(model, batch), state(model)
    with oracle(model, patch.rule):
        wanted = logits(model, batch)
    with patch(model):
        same(model_type, logits(model, batch), wanted)
    assert state(model) == before
    assert torch.equal(logits(model, batch), plain)
    assert float((plain - wanted).abs().max()) > 1e-3
    with Drawn(share=1.0)(model):
        same(model_type, logits(model, batch), plain)


@families
def test_rules_of_other_patches_hold_besides(model_type: str) -> None:
    model, batch, patch = net(model_type), inputs(model_type), Drawn()
    ids = torch.tensor(adapter(model_type, dtype=torch.float64).vision_token_ids)
    vision = torch.isin(batch["input_ids"], ids)
    hybrid, ablate = Hybrid(FULL, 2, 9), Ablate({(0, 3), (1, 2)}, "vision")
    with oracle(model, both(both(patch.rule, hybrid_rule(FULL, 2, 9)), vision_rule({(0, 3), (1, 2)}, "text")), vision):
        wanted = logits(model, batch)
    with hybrid(model), patch(model), ablate(model):
        same(model_type, logits(model, batch), wanted)
    with patch(model), ablate(model), hybrid(model):
        same(model_type, logits(model, batch), wanted)


def decoded(model: Any, batch: dict[str, Any], patch: Any, length: int) -> torch.Tensor:
    """Logits of the tokens from ``length`` on, in one call after the prefill of those before."""
    with patch(model):
        past = {cache_argument(model): DynamicCache(), "use_cache": True}
        own = {"input_ids", "position_ids", "mm_token_type_ids"}
        first = {name: part[..., :length] if name in own else part for name, part in batch.items()}
        logits(model, {**first, "attention_mask": batch["attention_mask"][:, :length]}, **past)
        rest = {name: batch[name][..., length:] for name in ("input_ids", "position_ids")}
        return logits(model, {**rest, "attention_mask": batch["attention_mask"]}, **past)


def test_tokens_after_the_prompt_see_everything() -> None:
    model, batch = net("qwen3_vl"), inputs("qwen3_vl")
    length = batch["input_ids"].shape[1] - 3
    lengths = batch["attention_mask"][:, :length].sum(1).tolist()
    patch = Drawn()

    def rule(layer: int, head: int, i: Any, j: Any, vision: Any) -> Any:
        before = len(i) - 3
        assert before in lengths
        seen = patch.rule(layer, head, i[:before], j[:, :before], vision)
        table = (j <= i).copy()
        table[:before, :before] = seen
        return table

    with oracle(model, rule):
        wanted = logits(model, batch)[:, length:]
    torch.testing.assert_close(decoded(model, batch, patch, length), wanted, atol=1e-8, rtol=0)


def test_measured_attention_is_that_of_what_is_seen() -> None:
    model, batch = net("qwen3_vl"), inputs("qwen3_vl", 1)
    tokens, patch = batch["input_ids"].shape[1], Drawn()
    rows, columns = torch.arange(tokens - 3, tokens), torch.arange(tokens)
    hidden = [
        torch.from_numpy(~patch.rule(layer, head, *at(tokens), None)[-3:].any(0))
        for layer in (0, 1)
        for head in range(8)
    ]
    with patch(model), collect_mass(model, rows, [columns[mask] for mask in hidden]) as inner:
        logits(model, batch)
    with collect_mass(model, rows, [columns[mask] for mask in hidden]) as outer, patch(model):
        logits(model, batch)
    for mass in (inner, outer):
        found = mass.result().flatten(1)
        assert float(found.diagonal().abs().max()) == 0
        assert float(found.max()) > 1e-3


def at(tokens: int) -> Any:
    places = torch.arange(tokens).numpy()
    return places[:, None], places[None]


def test_an_evicting_patch_goes_by_what_its_observers_see() -> None:
    model, batch = net("qwen3_vl"), inputs("qwen3_vl")
    with Drawn()(model):
        wanted = logits(model, batch)
    for evicting in (Every(), SnapKV(0.5, 4)):
        with Drawn()(model), evicting(model):
            same("qwen3_vl", logits(model, batch, use_cache=True), wanted)


def test_it_goes_by_the_tokens_that_are_left() -> None:
    model, batch = net("qwen3_vl"), inputs("qwen3_vl", 1)
    met: list[int] = []

    class Watching(Drawn):
        def blocks(self, step: Any) -> Any:
            met.append(step.key.shape[2])
            return super().blocks(step)

    tokens = batch["input_ids"].shape[1]
    drop = Stride(0.5, layer=1)
    with drop(model), Watching()(model):
        inside = logits(model, batch)
    assert met[0] == tokens > met[1] == inside.shape[1]
    with Watching()(model), drop(model):
        torch.testing.assert_close(logits(model, batch), inside)


def test_what_cannot_be_is_refused() -> None:
    model, batch = net("qwen3_vl"), inputs("qwen3_vl", 1)
    refused = pytest.raises(ValueError, match="drawn needs the whole prompt in one forward call: no chunked prefill")
    with Drawn()(model), chunked_prefill(model, 7), refused:
        logits(model, batch)
    with (
        Drawn()(model),
        pytest.raises(UserError, match="another active patch chooses key blocks, expected one that does"),
        VerticalSlash()(model),
    ):
        pass
    hybrid = Hybrid(FULL, 2, 9)
    cache = {cache_argument(model): hybrid.cache(model), "use_cache": True}
    with hybrid(model), Drawn()(model), pytest.raises(UserError, match="drawn: the cache evicts by itself"):
        logits(model, batch, **cache)


def test_prompts_are_answered_one_at_a_time() -> None:
    made = adapter("qwen3_vl", dtype=torch.float64)
    asked = prompts("qwen3_vl")
    with Drawn()(made.model):
        alone = [made.generate([prompt], 3)[0].token_ids for prompt in asked]
        assert [answer.token_ids for answer in made.generate(asked, 3, share_prefix=True)] == alone
