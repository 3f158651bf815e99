"""Keys evicted before the question is read: question and answer do not see what was evicted, on every family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from eviction_cases import (
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
from eviction_oracle import pooled_scores, rule_of, snapkv, states_of
from family_cases import FAMILIES, MOE, adapter
from patches_oracle import logits, oracle, state
from transformers import DynamicCache

from coreheads.adapters.generation.chunked_prefill import chunked_prefill
from coreheads.adapters.generation.structure import cache_argument
from coreheads.adapters.patches.adakv import AdaKV
from coreheads.adapters.patches.dart import Dart
from coreheads.adapters.patches.snapkv import SnapKV
from coreheads.errors import UserError


@dataclass(frozen=True)
class EveryUnseen(Every):
    """As ``Every``, before the question is read."""

    unseen = single = needs_vision = True


def last_vision(model_type: str, row: int) -> int:
    """Where the prompt's question begins."""
    made = adapter(model_type)
    return int(made.prepare(PROMPTS[row]).vision_tokens[-1]) + 1


def expected(model_type: str, row: int, kept: Sequence[Sequence[Sequence[int]]]) -> torch.Tensor:
    """Logits from the question on, uncached, with what is evicted hidden from there on."""
    with oracle(net(model_type), rule_of(kept, last_vision(model_type, row), REPEATS)):
        return logits(net(model_type), extended(inputs(model_type, row), MORE[row : row + 1]))


@pytest.mark.parametrize("model_type", [*FAMILIES, MOE])
def test_the_question_and_the_answer_do_not_see_what_was_evicted(model_type: str) -> None:
    model, strides = net(model_type), (2, 3, 3, 7)
    for row in range(2):
        batch, at = inputs(model_type, row), last_vision(model_type, row)
        tokens = batch["input_ids"].shape[1]
        assert 0 < at < tokens
        wanted = expected(model_type, row, [places_of(strides, layer, at) for layer in range(LAYERS)])
        seen = logits(model, extended(batch, MORE[row : row + 1]))
        assert float((seen - wanted)[:, at:].abs().max()) > 1e-3
        for size in (1000, 7, at, at + 1):
            with EveryUnseen(strides)(model), chunked_prefill(model, size):
                found = decoded(model, batch, MORE[row : row + 1], DynamicCache())
            torch.testing.assert_close(found, wanted[:, tokens:], **near(model_type))
        with chunked_prefill(model, 7), EveryUnseen(strides)(model):
            found = decoded(model, batch, MORE[row : row + 1], DynamicCache())
        torch.testing.assert_close(found, wanted[:, tokens:], **near(model_type))
        with EveryUnseen(strides)(model):
            prefill = logits(model, batch, **{cache_argument(model): DynamicCache()}, use_cache=True)
        torch.testing.assert_close(prefill, wanted[:, :tokens], **near(model_type))


@pytest.mark.parametrize("model_type", FAMILIES)
def test_snapkv_is_observed_by_the_last_tokens_before_the_question(model_type: str) -> None:
    model, batch, at = net(model_type), inputs(model_type, 1), last_vision(model_type, 1)
    count = max(1, round(0.4 * at))
    near = min(4, count)
    # the first layer stands for all: before the question nothing is evicted yet
    query, key, scaling = states_of(model, batch)[0]
    scores = pooled_scores(query[:, :at], key[:, :at], scaling, 4, near, 3, "avg")
    kept = snapkv(scores, at, count, near)
    cache = DynamicCache()
    with SnapKV(0.4, 4, 3, question="unseen")(model):
        logits(model, batch, **{cache_argument(model): cache}, use_cache=True)
    blocks = cache.layers[0].blocks
    found = {head: places.tolist() for b in blocks for (_, head), places in zip(b.pairs, b.positions, strict=True)}
    question = list(range(at, batch["input_ids"].shape[1]))
    assert [found[head] for head in range(KV_HEADS)] == [own + question for own in kept]


def test_answers_leaving_and_what_is_refused() -> None:
    made = adapter("qwen3_vl")
    asked = [made.prepare(messages) for messages in PROMPTS]
    before = state(made.model)
    for patch in (SnapKV(0.3, 6, question="unseen"), AdaKV(0.3, 6, question="unseen")):
        with patch(made.model):
            alone = [made.generate([prompt], 6)[0].token_ids for prompt in asked]
            assert [one.token_ids for one in made.generate(asked, 6, batch_tokens=10**6)] == alone
            with pytest.raises(ValueError, match="for one prompt at a time"):
                logits(made.model, made.collate(asked), use_cache=True)
        assert state(made.model) == before
    text = made.prepare([{"role": "user", "content": "where is it ?"}])
    plain = made.generate([text], 6)[0].token_ids
    with SnapKV(0.3, 6, question="unseen")(made.model):
        assert made.generate([text], 6)[0].token_ids == plain
    with (
        pytest.raises(UserError, match="SnapKV goes by tokens' positions, which dart changes: not together"),
        Dart(keep=0.5)(made.model),
        SnapKV(question="unseen")(made.model),
    ):
        pass
    with pytest.raises(UserError, match="SnapKV: question is 'later', expected one of seen, unseen"):
        SnapKV(question="later")  # type: ignore[arg-type]
